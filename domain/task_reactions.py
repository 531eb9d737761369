"""What follows from what becomes of a task: its call has ended, it is done, missed, cancelled or given back."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain import facts as f
from domain.consequences import (
    BOOKING_EXPECTED,
    PHONE,
    WRONG_NUMBER,
    Book,
    callback,
    dropped,
    leave,
    opened,
    sequence_of,
    task_id,
)
from domain.desk import never_left
from domain.lead_state import LeadState, Task
from domain.sequence import Stop
from domain.task_fold import dialled_again
from domain.touches import Channel, Disposition, TouchStatus, touch_id
from domain.unknown import review_answered

CALLBACK_WITHIN = timedelta(minutes=15)
BOOKING_EXPECTED_WITHIN = timedelta(days=1)
LET_GO = "the lead was let go"
BY_A_PERSON = "call.by_a_person"  # the rule of a call that a window had put off, and that then was somebody's task
OVER = "task.over"  # the rule of a call whose task is over, or back in the queue
_WAITS = (TouchStatus.PLANNED, TouchStatus.DELAYED)


def call_ended(state: LeadState, fact: f.CallEnded, no: int, at: datetime) -> Iterator[f.Fact]:
    task, disposition = fact.task_id, fact.disposition
    held = state.tasks.get(task)
    touch = next((t for t in state.touches.values() if t.touch_id == fact.touch_id), None)
    if held is None or (touch is not None and never_left(touch)):
        return  # of a call that never left the desk its holder has the task yet
    if held.disposition is Disposition.ANSWERED and disposition is not Disposition.ANSWERED:
        return  # spoken with before: a further call takes nothing back
    cause = "a person answered the call; its outcome is awaited"
    if disposition is Disposition.ANSWERED and held.living:
        if state.exit_reason is None:
            yield f.Rested(cause=cause, task_id=task, resume_after=0.0)
    elif disposition is Disposition.ANSWERED and held.state is not f.TaskState.CANCELLED and held.outcome is None:
        # missed, or completed by hand as if nobody had answered
        asked = opened(
            state, no, at, f.TaskKind.REVIEW, "the lead answered a call whose task was over: what came of it?"
        )
        yield asked
        if state.exit_reason is None:
            yield f.Rested(cause=cause, task_id=asked.task_id, resume_after=0.0)
    elif touch is not None and dialled_again(state, touch):
        return  # the end of an earlier call, which comes late: who has the task is calling
    elif held.living and held.kind is f.TaskKind.CALL:  # a callback was promised: one try does not keep it
        yield f.TaskClosed(task_id=task, state=f.TaskState.DONE, disposition=disposition)


def task_closed(state: LeadState, fact: f.TaskClosed, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    task = state.tasks.get(fact.task_id)
    if task is None or task.closed_no != no:
        return  # not ours, or closed before
    yield from _settled(state, task, fact.state)
    if fact.outcome in (f.Outcome.NOT_A_FIT, f.Outcome.NOT_NOW):
        yield from let_go(state)
    match fact.outcome:
        case f.Outcome.BOOKED:
            yield from _booking_expected(state, at)
        case f.Outcome.CALL_BACK:
            due = fact.callback_at or at + CALLBACK_WITHIN
            promised = callback(state, no, due, "the lead asked to be called back")
            promised = promised.model_copy(update={"promised": True})
            yield promised
            if state.exit_reason is None and not _serves(state, at, book):
                yield f.Rested(cause="a callback is due", task_id=promised.task_id, resume_after=0.0)
        case f.Outcome.NOT_NOW | f.Outcome.NOT_A_FIT if state.exit_reason is not None:
            return
        case f.Outcome.NOT_NOW:
            default = None if _serves(state, at, book) else Stop()
            yield from leave(state, "not_now", f.ExitReason.STOPPED_BY_STAFF, book, default)
        case f.Outcome.NOT_A_FIT:
            yield from leave(state, "disqualified", f.ExitReason.DISQUALIFIED, book, default=Stop())
        case f.Outcome.WRONG_NUMBER:
            yield f.Suppressed(channels=PHONE, cause=WRONG_NUMBER)
        case f.Outcome.DO_NOT_CALL:
            yield f.OptedOut(channels=PHONE, cause="told a coordinator")
        case f.Outcome.REACHED | None:
            return


def _serves(state: LeadState, at: datetime, book: Book) -> bool:
    """Whether the sequence reminds of an appointment that stands, whatever was said on the phone."""
    sequence = sequence_of(state, book)
    return sequence is not None and sequence.anchored() and state.booked(after=at) is not None


def _settled(state: LeadState, task: Task, as_: f.TaskState) -> Iterator[f.Fact]:
    """The touches that a task was about: a call is missed if nobody claimed it, and none that waits is left behind."""
    if as_ is f.TaskState.MISSED and task.kind is f.TaskKind.CALL and task.enrollment and task.step:
        yield f.TouchChanged(
            touch_id=touch_id(state.lead_id, task.enrollment, task.step, task.part or "call"),
            enrollment=task.enrollment,
            step=task.step,
            part=task.part or "call",
            channel=Channel.VOICE,
            status=TouchStatus.MISSED,
            due_at=task.due_at,
            rule="task.unclaimed",
            reason="nobody claimed the call in time",
        )
        return
    over = (OVER, "the task of this call is over")
    yield from _undialled(state, task, *over)
    if as_ is f.TaskState.DONE:
        over = (BY_A_PERSON, "a person made this call when its window had opened: see its task")
    for touch in state.touches.values():
        waits = touch.status in _WAITS and touch.channel is Channel.VOICE and touch.task_id is None
        if waits and task.step is not None and (touch.enrollment, touch.step) == (task.enrollment, task.step):
            yield dropped(touch, *over)
    if as_ is f.TaskState.DONE:
        yield from review_answered(state, task.id)


def _undialled(state: LeadState, task: Task, rule: str, reason: str) -> Iterator[f.Fact]:
    """Calls that its holder dialled and whose lead is not dialled yet: theirs to make, or nobody's."""
    for touch in state.touches.values():
        if touch.task_id == task.id and touch.status in _WAITS:
            yield dropped(touch, rule, reason)


