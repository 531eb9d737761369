"""A copy compared with the carrier's list: nobody gets again what they may have had; what they wrote is taken in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from domain.facts import ExitReason
from domain.lead_state import STAFF, State
from domain.ledger import Claim
from domain.ports import Accepted, InboundSms, OutcomeUnknown, Remedy, TouchUpdate
from domain.touches import TouchStatus
from domain.unknown import ALONE_FOR
from store import outbox
from store.keys import create_key
from store.tables import messages, touches
from tests.store.a_copy import NUMBER, Restored


async def test_what_the_copy_knows_stops_nobody(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM1")
    compared = await copy.compare()
    assert (compared.known, compared.stopped) == (1, 0)
    assert (await copy.clinic.state(lead)).state is State.ACTIVE
    assert copy.carrier.asked[0] < copy.noticed - timedelta(hours=1)


async def test_who_got_more_than_the_copy_knows_stops_for_review_once(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.noticed = datetime.now(UTC)
    for sid in ("SM1", "SM2"):
        copy.carrier.has(sid)
    copy.carrier.has("CA1", call=True)
    assert (await copy.compare()).stopped == 1
    (review,) = await copy.reviews(lead)
    assert "1 text(s) and 1 call(s)" in str(review.reason)
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    assert (await copy.compare()).stopped == 0
    assert len(await copy.reviews(lead)) == 1


async def test_a_call_to_a_coordinators_line_is_no_lost_inquiry(copy: Restored) -> None:
    store = copy.clinic.store
    async with store.engine.begin() as conn:
        await create_key(conn, store.vault, name="desk", role="coordinator", phone="+12025550143")
    copy.carrier.has("CA1", call=True, to="+12025550143")
    copy.carrier.has("CA2", call=True, to="+12125550177")
    assert (await copy.compare()).strangers == 1


async def test_a_claim_of_the_copy_is_looked_for_and_stops_nobody(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    ref = await copy.send_first(lead, sid=None)
    copy.carrier.has("SM1", await copy.words(lead, ref))
    assert (await copy.compare()).stopped == 0
    copy.carrier.has("SM2", await copy.words(lead, ref))
    assert (await copy.compare()).stopped == 1


async def test_what_somebody_wrote_meanwhile_is_taken_in_once_and_in_order(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "What does it cost?", inbound=True)
    copy.carrier.has("SM2", "And when?", inbound=True)
    assert (await copy.compare()).replies == 2
    assert (await copy.compare()).replies == 0
    assert (await copy.clinic.state(lead)).state is State.RESTING
    async with copy.clinic.store.engine.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(messages)) == 2
        kept = (await conn.execute(select(messages.c.provider_id).order_by(messages.c.at, messages.c.id))).scalars()
        assert set(kept) == {"SM1:received", "SM2:received"}


async def test_a_stop_of_that_time_holds_and_is_not_confirmed_again(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1", "Stop", inbound=True)
    copy.carrier.has("SM2", "You are unsubscribed.")
    compared = await copy.compare()
    assert (compared.stops, compared.stopped) == (1, 0)
    state = await copy.clinic.state(lead)
    assert state.exit_reason is ExitReason.OPTED_OUT
    assert not any(touch.step == "stop" for touch in state.touches.values())


async def test_texts_to_nobody_tell_of_inquiries_that_are_lost(copy: Restored) -> None:
    copy.carrier.has("SM1", to="+12125550199")
    assert (await copy.compare()).strangers == 1


async def test_nothing_is_told_to_temporal_but_what_waits(copy: Restored) -> None:
    """A comparison may be made while nobody delivers: what it appends wakes its leads later."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM2")
    await copy.compare()
    async with copy.clinic.store.engine.begin() as conn:
        assert {entry.lead_id for entry in await outbox.take(conn, 10)} == {lead}


