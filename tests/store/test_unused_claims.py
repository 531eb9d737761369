"""A claim that was never used has sent nothing: who uses it, who makes it anew, whose word on it counts."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import OperationalError

from domain.errors import ClaimOver
from domain.ledger import Claim
from domain.ports import Accepted, OutcomeUnknown, Rejected, Remedy, Unavailable, Unread, Unseen
from domain.touches import TouchStatus
from store import tables
from store.engine import Store, make_engine
from store.open_claims import unused
from store.round_trip import alone
from tests.store.test_open_claims import two_leads, used_claim
from tests.store.test_rules import Clinic, clinic

__all__ = ["clinic"]  # the fixture


async def held_up(clinic: Clinic, begin: "asyncio.Task[None]") -> None:
    """Until it waits for a row that is locked."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(query, 'UPDATE touches')"
    while not begin.done() and not await alone(clinic.store.engine, (waits, {})):
        pass
    assert not begin.done(), "the claim was used while another had its row"


@pytest.mark.parametrize("after", [timedelta(seconds=3), timedelta(seconds=20)])
async def test_a_claim_whose_worker_died_before_the_request_sent_nothing_and_is_made_anew(
    clinic: Clinic, after: timedelta
) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    first = await clinic.ledger.claim(one, now)
    assert isinstance(first, Claim)
    again = await clinic.ledger.claim(one, now + after)  # Temporal has taken the first one for lost
    assert isinstance(again, Claim) and again.search is None
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert touch.status is TouchStatus.CLAIMED
    with pytest.raises(ClaimOver):  # the first one was frozen, and comes back
        await clinic.ledger.begin(one, first, now + timedelta(seconds=1))
    await clinic.ledger.begin(one, again, now + after)