def _booking_expected(state: LeadState, at: datetime) -> Iterator[f.Fact]:
    """Of a finished lead too: what was agreed on the phone is to be entered."""
    if state.booked(after=at) is not None:
        return
    asked = f.TaskOpened(
        task_id=task_id(state.lead_id, BOOKING_EXPECTED),
        task_kind=f.TaskKind.REVIEW,
        due_at=at + BOOKING_EXPECTED_WITHIN,
        reason="booked on the phone, and the booking has not come: enter it",
    )
    known = state.tasks.get(asked.task_id)
    if known is None or not known.living:  # else whoever has it keeps it
        yield asked
    if state.exit_reason is None:
        cause = "booked on the phone; the booking is awaited"
        yield f.Rested(cause=cause, task_id=asked.task_id, resume_after=0.0)


def spoken_with(state: LeadState, task: Task) -> bool:
    """Whether somebody answered its call, and what came of it is still to be entered; or a call is on the line."""
    calls = (t for t in state.touches.values() if t.task_id == task.id and t.touch_id not in task.ended)
    over = (TouchStatus.FAILED, TouchStatus.SKIPPED, TouchStatus.MISSED, TouchStatus.UNDELIVERED)
    return task.disposition is Disposition.ANSWERED or any(t.status not in over for t in calls)


def uncalled(state: LeadState, channels: tuple[Channel, ...], why: str) -> Iterator[f.Fact]:
    """Calls that nobody should make any more; a claimed one is finished by its holder."""
    for task in state.tasks.values():
        call = task.kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK) and task.state is f.TaskState.OPEN
        if call and Channel.VOICE in channels and task.disposition is not Disposition.ANSWERED:
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason=why)


def promised_otherwise(state: LeadState, no: int, at: datetime) -> Iterator[f.Fact]:
    """A person looks how a promise can be kept whose number cannot be called any more; until then the lead rests."""
    kept = [t for t in state.tasks.values() if t.promised and t.state is f.TaskState.OPEN]
    if not any(t.kind is f.TaskKind.CALLBACK and t.disposition is not Disposition.ANSWERED for t in kept):
        return
    asked = opened(state, no, at, f.TaskKind.REVIEW, "a call was promised, and this number cannot be called any more")
    yield asked.model_copy(update={"promised": True})
    if state.exit_reason is None and state.rest is not None:
        yield f.Rested(cause="a callback is due", task_id=asked.task_id, resume_after=0.0)


def let_go(state: LeadState) -> Iterator[f.Fact]:
    """Nobody calls back whom the practice does not go on with; a claimed one is finished by its holder."""
    for task in state.tasks.values():
        if task.kind is f.TaskKind.CALLBACK and task.state is f.TaskState.OPEN:
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason=LET_GO)


def returned(state: LeadState, task_id: str, no: int, at: datetime) -> Iterator[f.Fact]:
    """A call that comes back to the queue: whoever takes it next dials anew, if anybody should make it any more."""
    task = state.tasks.get(task_id)
    if task is None or task.state is not f.TaskState.OPEN:
        return
    yield from _undialled(state, task, OVER, "the task of this call went back to the queue")
    if task.disposition is Disposition.ANSWERED:
        return
    call = task.kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK)
    if call and Channel.VOICE in state.closed:
        if task.promised and Channel.VOICE not in state.opted_out:
            yield from promised_otherwise(state, no, at)
        yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="this number may not be called")
        return
    if task.kind is f.TaskKind.CALLBACK and state.let_go:
        yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason=LET_GO)
        return
    current = state.enrollment.number if state.enrollment and state.exit_reason is None else None
    if task.kind is f.TaskKind.CALL and task.enrollment is not None and task.enrollment != current:
        yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the sequence is over")


def cancel_calls(state: LeadState, fact: f.Enrolled | f.Finished) -> Iterator[f.Fact]:
    """Open calls of a sequence that is over are nobody's work; a claimed one is finished by its holder."""
    current = fact.enrollment if isinstance(fact, f.Enrolled) else None
    for task in state.tasks.values():
        ours = task.kind is f.TaskKind.CALL and task.enrollment is not None and task.enrollment != current
        if ours and task.state is f.TaskState.OPEN and task.disposition is not Disposition.ANSWERED:
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the sequence is over")
