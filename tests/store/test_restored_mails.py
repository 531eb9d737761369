"""Mails after a copy was put back: nobody lists them, so what was due in the lost time is unknown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from content.links import Links
from domain import facts as f
from domain.clock import Clock, Pace, virtual_clock
from domain.lead_state import State
from domain.ledger import Claim
from domain.ports import Email, InboundSms
from domain.touches import Channel, TouchStatus
from store.bookings import Booking
from store.home import Home
from store.restored import Comparison
from tests.store.a_copy import NUMBER, Restored
from tests.store.test_rules import DESK, Clinic
from wire.keyring import KeyRing

HOUR = timedelta(hours=1)
THREE_HOURS = timedelta(hours=3)
HOLDS = pytest.mark.parametrize("rests", [False, True], ids=["paused", "resting"])


async def hold(copy: Restored, lead: str, *, rests: bool) -> None:
    """From half an hour before the mail is due until an hour after it: so it goes two and a half after the inquiry."""
    await copy.send_first(lead, sid="SM1")
    until = copy.clock.now() + 2 * HOUR
    async with copy.in_time(HOUR / 2).lead(lead) as unit:
        unit.append(f.Rested(cause="x", until=until) if rests else f.Paused(reason="x", until=until), "desk")


async def test_a_mail_that_fell_due_is_unknown_and_the_cadence_goes_on(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.noticed = datetime.now(UTC)
    assert (await copy.compare()).mails == 0
    assert (await copy.compare(timedelta(hours=3))).mails == 1
    state = await copy.clinic.state(lead)
    mails = {t.step: t.status for t in state.touches.values() if t.channel is Channel.EMAIL}
    assert mails == {"bio": TouchStatus.UNKNOWN}
    assert state.state is State.ACTIVE
    assert [r.reason for r in await copy.reviews(lead)] == ["unknown whether email of step bio went out"]
    assert (await copy.compare(timedelta(hours=3))).mails == 0


async def test_a_mail_that_fell_due_before_a_review_stopped_its_lead_is_unknown(copy: Restored) -> None:
    """The pause begins with the comparison: it held nothing in the lost time."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM1")
    copy.carrier.has("SM2", "What the copy knows nothing of")
    compared = await copy.compare_in(THREE_HOURS)
    assert (compared.stopped, compared.mails) == (1, 1)
    assert (await copy.clinic.state(lead)).state is State.PAUSED