async def test_a_claim_that_was_not_used_yet_in_the_copy_may_have_been_used_since(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    ref = await copy.send_first(lead, sid=None)
    assert (await copy.touch(ref.touch_id)).unused is not None
    copy.carrier.has("SM1", await copy.words(lead, ref))
    assert (await copy.compare()).stopped == 0
    assert (await copy.touch(ref.touch_id)).unused is None
    claim = await copy.clinic.ledger.claim(ref, datetime.now(UTC) + timedelta(hours=1))
    assert isinstance(claim, Claim)
    assert claim.search is not None


@pytest.mark.parametrize("told", [TouchStatus.DELIVERED, TouchStatus.UNDELIVERED])
async def test_a_callback_for_what_waits_in_the_copy_says_that_it_was_sent(copy: Restored, told: TouchStatus) -> None:
    lead = await copy.clinic.inquire()
    own = await copy.writes(lead, "We call at ten.")
    assert await copy.clinic.news.update(TouchUpdate(own, "SM1", told, None, None, None, None))
    copy.carrier.has("SM1", "We call at ten.")
    assert ((await copy.compare()).known, (await copy.touch(own)).status) == (1, told.value)
    assert own not in await copy.would_send(lead)


async def test_a_callback_explains_no_call_to_a_lead_whose_call_waits_in_the_copy(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    own = await copy.writes(lead, "We call at ten.")
    async with copy.clinic.store.engine.begin() as conn:  # as a release before noted a callback
        await conn.execute(update(touches).where(touches.c.id == own).values(provider_id="CA1"))
    copy.carrier.has("CA1", call=True)
    assert (await copy.compare()).stopped == 1


async def test_an_old_claim_accounts_for_no_text_of_another_time(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    ref = await copy.send_first(lead, sid=None)
    await copy.clinic.ledger.settle(ref, OutcomeUnknown("cut"), datetime.now(UTC))
    copy.carrier.has("SM1", await copy.words(lead, ref))
    assert (await copy.compare()).stopped == 0
    copy.carrier.listed[0] = replace(copy.carrier.listed[0], at=datetime.now(UTC) + ALONE_FOR * 2)
    assert (await copy.compare()).stopped == 1


async def test_a_claim_accounts_for_no_text_with_other_words(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    ref = await copy.send_first(lead, sid=None)
    copy.carrier.has("SM1", await copy.words(lead, ref))
    assert (await copy.compare()).stopped == 0
    copy.carrier.listed.clear()
    copy.carrier.has("SM2", "Another text.")
    assert (await copy.compare()).stopped == 1


async def test_a_text_whose_words_are_gone_is_nobodys(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid=None)
    copy.carrier.has("SM1")
    assert (await copy.compare()).stopped == 1


async def test_a_persons_words_that_waited_and_were_sent_are_settled(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    once, again = [await copy.writes(lead, "Shall we call?") for _ in range(2)]
    copy.carrier.has("SM1")
    copy.carrier.has("SM2", "Shall we call?")
    compared = await copy.compare(timedelta(minutes=1))
    assert (compared.known, compared.found, compared.stopped) == (1, 1, 0)
    settled = [one for one in (once, again) if (await copy.touch(one)).provider_id == "SM2"]
    assert len(settled) == 1
    assert (await copy.touch(settled[0])).status == "accepted"
    assert (await copy.touch(settled[0])).address_id is not None
    compared = await copy.compare(timedelta(minutes=1))
    assert (compared.known, compared.found) == (2, 0)
    assert settled[0] not in await copy.would_send(lead)


@pytest.mark.parametrize(
    ("after", "found"), [(timedelta(minutes=31), 1), (timedelta(minutes=20), 0), (timedelta(days=2), 0)], ids=str
)
async def test_words_that_were_sent_once_more_are_not_sent_a_third_time(
    copy: Restored, after: timedelta, found: int
) -> None:
    """Of the first the carrier has told that it did not arrive, and tells so again. Not what a person wrote anew."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    first = await copy.writes(lead, "Shall we call?")
    ref = await copy.clinic.next_touch(lead)
    assert isinstance(await copy.clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    await copy.clinic.ledger.settle(ref, Accepted("SM2"), datetime.now(UTC))
    copy.noticed = datetime.now(UTC)
    copy.carrier.has("SM1")
    copy.carrier.has("SM2", "Shall we call?")
    copy.carrier.has("SM3", "Shall we call?", after=after)
    compared = await copy.compare()
    assert (compared.known, compared.found, compared.stopped) == (2, found, 1 - found)
    if not found:
        return
    told = TouchUpdate(first, "SM2", TouchStatus.UNDELIVERED, code="30003", remedy=Remedy.RETRY)
    assert await copy.clinic.news.update(told)
    state = await copy.clinic.state(lead)
    [second] = [t for t in state.touches.values() if t.step == STAFF and t.touch_id != first]
    assert (second.status, (await copy.touch(second.touch_id)).provider_id) == (TouchStatus.ACCEPTED, "SM3")


async def test_words_that_waited_for_the_morning_and_were_sent_in_it_are_settled(copy: Restored) -> None:
    lead = await copy.clinic.inquire(zones=("Asia/Tokyo",))  # where it is past nine in the evening
    touch = await copy.writes(lead, "Good morning.")
    await copy.clinic.ledger.plan(lead, datetime.now(UTC))
    assert (await copy.touch(touch)).status == "delayed"
    copy.carrier.has("SM1", "Good morning.")
    assert (await copy.compare(timedelta(hours=12))).found == 1
    assert (await copy.touch(touch)).status == "accepted"


async def test_words_whose_time_had_not_come_were_not_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire(zones=("Asia/Tokyo",))
    touch = await copy.writes(lead, "Good morning.")
    await copy.clinic.ledger.plan(lead, datetime.now(UTC))
    copy.carrier.has("SM1", "Good morning.")
    assert (await copy.compare()).stopped == 1
    assert (await copy.touch(touch)).status == "delayed"


async def test_words_that_the_carrier_may_have_are_unknown_and_not_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    touch = await copy.writes(lead, "Shall we call?")
    copy.carrier.has("SM2")  # its words are gone
    assert (await copy.compare(timedelta(minutes=1))).stopped == 1
    assert (await copy.touch(touch)).status == "unknown"
    assert "unknown whether sms of step staff went out" in [r.reason for r in await copy.reviews(lead)]
    assert await copy.would_send(lead) == []
    assert (await copy.compare(timedelta(minutes=1))).stopped == 0


async def test_words_are_sent_where_the_carrier_has_nothing_to_explain(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM1")
    touch = await copy.writes(lead, "Shall we call?")
    await copy.compare(timedelta(minutes=1))
    assert touch in await copy.would_send(lead)


async def test_a_stop_that_waited_to_be_confirmed_is_not_confirmed_again(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.clinic.inbound.reply(InboundSms("SM1:received", NUMBER, "+15005550006", "Please stop"))
    (waits,) = [t.touch_id for t in (await copy.clinic.state(lead)).touches.values() if t.step == "stop"]
    copy.carrier.has("SM2", "You are unsubscribed.")
    await copy.compare(timedelta(minutes=1))
    assert (await copy.touch(waits)).status == "unknown"
    assert await copy.would_send(lead) == []


async def test_a_number_that_leads_share_has_one_text_once(copy: Restored) -> None:
    ada, ben = [await copy.clinic.inquire(name) for name in ("Ada", "Ben")]
    touch = await copy.writes(ben, "Shall we call?")
    copy.carrier.has("SM1", "Shall we call?")
    compared = await copy.compare(timedelta(minutes=1))
    assert (compared.found, compared.stopped) == (1, 0)
    assert (await copy.touch(touch)).provider_id == "SM1"
    assert (await copy.clinic.state(ada)).state is not State.PAUSED
