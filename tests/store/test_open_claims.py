"""At most one open claim for each address and channel, and where a lost touch is looked for."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from domain.errors import ClaimOver
from domain.ledger import Claim, TouchRef, View
from domain.ports import Accepted, OutcomeUnknown, Rejected, Remedy, Unavailable, Unread, Unseen
from domain.touches import Channel, TouchStatus
from domain.unknown import ALONE_FOR
from store import tables
from store.engine import Store, make_engine
from store.open_claims import ALONE, unused
from store.round_trip import alone
from tests.store.test_rules import DESK, TEN, Clinic, clinic

__all__ = ["clinic"]  # the fixture


async def two_leads(clinic: Clinic) -> tuple[TouchRef, TouchRef]:
    """The first texts of two people with one phone."""
    leads = [await clinic.inquire("Ada"), await clinic.inquire("Ben")]
    refs = [await clinic.next_touch(lead) for lead in leads]
    assert {ref.channel for ref in refs} == {Channel.SMS}
    return refs[0], refs[1]


async def used_claim(clinic: Clinic) -> tuple[TouchRef, TouchRef, Claim]:
    """The same, and the claim of the first, whose request is being written."""
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    claim = await clinic.ledger.claim(one, now)
    assert isinstance(claim, Claim)
    await clinic.ledger.begin(one, claim, now)
    return one, two, claim


async def held_up(clinic: Clinic, begin: "asyncio.Task[None]") -> None:
    """Until it waits for a row that is locked."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(query, 'UPDATE touches')"
    while not begin.done() and not await alone(clinic.store.engine, (waits, {})):
        pass
    assert not begin.done(), "the claim was used while another had its row"


async def test_while_a_claim_stands_nothing_else_goes_to_the_address(clinic: Clinic) -> None:
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    assert isinstance(await clinic.ledger.claim(one, now), Claim)
    assert isinstance(await clinic.ledger.claim(two, now), View)
    waits = (await clinic.state(two.lead_id)).touches[1, "confirm", "sms"]
    assert (waits.status, (waits.rule, waits.reason)) == (TouchStatus.DELAYED, ALONE)
    assert waits.until is not None and waits.until > TEN
    await clinic.ledger.settle(one, Accepted("SM1"), now)
    later = clinic.ledger.clock.real(waits.until)
    assert isinstance(await clinic.ledger.claim(two, later), Claim)


async def test_two_claims_at_once_are_one(clinic: Clinic) -> None:
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    claims = await asyncio.gather(clinic.ledger.claim(one, now), clinic.ledger.claim(two, now))
    assert sorted(isinstance(claim, Claim) for claim in claims) == [False, True]


async def test_the_database_itself_refuses_a_second_claim(clinic: Clinic) -> None:
    one, two = await two_leads(clinic)
    assert isinstance(await clinic.ledger.claim(one, datetime.now(UTC)), Claim)
    row = (await clinic.rows(one.lead_id))["touches"][one.touch_id]
    assert isinstance(await clinic.ledger.claim(two, datetime.now(UTC)), View)
    same = {"status": "claimed", "address_id": row["address_id"], "deadline": row["deadline"]}
    with pytest.raises(IntegrityError):
        async with clinic.store.engine.begin() as conn:
            await conn.execute(update(tables.touches).where(tables.touches.c.id == two.touch_id).values(same))


async def test_one_of_unknown_outcome_keeps_the_address_until_it_should_have_shown(clinic: Clinic) -> None:
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    await clinic.ledger.claim(one, now)
    await clinic.ledger.settle(one, OutcomeUnknown("cut"), now + timedelta(seconds=1))
    assert isinstance(await clinic.ledger.claim(two, now + ALONE_FOR - timedelta(seconds=10)), View)
    until = (await clinic.state(two.lead_id)).touches[1, "confirm", "sms"].until
    assert until is not None
    free = clinic.ledger.clock.real(until)
    assert abs(free - now - ALONE_FOR) < timedelta(seconds=2)
    await clinic.do_others(two.lead_id, two, free)
    assert isinstance(await clinic.ledger.claim(two, free), Claim)


async def test_one_whose_worker_was_killed_keeps_the_address_too(clinic: Clinic) -> None:
    one, two, claim = await used_claim(clinic)
    later = claim.deadline + timedelta(seconds=2)
    look = await clinic.ledger.claim(one, later)
    assert isinstance(look, Claim) and look.search is not None
    await clinic.ledger.settle(one, Unseen("not there"), later, look.deadline)
    assert isinstance(await clinic.ledger.claim(two, later + timedelta(seconds=5)), View)
    until = (await clinic.state(two.lead_id)).touches[1, "confirm", "sms"].until
    assert until is not None
    assert abs(clinic.ledger.clock.real(until) - later - ALONE_FOR) < timedelta(seconds=2)


