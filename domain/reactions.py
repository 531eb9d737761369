"""What follows at once from a fact, by the sequence's exits and the house rules. Pure: facts in, facts out.

Reactions are appended in the transaction of their cause, so a stop shuts the gate with its own answer.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from domain import facts as f
from domain.lead_state import STAFF, STOP, LeadState, Touch
from domain.ports import Remedy
from domain.sequence import RestUntilAnswered, Sequence, Stop, Switch
from domain.touches import Channel, Disposition, TouchStatus, touch_id

_NAMESPACE = uuid.UUID("2f0d1bcb-7c55-5a55-8d8b-0d8c4d4f3b11")
PHONE = (Channel.SMS, Channel.VOICE)
REPLY_WITHIN = timedelta(minutes=15)
CALLBACK_WITHIN = timedelta(minutes=15)
RETRY_AFTER = timedelta(minutes=30)
BOOKING_EXPECTED_WITHIN = timedelta(days=1)


class Book(Protocol):
    """The sequence versions on file."""

    def latest(self, key: str) -> Sequence: ...

    def get(self, key: str, version: int) -> Sequence: ...


def task_id(lead_id: str, *parts: object) -> str:
    """The id of a task: derived from its cause, so it is the same after any restart."""
    return str(uuid.uuid5(_NAMESPACE, "/".join([lead_id, *map(str, parts)])))


def react(state: LeadState, record: f.Recorded, book: Book) -> Iterator[f.Fact]:  # noqa: PLR0912 - one case a fact
    """The facts that follow from `record`, in order; `state` has it applied already."""
    at, no = record.at, record.no
    match record.fact:
        case f.Inquired(repeat=True):
            yield _callback(state, no, at, "asked again")
        case f.Inquired(stopped=stopped) if stopped:
            yield _task(
                state,
                no,
                at,
                f.TaskKind.REVIEW,
                "asked again after a stop: no automatic SMS or call goes to this number",
            )
        case f.Replied(intent=None) as replied:
            yield from _replied(state, replied, at, book)
        case f.OptedOut(channels=channels):
            yield from _opted_out(state, channels, book)
        case f.Disqualified():
            yield from _exit(state, "disqualified", f.ExitReason.DISQUALIFIED, book, default=Stop())
        case f.AppointmentChanged() as changed:
            yield from _appointment(state, changed, no, at, book)
        case f.CallEnded(task_id=task, disposition=disposition):
            yield from _call_ended(state, task, disposition)
        case f.TaskClosed() as closed:
            yield from _task_closed(state, closed, no, at, book)
        case f.TouchChanged() as touch:
            yield from _touch(state, touch, no, at, book)
        case f.Suppressed():
            if state.exit_reason is None and not any(state.reachable(c) for c in Channel):
                yield f.Finished(exit_reason=f.ExitReason.UNREACHABLE)
        case f.Enrolled() | f.Finished():
            yield from _cancel_calls(state, record.fact)
        case f.TaskReturned(task_id=task):
            yield from _returned(state, task)
        case _:
            return


def _sequence(state: LeadState, book: Book) -> Sequence | None:
    return book.get(state.enrollment.sequence, state.enrollment.version) if state.enrollment else None


def _task(state: LeadState, no: int, at: datetime, kind: f.TaskKind, reason: str) -> f.TaskOpened:
    return f.TaskOpened(task_id=task_id(state.lead_id, no), task_kind=kind, due_at=at, reason=reason)


def _callback(state: LeadState, no: int, due: datetime, reason: str) -> f.TaskOpened:
    return _task(state, no, due, f.TaskKind.CALLBACK, reason)


def _replied(state: LeadState, fact: f.Replied, at: datetime, book: Book) -> Iterator[f.Fact]:
    kind = f.TaskKind.REVIEW if fact.candidates else f.TaskKind.REPLY
    known = state.tasks.get(fact.task_id)
    if known is None and not (fact.candidates and fact.candidates[0] != state.lead_id):
        yield f.TaskOpened(
            task_id=fact.task_id,
            task_kind=kind,
            due_at=at + REPLY_WITHIN,
            message_id=fact.message_id,
            candidates=fact.candidates,
            reason="several leads share this address: who wrote?" if fact.candidates else "the lead wrote",
        )
    sequence = _sequence(state, book)
    if state.exit_reason is not None or sequence is None:
        return
    exit_ = sequence.exits.get("replied")
    if isinstance(exit_, Switch) and not fact.candidates:
        yield from _into(state, book.latest(exit_.sequence), "replied")
    # whatever the sequence says, nobody whose reply waits is written to by the machine
    after = 0.0 if fact.candidates else _rests_after_answer(sequence)
    yield f.Rested(cause="the lead wrote", task_id=fact.task_id, resume_after=after)


def _rests_after_answer(sequence: Sequence) -> float | None:
    """Seconds from the answer to a reply until the cadence goes on; None: it ends then."""
    match sequence.exits.get("replied"):
        case RestUntilAnswered(resume_after):
            return resume_after.total_seconds() if resume_after is not None else None
        case Stop():
            return None
        case _:
            return 0.0


def _into(state: LeadState, sequence: Sequence, cause: str, appointment_id: str | None = None) -> Iterator[f.Fact]:
    """Into another sequence; after an opt-out only into one that serves an appointment."""
    if _stopped(state) and not sequence.anchored():
        if state.exit_reason is None:
            yield f.Finished(exit_reason=f.ExitReason.OPTED_OUT)
        return
    yield enroll(state, sequence, cause, appointment_id)


def _stopped(state: LeadState) -> bool:
    return bool(state.opted_out & set(PHONE))


def _opted_out(state: LeadState, channels: tuple[Channel, ...], book: Book) -> Iterator[f.Fact]:
    for task in state.tasks.values():
        call = task.kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK) and task.state is f.TaskState.OPEN
        if call and Channel.VOICE in channels:
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the lead opted out")
    if set(channels) & set(PHONE) or not any(state.reachable(c) for c in Channel):
        sequence = _sequence(state, book)
        default = Stop() if sequence is None or not sequence.anchored() else None
        yield from _exit(state, "opted_out", f.ExitReason.OPTED_OUT, book, default)


def _exit(
    state: LeadState, event: str, reason: f.ExitReason, book: Book, default: Stop | None = None
) -> Iterator[f.Fact]:
    """What the sequence's exit for `event` does; without one, nothing (or `default`)."""
    sequence = _sequence(state, book)
    exit_ = sequence.exits.get(event, default) if sequence else default
    match exit_:
        case Stop():
            if state.exit_reason is None:
                yield f.Finished(exit_reason=reason)
        case Switch(key):
            yield from _into(state, book.latest(key), event)
        case _:
            return


