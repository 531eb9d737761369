"""The fold's part of appointments: what each event of a scheduler changes, in whatever order they arrive. Pure."""

from dataclasses import replace
from datetime import UTC, datetime
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
_NO_TIME = datetime.min.replace(tzinfo=UTC)


def appointed(state: LeadState, fact: f.AppointmentChanged, no: int) -> LeadState:
    old = state.appointments.get(fact.appointment_id)
    if old is None:
        new = _told((fact,), no, no, state.facility)
    else:  # its place is the lead's of that time as long as nobody names one
        new = _told((*old.told, fact), no, old.first_no, old.facility)
    if old is not None and not _is_news(old, new, fact):
        new = replace(new, no=old.no)
    after = replace(state, appointments=put(state.appointments, fact.appointment_id, new))
    after = _reached(after, new.status)
    # a visit of which an overtaken event tells has been one all the same, in whatever order they are told
    return after if after.stage is Stage.LOST else _reached(after, _EVENT_STATUS[fact.event])


def _reached(state: LeadState, status: f.AppointmentStatus) -> LeadState:
    match status:
        case f.AppointmentStatus.BOOKED:
            return staged(state, Stage.BOOKED)
        case f.AppointmentStatus.ARRIVED:
            return staged(state, Stage.SHOWN)
        case f.AppointmentStatus.COMPLETED:
            return staged(state, Stage.CONVERTED)
        case f.AppointmentStatus.NO_SHOW | f.AppointmentStatus.CANCELLED:  # its booking may come later, and is no news
            return state if state.stage is Stage.LOST else staged(state, Stage.BOOKED)
        case _:
            assert_never(status)


def _order(event: f.AppointmentChanged) -> tuple[datetime, int, datetime, str]:
    """By what the events themselves say, so that no two that differ are alike: schedulers tell whole seconds.

    Of two of one kind and instant the later time holds, then the place.
    """
    return event.occurred_at, _EVENT_ORDER.index(event.event), event.starts_at or _NO_TIME, event.facility or ""


def _told(events: tuple[f.AppointmentChanged, ...], no: int, first_no: int, unplaced: str | None) -> Appointment:
    """What occurred last may name neither time nor place: of the others, too, the last to occur holds, not to come.

    `unplaced`: where it is if none of them names a place.
    """
    last = max(events, key=_order)
    timed = max((e for e in events if e.starts_at is not None), key=_order, default=None)
    placed = max((e for e in events if e.facility is not None), key=_order, default=None)
    return Appointment(
        last.appointment_id,
        _EVENT_STATUS[last.event],
        timed.starts_at if timed else None,
        placed.facility if placed else unplaced,
        last.occurred_at,
        last.event,
        no,
        first_no,
        tuple(e for e in (last, timed, placed) if e is not None),
    )


def _is_news(old: Appointment, new: Appointment, fact: f.AppointmentChanged) -> bool:
    """Whether something follows from it: not from an older event that comes late, nor from what is told once more."""
    same = (new.status, new.starts_at, new.facility) == (old.status, old.starts_at, old.facility)
    if same or new.told[0] is not fact:
        return False
    # of one kind and instant, it is the same event told more fully, unless the two contradict each other
    fuller = old.starts_at in (None, new.starts_at) and old.facility in (None, new.facility)
    return not (fuller and (new.event, new.occurred_at) == (old.event, old.occurred_at))


def tells_more(state: LeadState, fact: f.AppointmentChanged) -> bool:
    """Whether an event changes what is known of its appointment, or how far the lead came; a repeat does not, nor an
    overtaken event that tells of no visit.

    It asks the fold, which alone decides. So what lost is not recorded. Of two that contradict each other at one
    instant an older release kept the first alone, or both where the second filled in a time or place that the first
    left open: these fold by the one rule, as if they were told today.
    """
    old = state.appointments.get(fact.appointment_id)
    if old is None:
        return True
    told = appointed(state, fact, old.no)
    further = state.stage is not Stage.LOST and told.stage is not state.stage
    return further or told.appointments[fact.appointment_id] != old
