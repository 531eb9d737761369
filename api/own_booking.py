"""A lead's own booking by the link in a message."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from api.sequences_ready import sequences_ready
from api.services import Services
from content.facilities import Facility, free_times
from domain.errors import Refused
from domain.facts import BookingEvent
from store import audit, tables
from store.bookings import Booking, Places, booked_at, next_of_person
from store.reading import facility_of

DAYS = 14
_NAMESPACE = uuid.UUID("0e6a2c53-5f3e-5d0c-8a83-5c9a1f3c7d21")


@dataclass(frozen=True)
class OwnBooking:
    """`starts_at` (UTC) and `appointment_id` of an appointment to come, or else the free `times`.

    The link of one lead shows what the person has booked as another.
    """

    lead_id: str
    facility: Facility
    starts_at: datetime | None
    appointment_id: str | None
    times: tuple[datetime, ...]


async def is_lead(services: Services, lead_id: str) -> str:
    """Raises NotFound, also for a link that is older than the database."""
    async with services.store.engine.connect() as conn:
        await facility_of(conn, lead_id)
    return lead_id


async def own_booking(services: Services, lead_id: str) -> OwnBooking:
    """What the page shows. Raises NotFound."""
    table = tables.appointments
    async with services.store.engine.begin() as conn:
        now = await services.leads.now_by(conn)
        facility = services.facilities.get(await facility_of(conn, lead_id))
        booked = await next_of_person(conn, services.store.vault, lead_id, now)
        taken = []
        if booked is None:
            soon = table.c.starts_at < now + timedelta(days=DAYS + 1)
            since = table.c.starts_at > now - timedelta(days=1)
            booked_here = select(table.c.starts_at).where(booked_at(_places(services, facility)), soon, since)
            taken = list((await conn.execute(booked_here)).scalars())
        await audit.append(conn, "lead", "booking_page_viewed", lead_id)
    if booked is not None:
        facility = services.facilities.get(booked["facility"])
        return OwnBooking(lead_id, facility, booked["starts_at"], str(booked["id"]), ())
    return OwnBooking(lead_id, facility, None, None, tuple(free_times(facility, now, taken, days=DAYS)))


async def book_free(services: Services, own: OwnBooking, chosen: datetime) -> OwnBooking:
    """Books `chosen`, one of the free times. Raises Refused if it is none, or was taken or the person booked meanwhile.

    Decided under the lead's lock: of two clicks at once the second is refused.
    """
    if chosen not in own.times:
        raise Refused("this time is not free")
    await sequences_ready(services)
    booking = Booking(
        event=BookingEvent.BOOKED,
        appointment_id=str(uuid.uuid5(_NAMESPACE, f"{own.lead_id}/{own.facility.key}/{chosen.isoformat()}")),
        occurred_at=None,
        lead_id=own.lead_id,
        starts_at=chosen,
        facility=own.facility.key,
    )
    booked = await services.commands.booking("lead", booking, free_at=_places(services, own.facility))
    return replace(own, starts_at=chosen, appointment_id=booked.appointment_id, times=())


def _places(services: Services, facility: Facility) -> Places:
    """The facility; appointments of no place are at the default one."""
    return (facility.key, None) if facility.key == services.facilities.default else (facility.key,)
