"""The fold's part of appointments: what each event of a scheduler changes, in whatever order they arrive. Pure."""

from dataclasses import replace
from typing import assert_never

from domain import facts as f
from domain.lead_state import Appointment, LeadState, Stage, put, staged

_EVENT_STATUS = {
    f.BookingEvent.BOOKED: f.AppointmentStatus.BOOKED,
    f.BookingEvent.RESCHEDULED: f.AppointmentStatus.BOOKED,
    f.BookingEvent.CANCELLED: f.AppointmentStatus.CANCELLED,
    f.BookingEvent.ARRIVED: f.AppointmentStatus.ARRIVED,
    f.BookingEvent.NO_SHOW: f.AppointmentStatus.NO_SHOW,
    f.BookingEvent.COMPLETED: f.AppointmentStatus.COMPLETED,
}


# Of events that occurred at one instant the later of these holds, in whatever order they arrive.
_EVENT_ORDER = (
    f.BookingEvent.BOOKED,
    f.BookingEvent.RESCHEDULED,
    f.BookingEvent.ARRIVED,
    f.BookingEvent.NO_SHOW,
    f.BookingEvent.CANCELLED,
    f.BookingEvent.COMPLETED,
)


def appointed(state: LeadState, fact: f.AppointmentChanged, no: int) -> LeadState:
    old = state.appointments.get(fact.appointment_id)
    new = Appointment(
        fact.appointment_id,
        _EVENT_STATUS[fact.event],
        fact.starts_at or (old.starts_at if old else None),
        fact.facility or (old.facility if old else None),
        fact.occurred_at,
        fact.event,
        no,
        old.first_no if old else no,
    )
    if old is not None:
        when = (fact.occurred_at, _EVENT_ORDER.index(fact.event))
        if when <= (old.occurred_at, _EVENT_ORDER.index(old.event)):
            # an older event arrives late: it can only fill in what is not known yet
            new = replace(old, starts_at=old.starts_at or fact.starts_at, facility=old.facility or fact.facility)
        elif (new.status, new.starts_at, new.facility) == (old.status, old.starts_at, old.facility):
            new = replace(new, no=old.no)  # told once more: nothing changed
    after = replace(state, appointments=put(state.appointments, fact.appointment_id, new))
    match new.status:
        case f.AppointmentStatus.BOOKED:
            return staged(after, Stage.BOOKED)
        case f.AppointmentStatus.ARRIVED:
            return staged(after, Stage.SHOWN)
        case f.AppointmentStatus.COMPLETED:
            return staged(after, Stage.CONVERTED)
        case f.AppointmentStatus.NO_SHOW | f.AppointmentStatus.CANCELLED:
            return after
        case _:
            assert_never(new.status)


def tells_more(state: LeadState, fact: f.AppointmentChanged) -> bool:
    """Whether an event changes what is known of its appointment; a repeat, or an overtaken event, does not."""
    old = state.appointments.get(fact.appointment_id)
    return old is None or appointed(state, fact, old.no).appointments[fact.appointment_id] != old