@pytest.mark.parametrize("wrote", [timedelta(minutes=30), timedelta(hours=2)], ids=str)
async def test_what_a_lead_wrote_held_no_mail_for_certain(copy: Restored, wrote: timedelta) -> None:
    """The mail is due an hour after the inquiry; the reply is taken in by the comparison; it may have been answered."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    copy.carrier.has("SM9", "What does it cost?", inbound=True, after=wrote)
    assert (await copy.compare_in(THREE_HOURS)).mails == 1
    assert (await copy.clinic.state(lead)).state is State.RESTING


async def test_a_pause_that_was_entered_anew_held_nothing_before(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    async with copy.in_time(THREE_HOURS).lead(lead) as unit:
        unit.append(f.Paused(reason="asked for it in the lost hour"), "desk")
    assert (await copy.compare_in(THREE_HOURS)).mails == 1


async def test_a_mail_of_a_lead_that_rested_was_not_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    await copy.clinic.inbound.reply(InboundSms("SM2:received", NUMBER, "+15005550006", "What does it cost?"))
    assert (await copy.compare(timedelta(hours=3))).mails == 0
    assert (await copy.clinic.state(lead)).state is State.RESTING


async def test_a_mail_to_a_finished_lead_that_waited_is_unknown(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.clinic.inbound.reply(InboundSms("SM1:received", NUMBER, "+15005550006", "STOP", is_stop=True))
    touch = await copy.writes(lead, "We are sorry.", Channel.EMAIL)
    assert (await copy.compare(timedelta(minutes=1))).mails == 1
    assert (await copy.touch(touch)).status == "unknown"


@HOLDS
async def test_a_mail_that_was_held_until_an_end_of_the_lost_time_is_unknown_once_it_was_due(
    copy: Restored, rests: bool
) -> None:
    lead = await copy.clinic.inquire()
    await hold(copy, lead, rests=rests)
    assert (await copy.compare_in(HOUR * 1.75)).mails == 0
    assert (await copy.compare_in(HOUR * 2.25)).mails == 0
    assert (await copy.compare_in(THREE_HOURS)).mails == 1
    assert (await copy.compare_in(THREE_HOURS)).mails == 0


@HOLDS
async def test_a_review_that_stops_its_lead_does_not_undo_that_end(copy: Restored, rests: bool) -> None:
    lead = await copy.clinic.inquire()
    await hold(copy, lead, rests=rests)
    copy.carrier.has("SM2", "What the copy knows nothing of")
    compared = await copy.compare_in(THREE_HOURS)
    assert (compared.stopped, compared.mails) == (1, 1)


@HOLDS
@pytest.mark.parametrize("wrote", [1.75, 2.25, 2.75])
async def test_what_a_lead_wrote_since_does_not_undo_that_end(copy: Restored, rests: bool, wrote: float) -> None:
    lead = await copy.clinic.inquire()
    await hold(copy, lead, rests=rests)
    copy.carrier.has("SM9", "What does it cost?", inbound=True, after=HOUR * wrote)
    assert (await copy.compare_in(THREE_HOURS)).mails == 1


async def test_a_rest_is_not_prolonged_by_what_the_copy_knew(copy: Restored) -> None:
    """It wrote before the copy and was answered: two days later the rest had ended."""
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    await copy.clinic.inbound.reply(InboundSms("SM9:received", NUMBER, "+15005550006", "What does it cost?"))
    await copy.writes(lead, "Nothing.", Channel.EMAIL)
    copy.carrier.has("SM9", "What does it cost?", inbound=True, after=-timedelta(seconds=1))
    await copy.compare_in(timedelta(days=2) + 2 * HOUR)
    touches = (await copy.clinic.state(lead)).touches.values()
    assert {t.step for t in touches if t.status is TouchStatus.UNKNOWN} == {"bio", "staff"}


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
async def test_a_mail_that_went_at_once_for_the_text_had_to_wait_is_unknown(copy: Restored, zone: str) -> None:
    """The copy was made before a worker came to the text. In Tokyo it is midnight; in New York the day may be full."""
    lead = await copy.clinic.inquire(zones=(zone,))
    assert (await copy.compare_in(timedelta(minutes=1))).mails == 1
    touches = (await copy.clinic.state(lead)).touches.values()
    assert [(t.step, t.part, t.status) for t in touches] == [("confirm", "at_once", TouchStatus.UNKNOWN)]
    assert (await copy.compare_in(timedelta(minutes=1))).mails == 0


@pytest.mark.parametrize(
    ("asked", "reviews"),
    [(None, 2), (-HOUR - timedelta(minutes=1), 2), (-timedelta(minutes=30), 1), (timedelta(seconds=1), 0)],
    ids=["unknown", "lost", "lost lately", "since"],
)
async def test_what_an_inquiry_says_of_its_time_tells_whether_it_is_entered_anew(
    copy: Restored, asked: timedelta | None, reviews: int
) -> None:
    """A mail goes at once if the text has to wait, one an hour later; by the real clock."""
    leads = replace(copy.clinic.leads, now=lambda: datetime.now(UTC))
    copy.noticed = datetime.now(UTC)
    consent = {"channel": "sms", "purpose": "care", "text": "You may.", "ip": None, "url": None}
    consents = [consent | {"at": copy.noticed + asked}] if asked is not None else []
    clinic = Clinic(copy.clinic.store, leads, copy.clinic.ledger)
    lead = await clinic.inquire(consents=consents)
    if asked is None or asked < timedelta(0):  # and asks again
        assert await clinic.inquire(consents=[consent | {"at": copy.noticed + timedelta(seconds=2)}]) == lead
    home = Home(copy.noticed - HOUR, worked=True, noticed_at=copy.noticed)
    compared = await Comparison(leads, Clock(), copy.carrier).compare(home)
    assert (compared.mails, len(await copy.reviews(lead))) == (min(reviews, 1), reviews)


async def test_no_mail_went_at_once_for_a_text_that_the_copy_knows_as_sent(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    assert (await copy.compare_in(timedelta(minutes=1))).mails == 0


@pytest.mark.parametrize(("occurred", "mails"), [(-HOUR, 1), (timedelta(seconds=1), 0)], ids=["lost", "since"])
async def test_mails_of_a_booking_that_was_entered_anew_are_unknown_and_of_a_new_one_are_not(
    copy: Restored, occurred: timedelta, mails: int
) -> None:
    lead = await copy.clinic.inquire()
    copy.noticed = datetime.now(UTC)
    at = copy.clock.product(copy.noticed) + occurred
    booked = Booking(f.BookingEvent.BOOKED, "A1", at, lead, starts_at=at + timedelta(days=3))
    await copy.clinic.commands.booking(DESK, booked)
    assert (await copy.compare()).mails == mails
    assert (await copy.compare()).mails == 0
    touches = (await copy.clinic.state(lead)).touches.values()
    unknown = [(t.enrollment, t.step, t.channel) for t in touches if t.status is TouchStatus.UNKNOWN]
    assert unknown == [(2, "confirm", Channel.EMAIL)] * mails


async def test_a_virtual_clock_that_was_begun_anew_knows_by_its_facts_when_the_copy_was_made(copy: Restored) -> None:
    await copy.clinic.inquire()
    began = datetime.now(UTC)
    clock = virtual_clock(began, copy.clock.product(began) + 2 * HOUR, (Pace(1.0, None),))
    leads = replace(copy.clinic.leads, now=clock.now)
    home = Home(began - HOUR, worked=True, noticed_at=began)
    asks = await Clinic(copy.clinic.store, leads, copy.clinic.ledger).inquire("Ben", phone=None, email="b@example.com")
    await Comparison(leads, clock, copy.carrier).compare(home)
    assert len(await copy.reviews(asks)) == 2  # at once, and an hour later: two are lost


async def test_mails_of_an_inquiry_that_was_entered_anew_are_unknown_for_as_long_as_is_lost(copy: Restored) -> None:
    lead = await copy.clinic.inquire(phone=None)
    assert (await copy.compare()).mails == 1
    assert await copy.would_send(lead) == []
    assert {r.reason for r in await copy.reviews(lead)} == {
        "unknown whether email of step confirm went out",
        "unknown whether email of step bio went out",
    }


async def test_the_link_in_a_mail_names_its_address_too(copy: Restored, keyring: KeyRing) -> None:
    """It holds where the lead is lost by then: tests/api/test_api_pages.py."""
    lead = await copy.clinic.inquire(phone=None)
    ref = await copy.clinic.next_touch(lead)
    claim = await copy.clinic.ledger.claim(ref, datetime.now(UTC))
    assert isinstance(claim, Claim)
    assert isinstance(claim.message, Email)
    url = dict(claim.message.headers)["List-Unsubscribe"].strip("<>")
    assert url in claim.message.text
    token, _, to = url.rpartition("/")[2].partition("?to=")
    links = Links(keyring, "")
    assert links.lead_id("unsubscribe", token) == lead
    assert links.address(lead, to) == copy.clinic.store.vault.blind("email", claim.message.to)
    assert links.url("unsubscribe", lead).endswith(f"/{token}")  # as one that is older
    assert links.address("00000000-0000-4000-8000-000000000000", to) is links.address(lead, token) is None


async def test_a_mail_of_the_next_appointment_that_time_had_begun_is_unknown(copy: Restored) -> None:
    """Its text is listed: the lead is paused, and it is that sequence of which a step can be left out."""
    lead, now = await copy.clinic.inquire(), copy.clock.now()
    for name, starts in (("A", HOUR / 3), ("B", timedelta(days=6))):
        booked = Booking(f.BookingEvent.BOOKED, name, now, lead, starts_at=now + starts)
        await copy.clinic.commands.booking(DESK, booked)
    number = (await copy.clinic.state(lead)).enrollment_no
    copy.carrier.has("SM7", "Your time is set", after=HOUR * 4.5)
    for _ in range(2):
        await copy.compare_in(5 * HOUR)
        assert await _unknown_mails(copy, lead) == {(number, "confirm"), (number + 1, "confirm")}
    state = await copy.clinic.state(lead)
    assert (state.state, state.enrollment_no) == (State.PAUSED, number + 1)
    await copy.clinic.commands.skip(DESK, lead, "confirm")
    await copy.clinic.commands.resume(DESK, lead, "catch_up")
    assert await copy.would_send(lead) == []


async def _unknown_mails(copy: Restored, lead: str) -> set[tuple[int, str]]:
    touches = (await copy.clinic.state(lead)).touches.values()
    return {(t.enrollment, t.step) for t in touches if (t.channel, t.status) == (Channel.EMAIL, TouchStatus.UNKNOWN)}
