"""A stop reaches whoever has the address by now, each time that it is told, and whoever cannot be read hears of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from domain import facts as f
from domain.errors import NewerFact
from domain.touches import Channel
from store import tables
from store.bookings import Booking
from store.persons import living_selves
from tests.store.test_one_person import wrong_number
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import wrote
from tests.store.test_stops_of_newer_leads import by_a_later_release, by_ours, owed

ENDED = f.ExitReason.OPTED_OUT


async def at_a_stopped_number(clinic: Clinic, *names: str) -> list[str]:
    """The one who stopped it, and who asked there since: they may be written to by e-mail."""
    first = await clinic.inquire("Zoe", email=None)
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    later = [await clinic.inquire(name, email=f"{name.lower()}@example.com") for name in names]
    for lead in later:
        assert (await clinic.state(lead)).exit_reason is None
    return [first, *later]


async def exits(clinic: Clinic, *leads: str) -> list[f.ExitReason | None]:
    return [(await clinic.state(lead)).exit_reason for lead in leads]


async def opened(clinic: Clinic, lead: str) -> f.ExitReason | None:
    async with clinic.leads.lead(lead) as unit:
        return unit.state.exit_reason


async def test_a_text_stops_all_who_asked_at_a_number_that_was_stopped_before(clinic: Clinic) -> None:
    _, ann, ben = await at_a_stopped_number(clinic, "Ann", "Ben")
    assert await clinic.inbound.reply(wrote(2, "STOP"))
    assert await exits(clinic, ann, ben) == [ENDED, ENDED]


async def test_a_stop_that_is_no_news_of_its_own_lead_reaches_who_came_since(clinic: Clinic) -> None:
    first, ann = await at_a_stopped_number(clinic, "Ann")
    told = await clinic.commands.opt_out(DESK, first, (Channel.SMS,))
    assert (told.in_flight, await exits(clinic, ann)) == ([], [ENDED])


async def test_who_cannot_be_read_is_owed_the_stop_though_the_one_who_keeps_it_was_stopped_before(
    clinic: Clinic,
) -> None:
    _, ann = await at_a_stopped_number(clinic, "Ann")
    await by_a_later_release(clinic, ann)
    assert await clinic.inbound.reply(wrote(2, "STOP"))
    assert await owed(clinic, ann)
    await by_ours(clinic, ann)
    assert await opened(clinic, ann) is ENDED


async def test_who_asked_at_a_stopped_number_and_cannot_be_read_hears_of_its_own_stop(clinic: Clinic) -> None:
    _, ann = await at_a_stopped_number(clinic, "Ann")
    await by_a_later_release(clinic, ann)
    with pytest.raises(NewerFact):
        await clinic.commands.opt_out(DESK, ann, (Channel.VOICE,))
    await by_ours(clinic, ann)
    assert await opened(clinic, ann) is ENDED
    assert not await owed(clinic, ann)


async def test_what_a_carrier_said_before_somebody_asked_ends_nothing_of_theirs(clinic: Clinic) -> None:
    first, ann = await at_a_stopped_number(clinic, "Ann")
    await by_a_later_release(clinic, ann)
    async with clinic.leads.lead(first) as unit:
        unit.append(f.Suppressed(channels=(Channel.SMS,), cause="suppressed", code="30006"), "carrier")
    assert await owed(clinic, ann)
    await by_ours(clinic, ann)
    assert await opened(clinic, ann) is None, "mails are still wanted"


async def test_the_owner_of_a_number_is_left_alone_though_who_mistyped_it_cannot_be_read(clinic: Clinic) -> None:
    lead = await clinic.inquire()
    await wrong_number(clinic, lead)
    await by_a_later_release(clinic, lead)
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    assert await clinic.causes() == {"sms": "opt_out", "voice": "opt_out"}
    assert not await owed(clinic, lead), "it is not its number"


async def test_what_two_leads_of_one_person_were_owed_keeps_no_booking_from_either(clinic: Clinic) -> None:
    before = await clinic.inquire()
    await clinic.commands.disqualify(DESK, before, "not a fit")
    again = await clinic.inquire()
    assert again != before
    for lead in (before, again):
        await by_a_later_release(clinic, lead)
    assert await clinic.inbound.reply(wrote(1, "STOP"))
    for lead in (before, again):
        await by_ours(clinic, lead)
        assert await owed(clinic, lead)
    at = clinic.leads.now()
    booked = Booking(f.BookingEvent.BOOKED, "A1", at, before, starts_at=at + timedelta(days=3), facility="main")
    assert (await clinic.commands.booking(DESK, booked)).lead_id == before
    assert [await owed(clinic, lead) for lead in (before, again)] == [False, False]


async def test_whose_name_does_not_open_is_taken_for_somebody_else(clinic: Clinic) -> None:
    before = await clinic.inquire()
    await clinic.commands.disqualify(DESK, before, "not a fit")
    again, table = await clinic.inquire(), tables.leads
    async with clinic.store.engine.begin() as conn:
        assert await living_selves(conn, clinic.store.vault, before) == [again]
        await conn.execute(update(table).where(table.c.id == again).values(first_name=b"k9.gone"))
        assert await living_selves(conn, clinic.store.vault, before) == []
    assert await clinic.inquire() not in (before, again), "nor does it refuse an inquiry"


async def test_what_a_later_release_left_to_tell_is_not_misread(clinic: Clinic) -> None:
    _, ann = await at_a_stopped_number(clinic, "Ann")
    await by_a_later_release(clinic, ann)
    assert await clinic.inbound.reply(wrote(2, "STOP"))
    await by_ours(clinic, ann)
    table = tables.leads
    async with clinic.store.engine.begin() as conn:
        [said] = await conn.scalar(select(table.c.stops_owed).where(table.c.id == ann)) or []
        assert (said["kind"], said["version"]) == ("opt_out", 1)
        later = [said | {"version": 2, "release": "0.7.0"}]
        await conn.execute(update(table).where(table.c.id == ann).values(stops_owed=later))
    with pytest.raises(NewerFact):
        await opened(clinic, ann)
