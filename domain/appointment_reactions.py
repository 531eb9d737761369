"""What follows from an appointment: which sequence turns on it, and what comes after it."""

from collections.abc import Iterator
from datetime import datetime

from domain import facts as f
from domain.consequences import Book, into, sequence_of
from domain.lead_state import Enrollment, LeadState
from domain.sequence import Sequence, Stop, Switch

# Who has left by one of these is not written to because an appointment of theirs changes.
GONE = frozenset(
    {
        f.ExitReason.DISQUALIFIED,
        f.ExitReason.OPTED_OUT,
        f.ExitReason.STOPPED_BY_STAFF,
        f.ExitReason.CONVERTED,
        f.ExitReason.MERGED,
    }
)


def appointment_changed(
    state: LeadState, fact: f.AppointmentChanged, no: int, at: datetime, book: Book
) -> Iterator[f.Fact]:
    now = state.appointments[fact.appointment_id]
    sequence, enrollment = sequence_of(state, book), state.enrollment
    if sequence is None or enrollment is None:
        return
    anchored_here = enrollment.appointment_id == fact.appointment_id
    if now.no != no:
        return  # told once more, or an older event that came late: what is newer has been obeyed
    if now.status is f.AppointmentStatus.BOOKED:
        yield from _booked(state, sequence, enrollment, fact, book)
    elif enrollment.appointment_id is None or anchored_here:
        yield from _became(state, sequence, now.status, fact, at, book)


def _booked(
    state: LeadState, sequence: Sequence, enrollment: Enrollment, fact: f.AppointmentChanged, book: Book
) -> Iterator[f.Fact]:
    anchored_here = enrollment.appointment_id == fact.appointment_id
    if sequence.anchored() and not (anchored_here or _over(state)):
        return  # a further appointment: the sequence goes on around the first, and then around this one
    if state.exit_reason is f.ExitReason.DISQUALIFIED and fact.event is not f.BookingEvent.BOOKED:
        return
    event = "rescheduled" if anchored_here and sequence.anchored() else "booked"
    exit_ = sequence.exits.get(event) or (sequence.exits.get("rescheduled") if sequence.anchored() else None)
    if isinstance(exit_, Switch):
        yield from into(state, book.latest(exit_.sequence), event, fact.appointment_id)
    elif isinstance(exit_, Stop) and state.exit_reason is None:
        yield f.Finished(exit_reason=f.ExitReason.BOOKED)


def _became(  # noqa: PLR0917
    state: LeadState,
    sequence: Sequence,
    status: f.AppointmentStatus,
    fact: f.AppointmentChanged,
    at: datetime,
    book: Book,
) -> Iterator[f.Fact]:
    """Cancelled, not kept, kept: as the sequence says."""
    exit_, other, around = sequence.exits.get(status.value), state.booked(after=at), sequence.exits.get("rescheduled")
    if isinstance(exit_, Switch) and state.exit_reason in GONE:
        return
    if isinstance(exit_, Switch) and isinstance(around, Switch) and other is not None:
        # given up for another that stands already: the sequence turns on that one now
        yield from into(state, book.latest(around.sequence), status.value, other.id)
    elif isinstance(exit_, Switch):
        target = book.latest(exit_.sequence)
        yield from into(state, target, status.value, fact.appointment_id if target.anchored() else None)
    elif isinstance(exit_, Stop):
        converted = status is f.AppointmentStatus.COMPLETED
        if state.exit_reason is None or (converted and state.exit_reason is f.ExitReason.EXHAUSTED):
            yield f.Finished(exit_reason=f.ExitReason.CONVERTED if converted else f.ExitReason.STOPPED_BY_STAFF)


def next_appointment(state: LeadState, fact: f.Finished, at: datetime, book: Book) -> Iterator[f.Fact]:
    """What turned on one appointment is over, and another stands: it turns on that one now."""
    sequence, other = sequence_of(state, book), state.booked(after=at)
    around = sequence.exits.get("rescheduled") if sequence is not None and sequence.anchored() else None
    done = fact.exit_reason in (f.ExitReason.EXHAUSTED, f.ExitReason.CONVERTED)
    if done and isinstance(around, Switch) and other is not None:
        yield from into(state, book.latest(around.sequence), "a further appointment", other.id)


def _over(state: LeadState) -> bool:
    anchor = state.anchor()
    return state.exit_reason is not None or anchor is None or anchor.status is not f.AppointmentStatus.BOOKED
