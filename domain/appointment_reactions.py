"""What follows from an appointment: which sequence turns on it, and what comes after it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from domain import facts as f
from domain.consequences import BOOKING_EXPECTED, Book, into, opened, sequence_of, task_id
from domain.lead_state import Appointment, Enrollment, LeadState
from domain.sequence import Exit, Sequence, Stop, Switch

# Whom the practice itself has let go: only a new booking brings them back.
LET_GO = frozenset({f.ExitReason.DISQUALIFIED, f.ExitReason.STOPPED_BY_STAFF})
NEWS_FOR = timedelta(days=14)  # what a scheduler tells later than that is no news to apologize for
TOLD_LATE = "the scheduler told it weeks later"
_CAME = frozenset({f.AppointmentStatus.ARRIVED, f.AppointmentStatus.COMPLETED})
# By these the person comes, or has come: none of their leads asks them to book.
COMES = _CAME | {f.AppointmentStatus.BOOKED}
_NOT_KEPT = frozenset({f.AppointmentStatus.CANCELLED, f.AppointmentStatus.NO_SHOW})
VISIT = timedelta(hours=4)  # who asks so soon after its start may have come for it
# Who has left by one of these is not offered a new time.
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
    if now.no != no:
        return  # told once more, or an older event that came late: what is newer has been obeyed
    if now.status is f.AppointmentStatus.BOOKED:
        yield from has_come(state, now)
        yield from _booked(state, sequence, enrollment, fact, at, book)
        return
    if now.status in _CAME:
        yield from has_come(state, None)
    yield from _known(state, enrollment, fact.appointment_id)
    if enrollment.appointment_id in (None, fact.appointment_id):
        yield from _became(state, sequence, now.status, fact, at, book)


def ends_who_asked_by(  # noqa: PLR0917
    state: LeadState,
    sequence: Sequence | None,
    new: Iterable[f.Recorded],
    told: Appointment,
    now: datetime,
    told_more: bool,
) -> datetime | None:
    """The person's other leads that asked by then end for the event of `told`, whose facts are `new`; None: none does.

    A lead that is over, and that the event neither brings back nor converts, writes to nobody: the others go on. So do
    those that asked since, where the event tells of a visit from before.
    """
    facts = {record.no: record.fact for record in new}
    ahead, is_news = state.booked(after=now), told.no in facts
    books = is_news and told.status is f.AppointmentStatus.BOOKED
    if ahead is not None and (books or (state.exit_reason is None and told_more)):
        return ahead.starts_at
    serves = state.exit_reason is None and sequence is not None and sequence.anchored()
    serves |= f.Finished(exit_reason=f.ExitReason.CONVERTED) in facts.values()
    if not (serves and is_news and told.status in COMES):
        return None
    # What came of a visit may be entered days after it; that somebody came, before its start.
    came = [at for at in (told.starts_at, None if books else told.occurred_at) if at is not None]
    return min(came) + VISIT if came else None


def has_come(state: LeadState, booked: Appointment | None) -> Iterator[f.Fact]:
    """The booking that was agreed on the phone: not an older one of which news comes now. None: whichever it was."""
    expected = state.tasks.get(task_id(state.lead_id, BOOKING_EXPECTED))
    if expected is None or not expected.living:
        return
    if booked is None or booked.begins is None or booked.begins > expected.opened_at:
        yield f.TaskClosed(task_id=expected.id, state=f.TaskState.DONE, reason="the booking has come")


def _booked(  # noqa: PLR0917
    state: LeadState,
    sequence: Sequence,
    enrollment: Enrollment,
    fact: f.AppointmentChanged,
    at: datetime,
    book: Book,
) -> Iterator[f.Fact]:
    """A sequence turns on the appointment that comes first; on a further one when that is over."""
    let_go = state.exit_reason in LET_GO or (state.let_go and state.exit_reason is not None)
    told = state.appointments[fact.appointment_id]
    moved = fact.event is not f.BookingEvent.BOOKED and told.first_no != told.no  # and not a booking that was missed
    first, anchor = state.booked(after=at), state.anchor() if sequence.anchored() else None
    came_back = fact.elsewhere and first is not None  # by asking again: the lead of that inquiry ends for this booking
    if let_go and moved and not came_back:
        return
    target = first.id if first is not None else fact.appointment_id
    standing = anchor is not None and state.exit_reason is None and anchor.status is f.AppointmentStatus.BOOKED
    if standing and anchor is not None and anchor.id == target != fact.appointment_id:
        return
    if standing and anchor is not None and anchor.id != target and anchor.begins is not None and anchor.begins <= at:
        yield from _ask_about(state, anchor, at)
    again = sequence.anchored() and enrollment.appointment_id == fact.appointment_id and not let_go
    event = "rescheduled" if again else "booked"
    exit_ = sequence.exits.get(event) or (sequence.exits.get("rescheduled") if sequence.anchored() else None)
    if isinstance(exit_, Switch):
        yield from into(state, book.latest(exit_.sequence), event, target)
    elif isinstance(exit_, Stop) and state.exit_reason is None:
        yield f.Finished(exit_reason=f.ExitReason.BOOKED)


def _ask_about(state: LeadState, appointment: Appointment, at: datetime) -> Iterator[f.Fact]:
    """It has begun, and the sequence goes on around another before anybody has told what became of it."""
    own = task_id(state.lead_id, "outcome", appointment.id)
    if own not in state.tasks:
        reason = "what became of the appointment? Another one is next"
        yield f.TaskOpened(task_id=own, task_kind=f.TaskKind.REVIEW, due_at=at, reason=reason)


def _known(state: LeadState, enrollment: Enrollment, appointment_id: str) -> Iterator[f.Fact]:
    """Nobody needs to be asked any more what became of it."""
    own = task_id(state.lead_id, "outcome", appointment_id)
    for task in state.tasks.values():
        of_step = task.enrollment == enrollment.number and enrollment.appointment_id == appointment_id
        if task.living and task.kind is f.TaskKind.REVIEW and (task.id == own or (of_step and task.step)):
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.DONE, reason="the scheduler has told it")


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
    elif isinstance(exit_, Switch) and (visit := _visited_since(state, status, fact)) is not None:
        yield from _as_if_in_order(state, visit, around, status, book)
    elif isinstance(exit_, Switch) and (reason := _not_offered(state, fact, at)) is not None:
        turns = state.enrollment is not None and state.enrollment.appointment_id == fact.appointment_id
        if state.exit_reason is None and turns:
            yield f.Finished(exit_reason=f.ExitReason.STOPPED_BY_STAFF if state.let_go else f.ExitReason.EXHAUSTED)
        if reason == TOLD_LATE:
            yield opened(state, state.last_no, at, f.TaskKind.REVIEW, f"{reason}: {status}. Write or call?")
    elif isinstance(exit_, Switch):
        target = book.latest(exit_.sequence)
        yield from into(state, target, status.value, fact.appointment_id if target.anchored() else None)
    elif isinstance(exit_, Stop):
        converted = status is f.AppointmentStatus.COMPLETED
        if state.exit_reason is None or (converted and state.exit_reason is f.ExitReason.EXHAUSTED):
            yield f.Finished(exit_reason=f.ExitReason.CONVERTED if converted else f.ExitReason.STOPPED_BY_STAFF)


def _visited_since(state: LeadState, status: f.AppointmentStatus, fact: f.AppointmentChanged) -> Appointment | None:
    """Another appointment that the person has come to since this one was cancelled or missed, which is told late."""
    if status not in _NOT_KEPT:
        return None
    others = (a for a in state.appointments.values() if a.id != fact.appointment_id and a.status in _CAME)
    since = [a for a in others if a.occurred_at >= fact.occurred_at]
    return max(since, key=lambda a: (a.occurred_at, a.id), default=None)


def _as_if_in_order(
    state: LeadState, visit: Appointment, around: Exit | None, status: f.AppointmentStatus, book: Book
) -> Iterator[f.Fact]:
    """Told in its order, the visit would have been what the sequence turned on."""
    over = state.exit_reason
    if visit.status is f.AppointmentStatus.COMPLETED and over in (None, f.ExitReason.EXHAUSTED):
        yield f.Finished(exit_reason=f.ExitReason.CONVERTED)
    elif visit.status is f.AppointmentStatus.ARRIVED and over is None and isinstance(around, Switch):
        yield from into(state, book.latest(around.sequence), status.value, visit.id)


def _not_offered(state: LeadState, fact: f.AppointmentChanged, at: datetime) -> str | None:
    """Why nobody is offered a new time by the machine, if so."""
    if state.let_go:
        return "a person let it go"
    if fact.elsewhere and state.exit_reason is not None:
        return "another lead of the person is contacted"
    return TOLD_LATE if at - fact.occurred_at > NEWS_FOR else None


def next_appointment(state: LeadState, fact: f.Finished, at: datetime, book: Book) -> Iterator[f.Fact]:
    """What turned on one appointment is over, and another stands: it turns on that one now."""
    sequence, other = sequence_of(state, book), state.booked(after=at)
    around = sequence.exits.get("rescheduled") if sequence is not None and sequence.anchored() else None
    done = fact.exit_reason in (f.ExitReason.EXHAUSTED, f.ExitReason.CONVERTED)
    if done and isinstance(around, Switch) and other is not None:
        yield from into(state, book.latest(around.sequence), "a further appointment", other.id)