async def test_a_claim_that_was_used_is_only_looked_for(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    claim = await clinic.ledger.claim(one, now)
    assert isinstance(claim, Claim)
    await clinic.ledger.begin(one, claim, now)
    with pytest.raises(ClaimOver):
        await clinic.ledger.begin(one, claim, now)  # once
    later = await clinic.ledger.claim(one, claim.deadline + timedelta(hours=1))
    assert isinstance(later, Claim) and later.search is not None


async def test_a_claim_is_not_used_after_its_deadline(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    claim = await clinic.ledger.claim(one, datetime.now(UTC))
    assert isinstance(claim, Claim)
    with pytest.raises(ClaimOver):
        await clinic.ledger.begin(one, claim, claim.deadline)


async def test_the_claim_of_a_release_that_does_not_say_whether_it_was_used_is_looked_for(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    claim = await clinic.ledger.claim(one, datetime.now(UTC))
    assert isinstance(claim, Claim)
    later = claim.deadline + timedelta(seconds=20)
    async with clinic.store.engine.begin() as conn:  # claimed again by such a one: it leaves the column as it is
        mine = update(tables.touches).where(tables.touches.c.id == one.touch_id)
        await conn.execute(mine.values(claimed_at=claim.deadline, deadline=later - timedelta(seconds=5)))
    looks = await clinic.ledger.claim(one, later)
    assert isinstance(looks, Claim) and looks.search is not None


async def test_who_claims_anew_and_who_comes_back_do_not_both_send(clinic: Clinic) -> None:
    """Whatever their clocks say: the row decides."""
    for _ in range(10):
        lead = await clinic.inquire(phone=f"+1212555{3000 + _}", email=None)
        ref, now = await clinic.next_touch(lead), datetime.now(UTC)
        first = await clinic.ledger.claim(ref, now)
        assert isinstance(first, Claim)
        begun, second = await asyncio.gather(
            clinic.ledger.begin(ref, first, now),
            clinic.ledger.claim(ref, now + timedelta(seconds=3)),
            return_exceptions=True,
        )
        assert isinstance(second, Claim)
        assert isinstance(begun, ClaimOver) == (second.search is None)


async def test_who_claims_anew_holds_up_who_comes_back_until_it_has_written(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    claim = await clinic.ledger.claim(one, now)
    assert isinstance(claim, Claim)
    engine = clinic.store.engine
    async with engine.begin() as conn:
        assert await unused(conn, one)
        late = asyncio.create_task(clinic.ledger.begin(one, claim, now))
        await held_up(clinic, late)
        anew = {"deadline": claim.deadline + timedelta(seconds=4), "unused": claim.deadline + timedelta(seconds=4)}
        await conn.execute(update(tables.touches).where(tables.touches.c.id == one.touch_id).values(**anew))
    with pytest.raises(ClaimOver):
        await late


async def test_a_worker_whose_clock_is_behind_tries_ever_more_seldom(clinic: Clinic) -> None:
    one = await clinic.next_touch(await clinic.inquire(email=None))
    waited, now = list[float](), datetime.now(UTC)
    for _ in range(4):
        claim = await clinic.ledger.claim(one, now)
        assert isinstance(claim, Claim)
        with pytest.raises(ClaimOver):
            await clinic.ledger.begin(one, claim, claim.deadline)
        await clinic.ledger.settle(one, Unavailable("too late"), now, claim.deadline)
        touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
        assert (touch.status, touch.reason) == (TouchStatus.DELAYED, "too late") and touch.until is not None
        until = clinic.ledger.clock.real(touch.until)
        waited.append((until - now).total_seconds())
        now = until
    assert waited == pytest.approx([2, 4, 8, 16], abs=0.5)
    assert touch.tries == 4, "as many as any other touch that is not taken, and no more"


@pytest.mark.parametrize(
    "late",
    [
        Unavailable("too many", code="429"),
        Rejected("bad", "21211", Remedy.SUPPRESS),
        Rejected("suspended", "1", Remedy.ALERT),
    ],
)
async def test_who_used_its_claim_may_still_say_that_it_was_not_taken(
    clinic: Clinic, late: Unavailable | Rejected
) -> None:
    one, _, claim = await used_claim(clinic)
    await clinic.ledger.settle(one, Unseen("not there"), claim.deadline + timedelta(seconds=6))
    assert (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"].status is TouchStatus.UNKNOWN
    await clinic.ledger.settle(one, late, claim.deadline + timedelta(seconds=20), claim.deadline)
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert (touch.status, touch.reason) == (TouchStatus.FAILED, late.reason), "and it is not sent after all"
    assert bool(await clinic.causes()) is (isinstance(late, Rejected) and late.remedy is Remedy.SUPPRESS)


@pytest.mark.parametrize(
    "late",
    [Unavailable("no connection"), Unavailable("too many", code="429"), Rejected("bad", "21211", Remedy.SUPPRESS)],
)
async def test_what_a_thawed_worker_tells_of_its_claim_says_nothing_of_the_next_one(
    clinic: Clinic, late: Unavailable | Rejected
) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    first = await clinic.ledger.claim(one, now)
    second = await clinic.ledger.claim(one, now + timedelta(seconds=4))
    assert isinstance(first, Claim) and isinstance(second, Claim)
    await clinic.ledger.begin(one, second, now + timedelta(seconds=4))
    await clinic.ledger.settle(one, late, now + timedelta(seconds=5), first.deadline)
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert touch.status is TouchStatus.CLAIMED, "the second one is on its way"
    await clinic.ledger.settle(one, Accepted("SM1"), now + timedelta(seconds=6), second.deadline)
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert touch.status is TouchStatus.ACCEPTED


@pytest.mark.parametrize("late", [Unseen("not there"), Unread("no answer"), OutcomeUnknown("cut")])
async def test_what_was_found_out_of_an_earlier_claim_says_nothing_of_the_next_one(
    clinic: Clinic, late: OutcomeUnknown
) -> None:
    one, _, first = await used_claim(clinic)
    now = datetime.now(UTC)
    await clinic.ledger.settle(one, Unavailable("no connection"), now, first.deadline)
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert touch.until is not None
    next_ = await clinic.ledger.claim(one, clinic.ledger.clock.real(touch.until))
    assert isinstance(next_, Claim)
    await clinic.ledger.settle(one, late, now, first.deadline)  # who looked for the first one was frozen
    assert (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"].status is TouchStatus.CLAIMED
    await clinic.ledger.begin(one, next_, clinic.ledger.clock.real(touch.until))


async def test_an_answer_is_written_once_the_database_is_back(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    claim = await clinic.ledger.claim(one, datetime.now(UTC))
    assert isinstance(claim, Claim)
    failures = [OperationalError("it restarts", None, Exception()) for _ in range(2)]

    def away(_: object) -> None:
        if failures:
            raise failures.pop()

    engine = clinic.store.engine.sync_engine
    event.listen(engine, "begin", away)
    try:
        await clinic.ledger.settle(one, Accepted("SM1"), datetime.now(UTC), claim.deadline)
    finally:
        event.remove(engine, "begin", away)
    assert not failures
    assert (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"].status is TouchStatus.ACCEPTED


async def test_a_claim_that_cannot_be_used_sends_nothing(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    claim = await clinic.ledger.claim(one, datetime.now(UTC))
    assert isinstance(claim, Claim)
    nobody = Store(make_engine("postgresql://tend@127.0.0.1:1/tend"), clinic.store.vault)
    cut_off = replace(clinic.ledger, leads=replace(clinic.leads, store=nobody))
    with pytest.raises(Unavailable):
        await cut_off.begin(one, claim, datetime.now(UTC))


async def test_a_database_that_was_frozen_uses_no_claim_that_is_over(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    claim = await clinic.ledger.claim(one, now)
    assert isinstance(claim, Claim)
    holder = clinic.store.engine
    async with holder.begin() as conn:  # what is asked waits for this
        await conn.execute(select(tables.touches.c.id).where(tables.touches.c.id == one.touch_id).with_for_update())
        late = asyncio.create_task(clinic.ledger.begin(one, claim, claim.deadline - timedelta(seconds=0.2)))
        over = datetime.now(UTC) + timedelta(seconds=0.5)
        await held_up(clinic, late)
        while not (await alone(holder, ("SELECT clock_timestamp() > %(at)s AS over", {"at": over})))[0]["over"]:
            pass
        await conn.execute(text("UPDATE touches SET code = NULL WHERE id = :id"), {"id": one.touch_id})
    with pytest.raises(ClaimOver):
        await late
    again = await clinic.ledger.claim(one, claim.deadline)
    assert isinstance(again, Claim) and again.search is None
