"""Booking events of schedulers, and of leads by their link. Repeated and out-of-order events are harmless."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.access import Actor
from domain.appointment_fold import tells_more
from domain.appointment_reactions import COMES, ends_who_asked_by
from domain.errors import InvalidInput, NoSuchLead, NotFound, Refused
from domain.lead_state import LeadState
from domain.schedule import in_flight
from domain.touches import TouchStatus
from store import audit, early_events, tables
from store.lead_rows import Address
from store.lead_unit import Leads, LeadUnit
from store.open_claims import on_their_way
from store.owed_stops import BLAMELESS
from store.persons import all_selves, booked_selves, living_selves, people
from store.vault import Vault

Places = tuple[str | None, ...]  # keys of facilities; None: appointments of no place
_OPEN = (TouchStatus.CLAIMED.value, TouchStatus.UNKNOWN.value)  # of touches that may be on their way
AHEAD = timedelta(hours=1)  # so far a scheduler's clock may be ahead of ours
_NOBODYS = "no lead has this phone or e-mail"


class Unmatched(NotFound):
    """Nothing that an event names is known."""


@dataclass(frozen=True)
class Booking:
    event: f.BookingEvent
    appointment_id: str
    occurred_at: datetime | None  # None: now
    lead_id: str | None = None
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    starts_at: datetime | None = None
    facility: str | None = None

    def fact(self, occurred_at: datetime, *, elsewhere: bool = False) -> f.AppointmentChanged:
        return f.AppointmentChanged(
            event=self.event,
            appointment_id=self.appointment_id,
            starts_at=self.starts_at,
            facility=self.facility,
            occurred_at=occurred_at,
            elsewhere=elsewhere,
        )


@dataclass(frozen=True)
class Booked:
    """Without a lead it is kept until somebody tells whose the appointment is."""

    lead_id: str | None
    appointment_id: str
    changed: bool
    state: str | None
    in_flight: list[str]  # touches that may still arrive


@dataclass(frozen=True)
class Bookings:
    leads: Leads

    async def within(
        self, conn: AsyncConnection, actor: Actor | str, booking: Booking, *, free_at: Places = ()
    ) -> Booked:
        """Records the event. `free_at` (of a lead's own booking): refuse a time that is taken at one of these places,
        and any while the person has an appointment to come, with whichever of its leads.

        What a scheduler says stands, also of a time that is taken: two people may share it there.
        """
        if booking.event in (f.BookingEvent.BOOKED, f.BookingEvent.RESCHEDULED) and booking.starts_at is None:
            raise InvalidInput("starts_at", f"an appointment that is {booking.event} has a start")
        now = await self.leads.now_by(conn)
        occurred_at = booking.occurred_at or now
        if occurred_at > now + AHEAD:
            raise InvalidInput("occurred_at", "lies in the future: it would outdo everything that is told until then")
        if isinstance(actor, Actor) and actor.facilities and booking.facility not in (None, *actor.facilities):
            raise InvalidInput("facility", f"this key books for {', '.join(actor.facilities)}")
        # first of all: of two first events that name different leads, the second must find the first one's lead
        await one_at_a_time(conn, f"appointment/{booking.appointment_id}")
        try:
            lead_id = await self._lead(conn, booking)
        except Unmatched:
            if booking.event is f.BookingEvent.BOOKED:
                raise
            return await self._keep(conn, actor, booking, occurred_at)
        if free_at and booking.starts_at is not None:
            await self._must_be_free(conn, booking, free_at)
        async with self.leads.within(conn, lead_id) as unit:
            if not _may_tell(actor, unit.state, booking.appointment_id):  # nor that there is one
                raise NoSuchLead("no lead with this id" if booking.lead_id is not None else _NOBODYS)
            if free_at and await next_of_person(conn, self.leads.store.vault, lead_id, unit.now) is not None:
                raise Refused("an appointment to come stands already")
            selves = await living_selves(conn, self.leads.store.vault, lead_id)
            known = unit.state.appointments.get(booking.appointment_id)
            first, moves = known is None, known is not None and booking.facility not in (None, known.facility)
            early = (first or moves) and await self._add_early(unit, booking, elsewhere=bool(selves))
            fact = booking.fact(occurred_at, elsewhere=bool(selves))
            changed = tells_more(unit.state, fact)
            if changed:
                unit.append(fact, actor if isinstance(actor, str) else actor.name)
            flying, stands = in_flight(unit.state, unit.now), unit.state.appointments[booking.appointment_id]
            state, journal = unit.state, unit.journal
            by = ends_who_asked_by(state, journal.sequence, journal.appended, stands, unit.now, changed or early)
            if by is not None:
                flying += await self._ends_for(unit, selves, by)
            if stands.status in COMES or state.booked(after=unit.now) is not None:
                flying += await self._left_by_others(unit)
            if free_at and (stands.status, stands.starts_at) != (f.AppointmentStatus.BOOKED, booking.starts_at):
                raise Refused("something newer is known of this appointment; please choose another time")
            unit.audit(actor, f"appointment_{booking.event}")
        return Booked(lead_id, booking.appointment_id, changed, unit.state.state.value, list(dict.fromkeys(flying)))

    async def _add_early(self, unit: LeadUnit, booking: Booking, *, elsewhere: bool) -> bool:
        """What was told of it before anybody knew whose, or where, it is; whether there was anything."""
        here = {unit.state.facility, booking.facility} - {None}
        found = await early_events.take(unit.conn, booking.appointment_id, here)
        for fact, told_by in found:
            if tells_more(unit.state, fact):
                unit.append(fact.model_copy(update={"elsewhere": elsewhere}), told_by)
        return bool(found)

    async def _keep(self, conn: AsyncConnection, actor: Actor | str, booking: Booking, occurred_at: datetime) -> Booked:
        """Nobody can know yet whose it is: its booking may be on its way."""
        fact = booking.fact(occurred_at)
        changed = await early_events.keep(conn, actor, fact)
        await audit.append(conn, actor, f"appointment_{booking.event}")
        return Booked(None, booking.appointment_id, changed, None, [])

    async def _lead(self, conn: AsyncConnection, booking: Booking) -> str:
        """By the appointment, else as named; where no lead is named, the one living lead with that address."""
        table, link, address = tables.appointments, tables.lead_addresses, tables.addresses
        known = await conn.scalar(select(table.c.lead_id).where(table.c.id == booking.appointment_id))
        named = _lead_id(booking.lead_id) if booking.lead_id is not None else None
        there = named if named is not None and await self._is_there(conn, named) else None
        if known is None and there is not None:
            return there
        if known is None and named is not None:  # lost with a restore, say: a relative may have the address now
            raise Unmatched("no lead has this id; phone and email count only where none is given")
        blinds = [
            self.leads.store.vault.blind(kind, value)
            for kind, value in (("phone", booking.phone), ("email", booking.email))
            if value
        ]
        if known is None and not blinds:
            raise Unmatched("this appointment is not known: give lead_id, phone or email with its first event")
        query = (
            select(tables.leads.c.id, tables.leads.c.exit_reason)
            .join(link, link.c.lead_id == tables.leads.c.id)
            .join(address, address.c.id == link.c.address_id)
            .where(address.c.blind.in_(blinds), ~link.c.wrong)
            .order_by(tables.leads.c.created_at.desc(), tables.leads.c.id)
        )
        rows = (await conn.execute(query)).all()
        if known is not None:
            meant = {there} - {None} or {str(i) for i, _ in rows}
            if meant and str(known) not in meant:
                raise Refused("this appointment belongs to another lead")
            return str(known)
        living = list(dict.fromkeys(str(i) for i, reason in rows if reason is None))
        finished = list(dict.fromkeys(str(i) for i, reason in rows if reason is not None))
        here = await people(conn, self.leads.store.vault, [], living or finished)
        if not here:
            raise Unmatched(_NOBODYS)
        if len(here) > 1:
            raise Refused(f"{len(here)} people share this address: give lead_id")
        return here[0]

    async def _is_there(self, conn: AsyncConnection, lead_id: str) -> bool:
        return await conn.scalar(select(tables.leads.c.id).where(tables.leads.c.id == lead_id)) is not None

    async def _ends_for(self, unit: LeadUnit, selves: list[str], by: datetime) -> list[str]:
        """A booking ends the cadence of the person: whichever of its leads was booked, no other that asked by then
        asks it to book. What of theirs may still arrive.

        The other leads share an address with this one, which `unit` holds: so they may be locked after it.
        """
        flying: list[str] = []
        for other_id in sorted(selves):
            async with self.leads.within(unit.conn, other_id, unit.by_clock, locked=True) as other:
                sequence, asked_at = other.journal.sequence, other.state.asked_at
                asks = other.state.exit_reason is None and (sequence is None or not sequence.anchored())
                if asks and (asked_at is None or asked_at <= by):
                    other.append(f.Finished(exit_reason=f.ExitReason.BOOKED), "system")
                    flying += in_flight(other.state, other.now)
        return flying

    async def _left_by_others(self, unit: LeadUnit) -> list[str]:
        """What may still arrive of the person's leads that a booking has ended: told again, it is named again, for
        the first answer may have been lost.
        """
        ended = await booked_selves(unit.conn, self.leads.store.vault, unit.lead_id)
        return [touch_id for other_id in ended for touch_id in await self._may_arrive(unit, other_id)]

    async def _may_arrive(self, unit: LeadUnit, lead_id: str) -> list[str]:
        """Of one that cannot be read, what its rows say is on its way: it is over, and refuses nobody's booking."""
        try:
            return in_flight(await self.leads.read(unit.conn, lead_id), unit.now)
        except BLAMELESS:
            raise
        except Exception:
            return await on_their_way(unit.conn, lead_id)

    async def _must_be_free(self, conn: AsyncConnection, booking: Booking, places: Places) -> None:
        table = tables.appointments
        assert booking.starts_at is not None
        await one_at_a_time(conn, f"slot/{booking.facility}/{booking.starts_at.astimezone(UTC).isoformat()}")
        taken = await conn.scalar(
            select(table.c.id).where(
                booked_at(places),
                table.c.starts_at == booking.starts_at,
            )
        )
        if taken is not None and taken != booking.appointment_id:
            raise Refused("this time has just been taken; please choose another")


def _may_tell(actor: Actor | str, state: LeadState, appointment_id: str) -> bool:
    """A key of facilities tells of appointments at these, and of those of their leads."""
    known = state.appointments.get(appointment_id)
    here = {state.facility, known.facility if known is not None else None}
    return not isinstance(actor, Actor) or not actor.facilities or not here.isdisjoint(actor.facilities)


def _lead_id(given: str) -> str:
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise NoSuchLead("no lead with this id") from None


def booked_at(places: Places) -> ColumnElement[bool]:
    """Of an appointment: that it stands, at one of these places."""
    table = tables.appointments
    here = or_(*(table.c.facility.is_not_distinct_from(place) for place in places))
    return and_(table.c.status == f.AppointmentStatus.BOOKED.value, here)


async def next_of_person(conn: AsyncConnection, vault: Vault, lead_id: str, now: datetime) -> RowMapping | None:
    """The person's next appointment to come, whichever of its leads has it."""
    table, leads = tables.appointments, [lead_id, *await all_selves(conn, vault, lead_id)]
    stands = table.c.lead_id.in_(leads), table.c.status == f.AppointmentStatus.BOOKED.value, table.c.starts_at > now
    return (await conn.execute(select(table).where(*stands).order_by(table.c.starts_at).limit(1))).mappings().first()


def may_arrive_at(addresses: Iterable[Address]) -> Select[Any]:
    """The ids of touches already claimed for these addresses, whichever lead's they are; and for another address, of a
    lead that a stop has ended.

    One whose outcome is unknown may arrive late, too, whether or not it is still looked for.
    """
    table, lead, link = tables.touches, tables.leads, tables.lead_addresses
    here = [a.id for a in addresses]
    stopped = (
        select(lead.c.id)
        .join(link, link.c.lead_id == lead.c.id)
        .where(link.c.address_id.in_(here), ~link.c.wrong, lead.c.exit_reason == f.ExitReason.OPTED_OUT.value)
    )
    theirs = or_(table.c.address_id.in_(here), table.c.lead_id.in_(stopped))
    return select(table.c.id).where(theirs, table.c.status.in_(_OPEN)).order_by(table.c.id)


async def one_at_a_time(conn: AsyncConnection, what: str) -> None:
    """Whoever else asks for `what` waits until this transaction ends."""
    await conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"), {"what": what})
