"""A clock that jumps: a worker does nothing meanwhile, what is told is dated by the database, what it dated waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from domain import facts as f
from domain.errors import ClaimOver, ClocksApart
from domain.ledger import Claim, TouchRef, View
from domain.next_action import Touch, Wait
from domain.patience import PATIENCE
from domain.ports import Accepted, InboundSms, Rejected, Remedy
from domain.touches import Channel, TouchStatus
from store import clocks, lead_rows, tables
from tests.store.test_rules import DESK, Clinic, clinic

__all__ = ["clinic"]  # the fixture
ELEVEN_HOURS = timedelta(hours=11)


def jumps(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(clocks, "ours", lambda: datetime.now(UTC) + by)


async def facts(clinic: Clinic) -> int:
    async with clinic.store.engine.connect() as conn:
        return await conn.scalar(select(func.count()).select_from(tables.facts)) or 0


async def odd(clinic: Clinic) -> list[clocks.OddClock]:
    async with clinic.store.engine.connect() as conn:
        return await clocks.odd(conn)


@pytest.mark.parametrize("by", [ELEVEN_HOURS, -ELEVEN_HOURS, timedelta(seconds=12), timedelta(seconds=-12)], ids=str)
async def test_a_worker_whose_clock_is_apart_claims_and_writes_nothing(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    ref = await clinic.next_touch(await clinic.inquire())
    before = await facts(clinic)
    jumps(monkeypatch, by)
    for what in (clinic.ledger.claim(ref, clocks.ours()), clinic.ledger.plan(ref.lead_id, clocks.ours())):
        with pytest.raises(ClocksApart):
            await what
    monkeypatch.undo()
    assert await facts(clinic) == before
    [clock] = await odd(clinic)
    assert clock.times == 1, "told at most once in some seconds"
    assert abs(clock.apart + by) < timedelta(seconds=1)
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim), "it is right again"


@pytest.mark.parametrize("by", [ELEVEN_HOURS, -ELEVEN_HOURS], ids=str)
async def test_what_is_told_meanwhile_is_taken_and_dated_by_the_database(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    """Above all a stop: no carrier repeats it for long."""
    true = clinic.leads.now
    leads = replace(clinic.leads, now=lambda: true() + by, product=clinic.ledger.clock.product)
    told = Clinic(clinic.store, leads, clinic.ledger)
    lead = await clinic.inquire()
    ref = await clinic.next_touch(lead)
    jumps(monkeypatch, by)
    since = true()
    await told.inbound.reply(InboundSms("SM2", "+12125550101", "+15005550006", "STOP"))
    other = await told.inquire(phone="+12125550177", email="eve@example.com")
    until = true()
    monkeypatch.undo()
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), View), "the gate is shut"
    async with clinic.store.engine.connect() as conn:
        stopped = await lead_rows.records(conn, clinic.store.vault, lead)
        asked = await lead_rows.records(conn, clinic.store.vault, other)
    told_at = [r.at for r in stopped if isinstance(r.fact, f.Replied)] + [r.at for r in asked]
    assert len(told_at) > 2
    assert all(since <= at <= until for at in told_at)


async def test_a_now_that_was_read_while_the_clock_was_ahead_is_found_out(clinic: Clinic) -> None:
    """It waited for a lock, and meanwhile the clock was set back."""
    ref = await clinic.next_touch(await clinic.inquire())
    ledger, before = replace(clinic.ledger, measured=True), await facts(clinic)
    with pytest.raises(ClocksApart, match="the clock of the database is 28800 s behind"):
        await ledger.claim(ref, datetime.now(UTC) + timedelta(hours=8))
    assert await facts(clinic) == before
    assert isinstance(await ledger.claim(ref, datetime.now(UTC)), Claim)


@pytest.mark.parametrize("by", [ELEVEN_HOURS, -ELEVEN_HOURS], ids=str)
async def test_what_a_provider_answered_is_written_whatever_the_clock_says(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    ref = await clinic.next_touch(await clinic.inquire())
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    since = clinic.leads.now()
    jumps(monkeypatch, by)
    leads = replace(clinic.leads, product=clinic.ledger.clock.product)
    ledger = replace(clinic.ledger, leads=leads, measured=True)
    await ledger.settle(ref, Rejected("no such number", "21211", Remedy.SUPPRESS_NUMBER), clocks.ours(), claim.deadline)
    monkeypatch.undo()
    touch = (await clinic.state(ref.lead_id)).touches[ref.enrollment, ref.step, ref.part]
    assert touch.status is TouchStatus.FAILED
    assert since <= touch.at <= clinic.leads.now()


async def test_a_claim_is_used_by_nobody_after_the_machine_has_slept(clinic: Clinic) -> None:
    """No clock by which its holder reckons has gone on meanwhile; the database's has."""
    ref = await clinic.next_touch(await clinic.inquire())
    then = datetime.now(UTC) - timedelta(hours=5)
    claim = await clinic.ledger.claim(ref, then)
    assert isinstance(claim, Claim)
    with pytest.raises(ClaimOver):
        await clinic.ledger.begin(ref, claim, then)


