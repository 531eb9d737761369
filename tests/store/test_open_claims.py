"""At most one open claim for each address and channel, and where a lost touch is looked for."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from domain.ledger import Claim, TouchRef, View
from domain.ports import Accepted, OutcomeUnknown, Unread, Unseen
from domain.touches import Channel, TouchStatus
from domain.unknown import ALONE_FOR
from stack.database import Tools
from stack.doctor import NOT_SETTLED, _held_up
from stack.verdicts import Verdict
from store import tables
from store.open_claims import ALONE
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
    assert not look.search.over, "its worker may be at it still"
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


@pytest.mark.parametrize("following", [Accepted("SM2"), OutcomeUnknown("cut")])
async def test_it_is_looked_for_where_no_other_touch_may_stand(
    clinic: Clinic, following: Accepted | OutcomeUnknown
) -> None:
    """One whose own text is known takes no other's place: the provider may take the first after it."""
    one, two = await two_leads(clinic)
    now = datetime.now(UTC)
    first = await clinic.ledger.claim(one, now)
    assert isinstance(first, Claim) and first.search is None
    await clinic.ledger.settle(one, OutcomeUnknown("cut"), now)
    later = now + ALONE_FOR + timedelta(seconds=10)
    await clinic.do_others(two.lead_id, two, later)
    assert isinstance(await clinic.ledger.claim(two, later), Claim)
    await clinic.ledger.settle(two, following, later)
    look = await clinic.ledger.claim(one, later)
    assert isinstance(look, Claim) and look.search is not None
    assert look.search.over
    assert look.message.to == first.message.to
    assert look.deadline < later
    assert abs(look.search.since - now) < timedelta(seconds=1)
    if isinstance(following, Accepted):
        assert look.search.until is None
        assert look.search.known == {"SM2"}
    else:
        assert look.search.until is not None and abs(look.search.until - later) < timedelta(seconds=1)
        assert look.search.known == frozenset()


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


async def test_whom_a_claim_that_nobody_settles_holds_up_can_be_asked(clinic: Clinic) -> None:
    """Its lead may be unreadable; the other one only seems to wait its turn."""
    one, two = await two_leads(clinic)
    await clinic.ledger.claim(one, datetime.now(UTC))
    await clinic.ledger.claim(two, datetime.now(UTC))
    found = cast(Tools, SimpleNamespace(engine=clinic.store.engine))
    assert (await _held_up(found)).verdict is Verdict.OK, "it may yet be settled"
    async with clinic.store.engine.begin() as conn:
        long_ago = datetime.now(UTC) - NOT_SETTLED - timedelta(seconds=1)
        await conn.execute(update(tables.touches).where(tables.touches.c.id == one.touch_id).values(deadline=long_ago))
        table = tables.facts
        await conn.execute(update(table).where(table.c.lead_id == one.lead_id).values(version=99, release="0.7.0"))
    line = await _held_up(found)
    assert line.verdict is Verdict.WRONG
    assert f"{two.lead_id} for {one.lead_id}" in line.found
