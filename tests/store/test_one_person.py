"""One person with several leads: one conversation, and what concerns the person reaches each of its leads."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from domain import facts as f
from domain.errors import Refused
from domain.lead_state import State
from domain.ledger import Claim, TouchRef
from domain.ports import Accepted, InboundSms, Remedy, TouchUpdate
from domain.touches import Channel, Disposition, TouchStatus
from store import tables
from store.bookings import Booking
from store.click_to_call import Connected
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture

PHONE, MAIL = "+12125550101", "ada@example.com"


def wrote(number: int, body: str, phone: str = PHONE) -> InboundSms:
    return InboundSms(f"SM{number}", phone, "+15005550006", body)


async def records(clinic: Clinic, lead_id: str) -> list[f.Recorded]:
    async with clinic.store.engine.connect() as conn:
        return await clinic.leads.records(conn, lead_id)


async def two_of_one_person(clinic: Clinic) -> tuple[str, str]:
    """By phone only, then by mail only: nobody could know."""
    return await clinic.inquire(email=None), await clinic.inquire(phone=None)


async def two_at_one_number(clinic: Clinic) -> tuple[str, str]:
    by_phone, by_mail = await two_of_one_person(clinic)
    async with clinic.store.engine.begin() as conn:  # as if both had always had the number
        ours = tables.lead_addresses.c.lead_id == by_phone
        number = await conn.scalar(select(tables.lead_addresses.c.address_id).where(ours))
        await conn.execute(tables.lead_addresses.insert().values(lead_id=by_mail, address_id=number))
    return by_phone, by_mail


async def wrong_number(clinic: Clinic, lead_id: str) -> None:
    async with clinic.leads.lead(lead_id) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS, Channel.VOICE), cause="wrong_number"), "desk")


async def booking(clinic: Clinic, days: int = 5, **named: str) -> str:
    starts = clinic.leads.now() + timedelta(days=days)
    booked = Booking(f.BookingEvent.BOOKED, "A1", clinic.leads.now(), starts_at=starts, **named)
    lead_id = (await clinic.commands.booking(DESK, booked)).lead_id
    assert lead_id is not None
    return lead_id


async def test_an_inquiry_that_ties_two_leads_starts_no_second_conversation_at_one_number(clinic: Clinic) -> None:
    by_phone, by_mail = await two_of_one_person(clinic)
    asked = await clinic.inquire()
    other = by_phone if asked == by_mail else by_mail
    assert asked in (by_phone, by_mail)
    (callback,) = [t for t in (await clinic.state(asked)).tasks.values() if t.kind is f.TaskKind.CALLBACK]
    assert other in (callback.reason or "")
    assert (await clinic.state(by_phone)).phone
    assert not (await clinic.state(by_phone)).email
    assert not (await clinic.state(by_mail)).phone


async def test_an_inquiry_goes_to_the_likeliest_of_several(clinic: Clinic) -> None:
    senior = await clinic.inquire("John", email=None, last_name="Doe Sr")
    junior = await clinic.inquire("John", email=None, last_name="Doe Jr")
    assert junior != senior
    assert await clinic.inquire("John", email=None, last_name="Doe Sr") == senior
    unclear = await clinic.inquire("John", email=None, last_name=None)
    reasons = [t.reason for t in (await clinic.state(unclear)).tasks.values() if t.living]
    assert reasons == [f"asked again, and may be lead {senior if unclear == junior else junior} as well"]


async def test_a_reply_is_asked_about_where_one_person_has_two_living_leads(clinic: Clinic) -> None:
    first, second = await clinic.inquire(), await clinic.inquire(is_test=True)
    assert first != second
    await clinic.inbound.reply(wrote(1, "I have a question"))
    for lead in (first, second):
        assert (await clinic.state(lead)).state is State.RESTING, "nobody whose reply waits is written to"


async def test_a_booking_ends_every_cadence_of_the_person(clinic: Clinic) -> None:
    over = await clinic.inquire()
    await clinic.commands.disqualify(DESK, over, "x")
    again, relative = await clinic.inquire(), await clinic.inquire("Ben")
    with pytest.raises(Refused, match=again):
        await clinic.commands.enroll(DESK, over, "consultation", None)
    assert await booking(clinic, lead_id=over) == over
    assert (await clinic.state(again)).exit_reason is f.ExitReason.BOOKED
    assert (await clinic.state(relative)).exit_reason is None
    state = await clinic.state(over)
    assert state.enrollment is not None
    assert state.enrollment.sequence == "booked"


async def test_a_booking_by_phone_of_one_person_with_two_leads_ends_both_cadences(clinic: Clinic) -> None:
    by_phone, by_mail = await two_at_one_number(clinic)
    booked = await booking(clinic, phone=PHONE)
    other = by_mail if booked == by_phone else by_phone
    assert (await clinic.state(other)).exit_reason is f.ExitReason.BOOKED


@pytest.mark.parametrize("event", [f.BookingEvent.BOOKED, f.BookingEvent.ARRIVED, f.BookingEvent.COMPLETED])
async def test_who_has_come_is_asked_by_neither_lead_to_book(clinic: Clinic, event: f.BookingEvent) -> None:
    """A walk-in, entered a minute late or as what became of it; told again, what is on its way is named again."""
    came, other = await two_at_one_number(clinic)
    ref, now = await clinic.next_touch(other), clinic.leads.now()
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    told = Booking(event, "A1", now, lead_id=came, starts_at=now - timedelta(minutes=1))
    assert [(await clinic.commands.booking(DESK, told)).in_flight for _ in range(2)] == [[ref.touch_id]] * 2
    assert (await clinic.state(other)).exit_reason is f.ExitReason.BOOKED


@pytest.mark.parametrize("event", [f.BookingEvent.CANCELLED, f.BookingEvent.NO_SHOW])
async def test_who_has_not_come_is_still_asked_to_book(clinic: Clinic, event: f.BookingEvent) -> None:
    missed, other = await two_at_one_number(clinic)
    now = clinic.leads.now()
    told = Booking(event, "A1", now, lead_id=missed, starts_at=now - timedelta(minutes=1))
    await clinic.commands.booking(DESK, told)
    assert (await clinic.state(other)).exit_reason is None


async def test_an_old_visit_that_is_told_late_ends_nobodys_cadence(clinic: Clinic) -> None:
    over = await clinic.inquire()
    await clinic.commands.disqualify(DESK, over, "x")
    again = await clinic.inquire()
    await booking(clinic, days=-3, lead_id=over)
    assert (await clinic.state(again)).exit_reason is None


async def test_a_booking_by_phone_finds_the_person_behind_finished_leads(clinic: Clinic) -> None:
    for _ in range(2):
        newest = await clinic.inquire()
        await clinic.commands.disqualify(DESK, newest, "x")
    assert await booking(clinic, phone=PHONE) == newest


async def test_a_stop_of_a_numbers_owner_leaves_who_mistyped_it_their_mail(clinic: Clinic) -> None:
    mistyped = await clinic.inquire()
    await wrong_number(clinic, mistyped)
    await clinic.inbound.reply(wrote(1, "STOP"))
    await clinic.inbound.reply(wrote(2, "stop!"))
    state = await clinic.state(mistyped)
    assert (state.exit_reason, state.opted_out) == (None, frozenset())
    assert [t.status for t in state.touches.values() if t.step == "stop"] == [TouchStatus.PLANNED], "one confirmation"
    assert [r.fact.intent for r in await records(clinic, mistyped) if isinstance(r.fact, f.Replied)] == ["opt_out"] * 2
    assert state.last_reply_at is None, "it was not the lead that wrote"
    owner = await clinic.inquire("Ben", email=None)
    assert (await clinic.state(owner)).closed >= {Channel.SMS, Channel.VOICE}, "stopped by its owner, before"


async def test_a_stop_of_who_mistyped_a_number_leaves_its_owner_alone(clinic: Clinic) -> None:
    mistyped = await clinic.inquire()
    await wrong_number(clinic, mistyped)
    owner, relative = await clinic.inquire("Olga", email=None), await clinic.inquire("Ben", phone=None)
    ref = await clinic.next_touch(owner)
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    answers = [await clinic.commands.opt_out(DESK, mistyped, None) for _ in range(2)]
    assert [ref.touch_id in answer.in_flight for answer in answers] == [False, False]
    state = await clinic.state(mistyped)
    assert (state.exit_reason, state.opted_out) == (f.ExitReason.OPTED_OUT, frozenset(Channel))
    assert [r.fact.kind for r in await records(clinic, mistyped)].count("opt_out") == 1
    assert await clinic.causes() == {"email": "opt_out"}, "the number is its owner's to close"
    state = await clinic.state(owner)
    assert (state.exit_reason, state.closed) == (None, frozenset())
    assert (await clinic.state(relative)).opted_out == {Channel.EMAIL}


async def test_a_relative_is_not_stopped_at_a_number_that_is_not_theirs(clinic: Clinic) -> None:
    lead, relative, link = await clinic.inquire(), await clinic.inquire("Ben"), tables.lead_addresses
    number = select(tables.addresses.c.id).where(tables.addresses.c.kind == "phone").scalar_subquery()
    async with clinic.store.engine.begin() as conn:
        theirs = update(link).where(link.c.lead_id == relative, link.c.address_id == number)
        await conn.execute(theirs.values(wrong=True))
    await clinic.commands.opt_out(DESK, lead, None)
    assert (await clinic.state(relative)).opted_out == {Channel.EMAIL}, "the mail is shared"


async def test_a_stop_of_a_numbers_owner_waits_for_nobody_who_mistyped_it(clinic: Clinic) -> None:
    mistyped = await clinic.inquire()
    await wrong_number(clinic, mistyped)
    owner = await clinic.inquire("Olga", email=None)
    async with clinic.store.engine.begin() as conn, asyncio.timeout(5):
        await conn.execute(select(tables.leads.c.id).where(tables.leads.c.id == mistyped).with_for_update())
        await clinic.commands.opt_out(DESK, owner, None)
    assert (await clinic.state(owner)).exit_reason is f.ExitReason.OPTED_OUT


async def test_what_the_carrier_says_of_a_number_holds_whoever_had_mistyped_it(clinic: Clinic) -> None:
    mistyped, owner = await clinic.inquire(), await clinic.inquire("Olga", email=None)
    ref, now = await clinic.next_touch(mistyped), datetime.now(UTC)
    assert isinstance(await clinic.ledger.claim(ref, now), Claim)
    await clinic.ledger.settle(ref, Accepted("SM9"), now)
    await wrong_number(clinic, mistyped)
    told = TouchUpdate(ref.touch_id, "SM9", TouchStatus.UNDELIVERED, code="21610", remedy=Remedy.SUPPRESS_NUMBER)
    await clinic.news.update(told)
    assert await clinic.causes() == {"sms": "suppressed", "voice": "suppressed"}
    assert (await clinic.state(owner)).closed == {Channel.SMS, Channel.VOICE}


async def test_the_owner_of_a_mistyped_number_is_answered_like_anybody(clinic: Clinic) -> None:
    await wrong_number(clinic, await clinic.inquire("Walt", email=None))
    owner = await clinic.inquire("Olga", email=None)
    ref = await clinic.next_touch(owner)
    assert isinstance(await clinic.ledger.claim(ref, datetime.now(UTC)), Claim)
    await clinic.inbound.reply(wrote(1, "I am Olga, please tell me more"))
    await clinic.commands.message(DESK, owner, Channel.SMS, "Gladly")


async def test_a_wrong_number_given_again_by_the_same_person_stays_wrong(clinic: Clinic) -> None:
    first = await clinic.inquire()
    await wrong_number(clinic, first)
    await clinic.commands.disqualify(DESK, first, "x")
    again = await clinic.inquire(email="ada.other@example.com")
    assert (await clinic.state(again)).closed == {Channel.SMS, Channel.VOICE}
    await clinic.inbound.reply(wrote(1, "STOP"))  # of its owner
    state = await clinic.state(again)
    assert (state.exit_reason, state.opted_out) == (None, frozenset())


async def test_a_number_may_be_wrong_for_two_leads(clinic: Clinic) -> None:
    mistyped = [await clinic.inquire("Ada"), await clinic.inquire("Cleo", email="cleo@example.com")]
    for lead in mistyped:
        await wrong_number(clinic, lead)
    owner = await clinic.inquire("Ben", email=None)
    await clinic.inbound.reply(wrote(1, "Who are you?"))
    assert [t.kind for t in (await clinic.state(owner)).tasks.values() if t.message_id] == [f.TaskKind.REPLY]
    for lead in mistyped:
        assert (await clinic.state(lead)).rest is None


async def test_a_repeat_that_brings_a_stopped_number_says_so_in_its_state(clinic: Clinic) -> None:
    await clinic.inquire("Ben", email=None)
    await clinic.inbound.reply(wrote(1, "STOP"))
    lead = await clinic.inquire(phone=None)
    assert await clinic.inquire() == lead
    state = await clinic.state(lead)
    assert state.phone
    assert state.closed >= {Channel.SMS, Channel.VOICE}


async def test_a_lead_that_finishes_while_an_inquiry_waits_for_it_is_not_asked_again(clinic: Clinic) -> None:
    first = await clinic.inquire()
    # held by another address than the inquiry's
    async with clinic.store.engine.begin() as conn, clinic.leads.within(conn, first, locked=True) as unit:
        asking = asyncio.create_task(clinic.inquire())
        await clinic.waits_for_a_lock()
        unit.append(f.Disqualified(reason="x"), "desk")
    assert await asking != first


async def test_a_no_show_of_an_old_lead_starts_nothing_while_the_person_is_contacted_as_another(clinic: Clinic) -> None:
    over = await clinic.inquire()
    await booking(clinic, days=-3, lead_id=over)
    await clinic.commands.opt_out(DESK, over, (Channel.SMS,))
    async with clinic.leads.lead(over) as unit:
        unit.append(f.Finished(exit_reason=f.ExitReason.EXHAUSTED), "test")
    again = await clinic.inquire("Ada", email="ada@example.com", phone=None)
    assert again != over
    missed = Booking(f.BookingEvent.NO_SHOW, "A1", clinic.leads.now(), lead_id=over)
    await clinic.commands.booking(DESK, missed)
    assert (await clinic.state(over)).exit_reason is f.ExitReason.EXHAUSTED


async def test_each_call_of_a_promised_callback_is_heard_of(clinic: Clinic) -> None:
    """By the carrier's callbacks: busy, then busy again, then a person; and what comes late changes nothing."""
    lead = await clinic.inquire()
    await clinic.inquire()  # asks again
    (task,) = [t.id for t in (await clinic.state(lead)).tasks.values() if t.kind is f.TaskKind.CALLBACK]
    await clinic.commands.claim_task(DESK, task)
    ends = (Disposition.BUSY, Disposition.BUSY, Disposition.ANSWERED)
    for number, end in enumerate(ends):
        await clinic.commands.dial_task(DESK, task)
        (dial,) = [t for t in (await clinic.state(lead)).touches.values() if t.task_id and t.status == "planned"]
        ref = TouchRef(lead, dial.touch_id, dial.enrollment, dial.step, dial.part, Channel.VOICE)
        now = datetime.now(UTC)
        assert isinstance(await clinic.ledger.claim(ref, now), Claim)
        await clinic.ledger.rang(ref, Accepted(f"CA-desk{number}"), now)
        assert isinstance(await clinic.click_to_call.connect(dial.touch_id, f"CA-desk{number}"), Connected)
        with pytest.raises(Refused, match="on its way"):
            await clinic.commands.dial_task(DESK, task)
        told = TouchUpdate(dial.touch_id, f"CA{number}", TouchStatus.DELIVERED, disposition=end)
        assert await clinic.news.update(told)
        assert not await clinic.news.update(told), "it changes nothing the second time"
    state = await clinic.state(lead)
    assert len(state.tasks[task].ended) == len(ends)
    assert (state.tasks[task].disposition, state.state) == (Disposition.ANSWERED, State.RESTING)
    assert len([r for r in await records(clinic, lead) if isinstance(r.fact, f.CallEnded)]) == len(ends)