@pytest.mark.parametrize("by", [timedelta(seconds=5), timedelta(seconds=-5)], ids=str)
async def test_some_seconds_apart_are_nothing(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    ref = await clinic.next_touch(await clinic.inquire())
    jumps(monkeypatch, by)
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    assert await odd(clinic) == []


def test_an_answer_that_takes_long_says_nothing_of_a_clock() -> None:
    now = datetime.now(UTC)
    for theirs in (now - timedelta(minutes=5), now - timedelta(minutes=2), now):
        assert clocks.ahead(now - timedelta(minutes=5), theirs) == timedelta(0)
    assert clocks.ahead(now - timedelta(seconds=20), now - timedelta(seconds=50)) == timedelta(seconds=-30)
    assert clocks.ahead(now, now + timedelta(minutes=1)) > timedelta(seconds=50)


async def test_a_story_dated_ahead_lets_nothing_out_before_that_time(clinic: Clinic) -> None:
    """Database and workers on one machine whose clock jumped: once it is set back, the story is ahead of it."""
    ledger = replace(clinic.ledger, leads=replace(clinic.leads, patience=PATIENCE))
    now = datetime.now(UTC)
    first = await clinic.next_touch(await clinic.inquire())
    lead, then = first.lead_id, now + timedelta(hours=5)
    await clinic.ledger.claim(first, then)
    await clinic.ledger.settle(first, Accepted("SM1"), then)
    await clinic.commands.message(DESK, lead, Channel.SMS, "How are you?")
    action = (await clinic.ledger.plan(lead, then)).action
    assert isinstance(action, Touch)
    words = TouchRef(lead, action.touch_id, action.enrollment, action.step, action.part, action.channel)
    facts_before = await facts(clinic)
    waits = [await ledger.claim(words, now) for _ in range(2)]
    assert await facts(clinic) == facts_before + 1, "said once"
    touch = (await clinic.state(lead)).touches[words.enrollment, words.step, words.part]
    assert (touch.status, touch.rule) == (TouchStatus.DELAYED, "clock.ahead")
    assert touch.until is not None
    assert [w.action.until for w in waits if isinstance(w, View) and isinstance(w.action, Wait)] == [touch.until] * 2
    at_last = ledger.clock.real(touch.until)
    assert at_last >= then
    assert isinstance(await ledger.claim(words, at_last), Claim), "every clock has come so far"


async def test_a_confirmation_of_a_stop_that_may_be_late_is_not_sent(clinic: Clinic) -> None:
    ledger = replace(clinic.ledger, leads=replace(clinic.leads, patience=PATIENCE))
    now = datetime.now(UTC)
    first = await clinic.next_touch(await clinic.inquire())
    then = now + timedelta(hours=5)
    await clinic.ledger.claim(first, then)
    await clinic.ledger.settle(first, Accepted("SM1"), then)
    await clinic.inbound.reply(InboundSms("SM2", "+12125550101", "+15005550006", "please STOP"))
    action = (await clinic.ledger.plan(first.lead_id, then)).action
    assert isinstance(action, Touch)
    ref = TouchRef(first.lead_id, action.touch_id, action.enrollment, action.step, action.part, action.channel)
    assert isinstance(await ledger.claim(ref, now), View)
    touch = (await clinic.state(ref.lead_id)).touches[ref.enrollment, ref.step, ref.part]
    assert (touch.status, touch.rule) == (TouchStatus.SKIPPED, "stop.confirmation_late")