async def test_who_waits_for_a_claim_that_is_over_asks_ever_more_seldom(clinic: Clinic) -> None:
    _, two, claim = await used_claim(clinic)
    for over, waits in ((1, 1), (20, 10)):
        at = claim.deadline + timedelta(seconds=over)
        await clinic.do_others(two.lead_id, two, at)
        assert isinstance(await clinic.ledger.claim(two, at), View)
        until = (await clinic.state(two.lead_id)).touches[1, "confirm", "sms"].until
        assert until is not None
        assert abs(clinic.ledger.clock.real(until) - at - timedelta(seconds=waits)) < timedelta(seconds=1)


async def test_a_list_that_does_not_answer_is_no_look(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    await clinic.ledger.claim(one, now)
    await clinic.ledger.settle(one, OutcomeUnknown("cut"), now)
    for minute in range(1, 9):
        await clinic.ledger.settle(one, Unread("away"), now + timedelta(minutes=minute))
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert touch.looks == 1, "a person is asked, and nobody gives it up"
    assert touch.look_at is not None
    assert clinic.ledger.clock.real(touch.look_at) >= now + timedelta(minutes=9) - timedelta(seconds=1)


async def test_it_is_looked_for_where_no_other_touch_stands(clinic: Clinic) -> None:
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    first = await clinic.ledger.claim(one, now)
    assert isinstance(first, Claim) and first.search is None
    await clinic.ledger.settle(one, OutcomeUnknown("cut"), now)
    later = now + ALONE_FOR + timedelta(seconds=10)
    await clinic.do_others(two.lead_id, two, later)
    assert isinstance(await clinic.ledger.claim(two, later), Claim)
    await clinic.ledger.settle(two, Accepted("SM2"), later)
    look = await clinic.ledger.claim(one, later)
    assert isinstance(look, Claim) and look.search is not None
    assert look.message.to == first.message.to
    assert look.deadline < later
    assert abs(look.search.since - now) < timedelta(seconds=1)
    assert look.search.until is not None and abs(look.search.until - later) < timedelta(seconds=1)
    assert look.search.known == {"SM2"}


async def test_a_look_in_vain_is_followed_by_the_next_one(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    await clinic.ledger.claim(one, now)
    await clinic.ledger.settle(one, OutcomeUnknown("cut", "500"), now)
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert (touch.rule, touch.code, touch.looks) == ("carrier.unknown", "500", 0)
    assert isinstance(await clinic.ledger.claim(one, now + timedelta(seconds=1)), View), "not yet"
    assert isinstance(await clinic.ledger.claim(one, now + timedelta(seconds=6)), Claim)
    await clinic.ledger.settle(one, Unseen("not there"), now + timedelta(seconds=6))
    touch = (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"]
    assert (touch.looks, touch.reason) == (1, "not there")
    row = (await clinic.rows(one.lead_id))["touches"][one.touch_id]
    assert row["look_at"] == touch.look_at
    await clinic.ledger.settle(one, Accepted("SM1"), now + timedelta(seconds=21))
    row = (await clinic.rows(one.lead_id))["touches"][one.touch_id]
    assert (row["status"], row["look_at"], row["provider_id"]) == ("accepted", None, "SM1")


async def test_a_stop_tells_of_what_may_still_arrive(clinic: Clinic) -> None:
    one, _ = await two_leads(clinic)
    now = datetime.now(UTC)
    await clinic.ledger.claim(one, now)
    await clinic.ledger.settle(one, OutcomeUnknown("cut"), now)
    await clinic.ledger.settle(one, Unseen("not there"), now)
    for _ in range(20):  # the carrier may take it late, whether or not it is still looked for
        await clinic.ledger.settle(one, Unseen("not there"), now)
    assert (await clinic.state(one.lead_id)).touches[1, "confirm", "sms"].look_at is None
    assert (await clinic.commands.pause(DESK, one.lead_id, "asked")).in_flight == [one.touch_id]
    assert (await clinic.commands.opt_out(DESK, one.lead_id, ())).in_flight == [one.touch_id]


# --- a claim that was never used --------------------------------------------------------------------------------------


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
