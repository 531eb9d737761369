"""Numbers of a time that a restore has lost: what begins there is stopped for review, until somebody has looked."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select

from domain import facts as f
from domain.facts import ExitReason
from domain.lead_state import State
from domain.ledger import TouchRef
from domain.ports import InboundSms
from domain.restored import LOST_FOR
from domain.standing import PUT_BACK
from domain.sweep import Missed, Tally
from domain.touches import Channel
from store.bookings import Booking
from store.restored import Comparison
from store.sweep import SweepStore
from store.tables import addresses, leads
from store.timeline import read_timeline
from tests.store.a_copy import NUMBER, Restored
from tests.store.test_rules import DESK, Clinic


async def test_who_asks_from_a_number_of_a_lost_inquiry_stops_for_review_once(copy: Restored) -> None:
    copy.carrier.has("SM1")
    assert (await copy.compare()).strangers == 1
    lead = await copy.clinic.inquire()
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    assert ["of a time that is lost" in str(review.reason) for review in await copy.reviews(lead)] == [True]
    assert await copy.would_send(lead) == []
    async with copy.clinic.leads.lead(lead) as unit:
        unit.append(f.Resumed(cause="staff"), "desk")
    assert await copy.clinic.inquire() == lead  # once more
    assert (await copy.clinic.state(lead)).state is State.ACTIVE


async def test_of_two_who_ask_from_one_number_both_are_stopped(copy: Restored) -> None:
    copy.carrier.has("SM1")
    await copy.compare()
    for name in ("Ada", "Ben"):
        assert (await copy.clinic.state(await copy.clinic.inquire(name))).state is State.PAUSED


@pytest.mark.parametrize("comes_back", ["asks", "is_booked"])
async def test_who_was_finished_in_the_copy_and_came_back_in_the_lost_time_is_stopped(
    copy: Restored, comes_back: str
) -> None:
    lead = await copy.clinic.inquire()
    async with copy.clinic.leads.lead(lead) as unit:
        unit.append(f.Finished(exit_reason=ExitReason.EXHAUSTED), "system")
    copy.carrier.has("SM1")
    compared = await copy.compare()
    assert (compared.stopped, compared.strangers) == (0, 1)
    if comes_back == "asks":
        lead = await copy.clinic.inquire()
    else:
        now = copy.clock.now()
        booked = Booking(f.BookingEvent.BOOKED, "A1", now, lead, starts_at=now + timedelta(days=3))
        assert (await copy.clinic.commands.booking(DESK, booked)).state == "paused"
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    assert len(await copy.reviews(lead)) == 1
    assert await copy.would_send(lead) == []


async def test_who_gives_such_a_number_later_is_stopped(copy: Restored) -> None:
    """It was known by mail alone in the copy, and gave the number in the lost time."""
    lead = await copy.clinic.inquire(phone=None)
    copy.carrier.has("SM1")
    await copy.compare()
    assert await copy.clinic.inquire() == lead
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    assert await copy.would_send(lead) == []


async def test_a_number_that_wrote_and_is_nobodys_is_kept_too(copy: Restored) -> None:
    """A mail may have gone there, which no list holds; what they wrote was lost with them."""
    copy.carrier.has("SM1", "Can I come tomorrow?", inbound=True)
    copy.carrier.has("SM2", "STOP", inbound=True, to="+12125550188")
    compared = await copy.compare()
    assert (compared.strangers, compared.stops_of_nobody, compared.replies) == (1, 1, 0)
    lead = await copy.clinic.inquire()
    assert (await copy.clinic.state(lead)).state is State.PAUSED
    (review,) = await copy.reviews(lead)
    assert "texts from it" in str(review.reason)
    assert "the mail provider's" in str(review.reason)


async def test_who_wrote_after_it_was_noticed_asks_for_the_first_time(copy: Restored) -> None:
    copy.carrier.has("SM1", "Do you have time tomorrow?", inbound=True, after=timedelta(minutes=1))
    assert (await copy.compare()).strangers == 0
    assert len(await copy.would_send(await copy.clinic.inquire())) == 1


async def test_a_review_holds_what_begins_until_somebody_has_looked(copy: Restored) -> None:
    lead = await copy.clinic.inquire(email=None)
    copy.carrier.has("SM1")
    await copy.compare()
    now, ends = copy.clock.now(), f.Finished(exit_reason=ExitReason.EXHAUSTED)
    async with copy.clinic.leads.lead(lead) as unit:
        unit.append(ends, "system")
        assert unit.state.exit_reason is ExitReason.EXHAUSTED
    booked = Booking(f.BookingEvent.BOOKED, "A1", now, lead, starts_at=now + timedelta(days=3))
    assert (await copy.clinic.commands.booking(DESK, booked)).state == "paused"
    (review,) = await copy.reviews(lead)
    await copy.clinic.commands.resume(DESK, lead, "shift", "review")
    await copy.clinic.commands.complete_task(DESK, review.id)
    async with copy.clinic.leads.lead(lead) as unit:  # by what was told once somebody had looked nothing is known
        unit.append(ends, "system")  # and begins anew, for the appointment
        assert (unit.state.hold, unit.state.exit_reason) == ("review", None)
    assert [review.living for review in await copy.reviews(lead)] == [False, True]


@pytest.mark.parametrize("done", [False, True])
async def test_a_booking_of_the_lost_time_that_is_told_after_the_resume_confirms_nothing_twice(
    copy: Restored, *, done: bool
) -> None:
    """Its confirmation is what the copy could not explain."""
    clinic, lead = copy.clinic, await copy.clinic.inquire(email=None)
    copy.carrier.has("SM1", "Your visit is booked")
    await copy.compare()
    (review,) = await copy.reviews(lead)
    await clinic.commands.resume(DESK, lead, "shift", "review")
    if done:
        await clinic.commands.complete_task(DESK, review.id)
    now = copy.clock.now()
    for starts in (now + timedelta(days=3), now + timedelta(days=4)):  # and once more, as schedulers do
        booked = Booking(f.BookingEvent.BOOKED, "A1", now, lead, starts_at=starts)
        assert (await clinic.commands.booking(DESK, booked)).state == "paused"
    assert await copy.would_send(lead) == []
    assert [task.living for task in await copy.reviews(lead)] == [not done, True]


async def test_what_time_alone_begins_there_is_stopped_too(copy: Restored) -> None:
    """The sequence of the next appointment, where nobody told what became of the one before."""
    clinic, lead = copy.clinic, await copy.clinic.inquire(email=None)
    now = copy.clock.now()
    for appointment, days in (("A1", 1), ("A2", 20)):
        booked = Booking(f.BookingEvent.BOOKED, appointment, now, lead, starts_at=now + timedelta(days=days))
        await clinic.commands.booking(DESK, booked)
    await copy.would_send(lead)
    copy.carrier.has("SM1", "Your second visit is booked")
    assert (await copy.compare()).stopped == 1
    (review,) = await copy.reviews(lead)
    await clinic.commands.resume(DESK, lead, "shift", "review")
    await clinic.commands.complete_task(DESK, review.id)
    number, none = (await clinic.state(lead)).enrollment_no, TouchRef(lead, "", 0, "", "", Channel.SMS)
    later = datetime.now(UTC)
    while (state := await clinic.state(lead)).enrollment_no == number:
        later += timedelta(hours=6)
        await clinic.do_others(lead, none, later)
    assert (state.hold, state.enrollment_no) == ("review", number + 1)
    assert not [t for t in state.touches.values() if t.enrollment == number + 1]


async def test_who_gives_an_address_once_somebody_has_looked_is_not_stopped_again(copy: Restored) -> None:
    clinic, lead = copy.clinic, await copy.clinic.inquire(email=None)
    copy.carrier.has("SM1")
    await copy.compare()
    (review,) = await copy.reviews(lead)
    await clinic.commands.resume(DESK, lead, "shift", "review")
    await clinic.commands.complete_task(DESK, review.id)
    assert await clinic.inquire() == lead
    assert ((await clinic.state(lead)).email, (await clinic.state(lead)).hold) == (True, None)


async def test_a_review_that_is_done_without_a_resume_is_followed_by_another(copy: Restored) -> None:
    clinic, lead = copy.clinic, await copy.clinic.inquire(email=None)
    copy.carrier.has("SM1")
    await copy.compare()
    (review,) = await copy.reviews(lead)
    await clinic.commands.complete_task(DESK, review.id)
    first, second = await copy.reviews(lead)
    assert (first.living, second.living, "without a resume" in str(second.reason)) == (False, True, True)
    await clinic.commands.resume(DESK, lead, "shift", "review")
    await clinic.commands.complete_task(DESK, second.id)
    assert [task.living for task in await copy.reviews(lead)] == [False, False]


@pytest.mark.parametrize("booked", [False, True])
@pytest.mark.parametrize("outcome", [f.Outcome.DO_NOT_CALL, f.Outcome.NOT_A_FIT, f.Outcome.WRONG_NUMBER])
async def test_a_stop_that_is_said_by_a_reviews_outcome_holds_at_once(
    copy: Restored, outcome: f.Outcome, *, booked: bool
) -> None:
    """Of a lead that lives on, too: for its mails, or its appointment."""
    clinic, lead = copy.clinic, await copy.clinic.inquire()
    await clinic.inquire()  # once more: a person is to call
    if booked:
        now = copy.clock.now()
        told = Booking(f.BookingEvent.BOOKED, "A1", now, lead, starts_at=now + timedelta(days=3))
        await clinic.commands.booking(DESK, told)
    copy.carrier.has("SM1")
    await copy.compare()
    review = next(task for task in await copy.reviews(lead) if "resume it" in str(task.reason))
    await clinic.commands.complete_task(DESK, review.id, outcome=outcome)
    state = await clinic.state(lead)
    still = [task for task in await copy.reviews(lead) if task.living and "without a resume" in str(task.reason)]
    if state.exit_reason is None:
        assert (Channel.SMS in state.closed, len(still)) == (True, 1)
    else:  # what a person said of it ends the review too
        assert (state.review, still) == (None, [])
    assert await copy.would_send(lead) == []


async def test_a_number_that_stays_nobodys_is_forgotten(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.clinic.inbound.reply(InboundSms("SM5:received", "+12125550188", "+15005550006", "STOP", is_stop=True))
    copy.noticed -= LOST_FOR
    for number, to in enumerate((NUMBER, "+12125550188", "+12125550199")):
        copy.carrier.has(f"SM{number}", to=to)
    await copy.compare()
    await SweepStore(copy.clinic.leads).keep([Tally(Missed.OVERDUE)])
    async with copy.clinic.store.engine.connect() as conn:
        rows = (await conn.execute(select(addresses).where(addresses.c.kind == "phone"))).mappings().all()
    vault = copy.clinic.store.vault
    assert {vault.open_row(addresses, row)["value"] for row in rows} == {NUMBER, "+12125550188"}
    assert (await copy.clinic.state(lead)).state is State.PAUSED


async def _put_back_once_more(copy: Restored) -> None:
    """A first comparison could not explain a text to the number; in the second a claim explains all there is."""
    lead = await copy.clinic.inquire("Bertram")
    touch = await copy.send_first(lead, sid=None)
    copy.carrier.has("SM1", "other words")
    await copy.compare()
    copy.carrier.listed.clear()
    copy.carrier.has("SM2", await copy.words(lead, touch))
    copy.noticed += timedelta(minutes=1)


async def test_a_later_restore_does_not_explain_what_an_earlier_one_could_not(copy: Restored) -> None:
    await _put_back_once_more(copy)
    assert (await copy.compare()).stopped == 0
    assert (await copy.clinic.state(await copy.clinic.inquire("Ada"))).state is State.PAUSED


async def test_a_comparison_that_was_stopped_keeps_what_an_earlier_restore_could_not_explain(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _put_back_once_more(copy)

    async def stops(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Comparison, "_not_lost", stops)
        await copy.compare()
    assert (await copy.compare()).stopped == 0
    assert (await copy.clinic.state(await copy.clinic.inquire("Ada"))).state is State.PAUSED


@pytest.mark.parametrize("by", ["inquiry", "text"])
async def test_who_asks_while_the_number_is_being_forgotten_is_taken_in(copy: Restored, by: str) -> None:
    clinic, text = copy.clinic, InboundSms("SM9", NUMBER, "+15005550006", "STOP")
    copy.carrier.has("SM1")
    await copy.compare()
    async with clinic.store.engine.begin() as sweep:
        await sweep.execute(select(addresses).with_for_update())
        ask = clinic.inquire() if by == "inquiry" else clinic.inbound.reply(text)
        asked = asyncio.ensure_future(ask)
        await clinic.waits_for_a_lock()  # it has seen that the number is there
        await sweep.execute(delete(addresses))
    told = await asked
    lead = str(told) if by == "inquiry" else await clinic.inquire()
    assert (await clinic.state(lead)).phone
    async with clinic.leads.lead(lead) as unit:
        assert (Channel.SMS in unit.closed) == (by == "text")


async def test_who_asks_from_it_much_later_is_somebody_else(copy: Restored) -> None:
    copy.carrier.has("SM1")
    copy.noticed -= LOST_FOR
    assert (await copy.compare()).strangers == 1
    assert (await copy.clinic.state(await copy.clinic.inquire())).state is State.STARTING


@pytest.mark.parametrize("before", [False, True])
async def test_a_persons_pause_stands_beside_the_stop_for_review(copy: Restored, *, before: bool) -> None:
    clinic, lead = copy.clinic, await copy.clinic.inquire()
    until = copy.clock.now() + timedelta(days=1)
    if before:
        await clinic.commands.pause(DESK, lead, "not before tomorrow", until)
    copy.carrier.has("SM1", "What the copy knows nothing of")
    assert (await copy.compare()).stopped == 1
    if not before:
        await clinic.commands.pause(DESK, lead, "not before tomorrow", until)
    ends = f"until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    assert await said(clinic, lead) == (True, None, f"{PUT_BACK}; and paused by a person {ends}")
    assert (await clinic.commands.resume(DESK, lead, "shift")).state["paused"]
    assert await said(clinic, lead) == (True, until, "paused by a person")
    assert await copy.would_send(lead) == []
    assert not (await clinic.commands.resume(DESK, lead, "shift")).state["paused"]


async def said(clinic: Clinic, lead: str) -> tuple[bool, datetime | None, str]:
    """Whether the lead's row says that it is paused, until when, and why."""
    columns = (leads.c.paused, leads.c.next_at, leads.c.next_reason)
    async with clinic.store.engine.connect() as conn:
        row = (await conn.execute(select(*columns).where(leads.c.id == lead))).one()
    return row.paused, row.next_at, row.next_reason


async def test_a_finished_lead_does_not_read_as_paused_while_its_review_waits(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1")
    await copy.compare()
    async with copy.clinic.leads.lead(lead) as unit:
        unit.append(f.Finished(exit_reason=ExitReason.EXHAUSTED), "system")
    assert await said(copy.clinic, lead) == (False, None, "finished: exhausted")


async def test_the_timeline_says_who_has_stopped_it_also_to_whom_a_persons_words_are_not_shown(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    copy.carrier.has("SM1")
    await copy.compare()
    await copy.clinic.commands.pause(DESK, lead, "wants to be left alone", None)
    async with copy.clinic.store.engine.connect() as conn:
        entries = await read_timeline(copy.clinic.leads, conn, lead, words=False)
    paused = [(entry["by"], entry.get("reason")) for entry in entries if entry["kind"] == "paused"]
    assert paused == [("system", PUT_BACK), (DESK.name, None)]