def enroll(state: LeadState, sequence: Sequence, cause: str, appointment_id: str | None = None) -> f.Enrolled:
    number = state.enrollment.number + 1 if state.enrollment else 1
    return f.Enrolled(
        enrollment=number,
        sequence=sequence.key,
        version=sequence.version,
        cause=cause,
        appointment_id=appointment_id,
    )


def _appointment(state: LeadState, fact: f.AppointmentChanged, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    now = state.appointments[fact.appointment_id]
    sequence, enrollment = _sequence(state, book), state.enrollment
    if sequence is None or enrollment is None:
        return
    anchored_here = enrollment.appointment_id == fact.appointment_id
    if now.no != no:
        return  # told once more, or an older event that came late: what is newer has been obeyed
    status = now.status
    if status is f.AppointmentStatus.BOOKED:
        if sequence.anchored() and not (anchored_here or _over(state)):
            return  # a further appointment: the sequence goes on around the first
        event = "rescheduled" if anchored_here and sequence.anchored() else "booked"
        exit_ = sequence.exits.get(event) or (sequence.exits.get("rescheduled") if sequence.anchored() else None)
        if isinstance(exit_, Switch):
            yield from _into(state, book.latest(exit_.sequence), event, fact.appointment_id)
        elif isinstance(exit_, Stop) and state.exit_reason is None:
            yield f.Finished(exit_reason=f.ExitReason.BOOKED)
        return
    if enrollment.appointment_id is not None and not anchored_here:
        return
    exit_ = sequence.exits.get(status.value)
    other, around = state.booked(after=at), sequence.exits.get("rescheduled")
    if isinstance(exit_, Switch) and isinstance(around, Switch) and other is not None:
        # given up for another that stands already: the sequence turns on that one now
        yield from _into(state, book.latest(around.sequence), status.value, other.id)
    elif isinstance(exit_, Switch):
        into = book.latest(exit_.sequence)
        yield from _into(state, into, status.value, fact.appointment_id if into.anchored() else None)
    elif isinstance(exit_, Stop):
        converted = status is f.AppointmentStatus.COMPLETED
        if state.exit_reason is None or (converted and state.exit_reason is f.ExitReason.EXHAUSTED):
            yield f.Finished(exit_reason=f.ExitReason.CONVERTED if converted else f.ExitReason.STOPPED_BY_STAFF)


def _over(state: LeadState) -> bool:
    anchor = state.anchor()
    return state.exit_reason is not None or anchor is None or anchor.status is not f.AppointmentStatus.BOOKED


def _call_ended(state: LeadState, task: str, disposition: Disposition) -> Iterator[f.Fact]:
    held = state.tasks.get(task)
    if held is None or not held.living:
        return
    if disposition is Disposition.ANSWERED:
        if state.exit_reason is None:
            yield f.Rested(cause="a person answered the call; its outcome is awaited", task_id=task, resume_after=0.0)
    else:
        yield f.TaskClosed(task_id=task, state=f.TaskState.DONE, disposition=disposition)


def _task_closed(state: LeadState, fact: f.TaskClosed, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    task = state.tasks.get(fact.task_id)
    if task is None or task.closed_no != no:
        return  # not ours, or closed before
    if fact.state is f.TaskState.MISSED and task.kind is f.TaskKind.CALL and task.enrollment and task.step:
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
    match fact.outcome:
        case f.Outcome.BOOKED:
            if state.booked(after=at) is None and state.exit_reason is None:
                yield f.Rested(cause="booked on the phone; the booking is awaited", until=at + BOOKING_EXPECTED_WITHIN)
        case f.Outcome.CALL_BACK:
            due = fact.callback_at or at + CALLBACK_WITHIN
            callback = _callback(state, no, due, "the lead asked to be called back")
            yield callback
            if state.exit_reason is None:
                yield f.Rested(cause="a callback is due", task_id=callback.task_id, resume_after=0.0)
        case f.Outcome.NOT_NOW:
            yield from _exit(state, "not_now", f.ExitReason.STOPPED_BY_STAFF, book, default=Stop())
        case f.Outcome.NOT_A_FIT:
            yield from _exit(state, "disqualified", f.ExitReason.DISQUALIFIED, book, default=Stop())
        case f.Outcome.WRONG_NUMBER:
            yield f.Suppressed(channels=PHONE, cause="wrong_number")
        case f.Outcome.DO_NOT_CALL:
            yield f.OptedOut(channels=PHONE, cause="told a coordinator")
        case f.Outcome.REACHED | None:
            return


def _touch(state: LeadState, fact: f.TouchChanged, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    now = state.touches.get((fact.enrollment, fact.step, fact.part))
    if now is None or now.no != no:
        return  # a late or repeated callback: nothing changed
    review = task_id(state.lead_id, "unknown", fact.touch_id)
    if fact.status is TouchStatus.UNKNOWN:
        reason = f"unknown whether {fact.channel} of step {fact.step} went out"
        yield f.TaskOpened(task_id=review, task_kind=f.TaskKind.REVIEW, due_at=at, reason=reason)
    elif (open_ := state.tasks.get(review)) is not None and open_.living:
        outcome = "it did not go out" if fact.status is TouchStatus.FAILED else "it went out"
        yield f.TaskClosed(task_id=review, state=f.TaskState.DONE, reason=f"the carrier has told: {outcome}")
    if fact.channel is None or fact.status not in (TouchStatus.UNDELIVERED, TouchStatus.FAILED, TouchStatus.SKIPPED):
        return
    if fact.remedy is Remedy.SUPPRESS:
        yield f.Suppressed(channels=(fact.channel,), cause="suppressed", code=fact.code)
    if fact.remedy is Remedy.RETRY and _may_retry(state, fact):
        yield _second_try(state, fact, now, at)
    elif fact.step == STAFF and now.task_id is None:
        yield from _unanswered(state, fact, no, at, book)
    elif fact.remedy is Remedy.ALERT:
        yield _task(state, no, at, f.TaskKind.REVIEW, f"the carrier refuses our account (code {fact.code})")
    elif fact.status is TouchStatus.FAILED and fact.remedy is None and now.task_id is None:
        reason = f"{fact.channel} of step {fact.step} did not go out: {fact.reason}"
        yield _task(state, no, at, f.TaskKind.REVIEW, reason)


def _second_try(state: LeadState, fact: f.TouchChanged, first: Touch, at: datetime) -> f.TouchChanged:
    part = f"{fact.part}.retry1"
    return f.TouchChanged(
        touch_id=touch_id(state.lead_id, fact.enrollment, fact.step, part),
        enrollment=fact.enrollment,
        step=fact.step,
        part=part,
        channel=fact.channel,
        status=TouchStatus.PLANNED,
        due_at=at + RETRY_AFTER,
        message_id=first.message_id,
    )


def _unanswered(state: LeadState, fact: f.TouchChanged, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    """A person's own words did not reach the lead: it is a person's turn again."""
    task = _task(state, no, at, f.TaskKind.REPLY, f"a message of ours did not reach the lead: {fact.reason}")
    yield task
    sequence = _sequence(state, book)
    if state.exit_reason is None and sequence is not None:
        after = _rests_after_answer(sequence)
        yield f.Rested(cause="an answer did not reach the lead", task_id=task.task_id, resume_after=after)


def _may_retry(state: LeadState, fact: f.TouchChanged) -> bool:
    """A touch gets one second try while its sequence goes on; a call gets its next step instead."""
    if fact.channel is Channel.VOICE or fact.step == STOP or fact.part.endswith(".retry1"):
        return False
    current = state.enrollment.number if state.enrollment and state.exit_reason is None else None
    return fact.step == STAFF or fact.enrollment == current


def _returned(state: LeadState, task_id: str) -> Iterator[f.Fact]:
    """A call that comes back to the queue when nobody should make it any more."""
    task = state.tasks.get(task_id)
    if task is None or task.state is not f.TaskState.OPEN or task.disposition is Disposition.ANSWERED:
        return
    call = task.kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK)
    if call and Channel.VOICE in state.opted_out:
        yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the lead opted out")
        return
    current = state.enrollment.number if state.enrollment and state.exit_reason is None else None
    if task.kind is f.TaskKind.CALL and task.enrollment is not None and task.enrollment != current:
        yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the sequence is over")


def _cancel_calls(state: LeadState, fact: f.Enrolled | f.Finished) -> Iterator[f.Fact]:
    """Open calls of a sequence that is over are nobody's work; a claimed one is finished by its holder."""
    current = fact.enrollment if isinstance(fact, f.Enrolled) else None
    for task in state.tasks.values():
        ours = task.kind is f.TaskKind.CALL and task.enrollment is not None and task.enrollment != current
        if ours and task.state is f.TaskState.OPEN and task.disposition is not Disposition.ANSWERED:
            yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="the sequence is over")
