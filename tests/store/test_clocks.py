"""A clock that jumps: a worker does nothing meanwhile, what is told is dated by the database, what it dated waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from domain import facts as f
from domain.errors import ClaimOver, ClocksApart, InvalidInput
from domain.ledger import Claim, TouchRef, View
from domain.next_action import Touch, Wait
from domain.patience import PATIENCE
from domain.ports import Accepted, InboundSms, OutcomeUnknown, Unavailable
from domain.touches import Channel, TouchStatus
from store import clocks, lead_rows, tables
from store.bookings import Booking
from store.click_to_call import ClickToCall, NotConnected
from store.lead_unit import Leads
from tests.store.test_click_to_call import dialled
from tests.store.test_rules import DESK, Clinic, clinic

__all__ = ["clinic"]  # the fixture
ELEVEN_HOURS = timedelta(hours=11)


def jumps(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(clocks, "ours", lambda: datetime.now(UTC) + by)


def off(clinic: Clinic, by: timedelta) -> Leads:
    """Those of a process whose clock is so far ahead."""
    true = clinic.leads.now
    return replace(clinic.leads, now=lambda: true() + by, product=clinic.ledger.clock.product)


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
    leads = off(clinic, by)
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


@pytest.mark.parametrize("answer", [Unavailable("too many", "20429", 5.0), OutcomeUnknown("cut")], ids=repr)
@pytest.mark.parametrize("by", [ELEVEN_HOURS, -ELEVEN_HOURS], ids=str)
async def test_what_a_provider_answered_is_written_whatever_the_clock_says(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta, answer: Unavailable | OutcomeUnknown
) -> None:
    """It jumped while the request was under way; the time that the activity measures went on as it should."""
    true = clinic.leads.now
    ref = await clinic.next_touch(await clinic.inquire())
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    since, began = true(), datetime.now(UTC)
    jumps(monkeypatch, by)
    leads = off(clinic, by)
    ledger = replace(clinic.ledger, leads=leads, measured=True)
    await ledger.settle(ref, answer, datetime.now(UTC), claim.deadline)
    monkeypatch.undo()
    soon = timedelta(minutes=3)  # longer than anything of this waits
    touch = (await clinic.state(ref.lead_id)).touches[ref.enrollment, ref.step, ref.part]
    measured = timedelta(seconds=1)  # how far two clocks are apart is known to a round trip
    assert since - measured <= touch.at <= true() + measured
    async with clinic.store.engine.connect() as conn:
        deadline = await conn.scalar(select(tables.touches.c.deadline).where(tables.touches.c.id == ref.touch_id))
        brake = await conn.scalar(select(tables.brakes.c.until))
    if isinstance(answer, Unavailable):
        assert (touch.status, deadline) == (TouchStatus.DELAYED, None)
        assert touch.until is not None and since < touch.until < since + soon
        assert brake is not None and began < brake < began + soon
    else:
        assert touch.status is TouchStatus.UNKNOWN
        assert touch.look_at is not None and since < touch.look_at < since + soon
        assert deadline is not None and began < deadline < began + soon


async def test_an_answer_that_comes_after_the_machine_slept_is_dated_by_the_database(clinic: Clinic) -> None:
    ref = await clinic.next_touch(await clinic.inquire())
    claim = await clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    ledger, began = replace(clinic.ledger, measured=True), datetime.now(UTC)
    await ledger.settle(ref, OutcomeUnknown("cut"), began - timedelta(hours=5), claim.deadline)
    async with clinic.store.engine.connect() as conn:
        deadline = await conn.scalar(select(tables.touches.c.deadline).where(tables.touches.c.id == ref.touch_id))
    assert deadline is not None and deadline > began, "nothing else goes to the address meanwhile"


@pytest.mark.parametrize("by", [ELEVEN_HOURS, -ELEVEN_HOURS], ids=str)
async def test_a_booking_of_now_is_no_later_than_what_a_scheduler_tells_next(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    true = clinic.leads.now
    leads = off(clinic, by)
    lead, at = await clinic.inquire(), true() + timedelta(days=2)
    jumps(monkeypatch, by)
    own = Booking(f.BookingEvent.BOOKED, f"A-{lead}", None, lead, starts_at=at, facility="main")
    assert (await Clinic(clinic.store, leads, clinic.ledger).commands.booking("lead", own)).changed
    monkeypatch.undo()
    cancelled = await clinic.commands.booking(DESK, Booking(f.BookingEvent.CANCELLED, f"A-{lead}", true()))
    assert cancelled.changed
    [appointment] = (await clinic.state(lead)).appointments.values()
    assert appointment.status is f.AppointmentStatus.CANCELLED


async def test_an_event_is_of_the_future_by_the_database(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    true = clinic.leads.now
    behind = off(clinic, -ELEVEN_HOURS)
    ahead = off(clinic, ELEVEN_HOURS)
    lead = await clinic.inquire()
    booked = Booking(f.BookingEvent.BOOKED, f"A-{lead}", true(), lead, starts_at=true() + timedelta(days=2))
    jumps(monkeypatch, -ELEVEN_HOURS)
    assert (await Clinic(clinic.store, behind, clinic.ledger).commands.booking(DESK, booked)).changed
    monkeypatch.undo()
    jumps(monkeypatch, ELEVEN_HOURS)
    with pytest.raises(InvalidInput, match="lies in the future"):
        await Clinic(clinic.store, ahead, clinic.ledger).commands.booking(
            DESK, replace(booked, occurred_at=true() + timedelta(hours=3))
        )


async def test_a_stop_of_a_number_that_nobody_has_is_dated_by_the_database(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = clinic.leads.now
    leads = off(clinic, ELEVEN_HOURS)
    jumps(monkeypatch, ELEVEN_HOURS)
    await Clinic(clinic.store, leads, clinic.ledger).inbound.reply(
        InboundSms("SM9", "+12125550188", "+15005550006", "STOP")
    )
    async with clinic.store.engine.connect() as conn:
        at = await conn.scalar(select(tables.stops.c.at))
    assert at is not None and at <= true()


async def test_a_stop_of_a_lead_that_is_dated_ahead_is_dated_by_the_clock_for_whom_it_reaches(clinic: Clinic) -> None:
    """B, who shares A's number, need not wait because A's story is ahead of every clock."""
    asked = await clinic.next_touch(await clinic.inquire())
    other = await clinic.inquire(first_name="Bea", email="bea@example.com")
    await clinic.ledger.claim(asked, then := datetime.now(UTC) + ELEVEN_HOURS)
    await clinic.ledger.settle(asked, Accepted("SM1"), then)
    await clinic.commands.opt_out(DESK, asked.lead_id, (Channel.SMS,))
    async with clinic.store.engine.connect() as conn:
        reached = await lead_rows.records(conn, clinic.store.vault, other)
    assert [r.at <= clinic.leads.now() for r in reached if isinstance(r.fact, f.OptedOut)] == [True]


async def test_whose_reply_it_is_is_dated_by_the_clock_for_the_others_that_were_asked_about(clinic: Clinic) -> None:
    other = await clinic.inquire(first_name="Bea", email="bea@example.com")
    asked = await clinic.next_touch(await clinic.inquire())
    await clinic.ledger.claim(asked, then := datetime.now(UTC) + ELEVEN_HOURS)
    await clinic.ledger.settle(asked, Accepted("SM1"), then)
    await clinic.inbound.reply(InboundSms("SM2", "+12125550101", "+15005550006", "A question"))
    holds = {
        task.id: lead
        for lead in (asked.lead_id, other)
        for task in (await clinic.state(lead)).tasks.values()
        if task.candidates
    }
    [(task, holder)] = holds.items()
    assert holder == asked.lead_id, "the task is that of the lead whose story is ahead"
    await clinic.commands.claim_task(DESK, task)
    await clinic.commands.complete_task(DESK, task, lead_id=other)
    async with clinic.store.engine.connect() as conn:
        told = await lead_rows.records(conn, clinic.store.vault, other)
    assert [r.at <= clinic.leads.now() for r in told if isinstance(r.fact, f.Replied)] == [True, True]


async def test_a_call_dialled_by_a_clock_that_was_ahead_never_rings_the_lead(clinic: Clinic) -> None:
    leads = replace(clinic.leads, patience=PATIENCE)  # facts ahead of now are looked for again
    call = await dialled(clinic)  # its facts are three minutes ahead
    assert isinstance(await call.ring(), Claim)
    assert await ClickToCall(leads).connect(call.ref.touch_id, "CA1") == NotConnected("clock.ahead")
    assert ((await call.touch()).status, (await call.touch()).rule) == (TouchStatus.FAILED, "clock.ahead")


async def test_a_call_dialled_by_a_clock_that_was_ahead_does_not_ring_the_desk_when_that_time_has_come(
    clinic: Clinic,
) -> None:
    ledger = replace(clinic.ledger, leads=replace(clinic.leads, patience=PATIENCE))
    call = await dialled(clinic)
    assert isinstance(await ledger.claim(call.ref, datetime.now(UTC)), View)
    assert ((await call.touch()).status, (await call.touch()).rule) == (TouchStatus.FAILED, "clock.ahead")
    assert await call.held() is f.TaskState.CLAIMED, "it can be dialled again"


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
