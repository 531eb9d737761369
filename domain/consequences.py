"""What reactions are made of: ids of tasks, ways into another sequence and out of one. Pure."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from domain import facts as f
from domain.lead_state import LeadState, Touch
from domain.sequence import RestUntilAnswered, Sequence, Stop, Switch
from domain.touches import Channel, TouchStatus

_NAMESPACE = uuid.UUID("2f0d1bcb-7c55-5a55-8d8b-0d8c4d4f3b11")
PHONE = (Channel.SMS, Channel.VOICE)
BOOKING_EXPECTED = "booking expected"  # the cause of the task that asks for a booking agreed on the phone
WRONG_NUMBER = "wrong_number"  # the cause of a suppression: the number is not this lead's


class Book(Protocol):
    """The sequence versions on file."""

    def latest(self, key: str) -> Sequence: ...

    def get(self, key: str, version: int) -> Sequence: ...


def task_id(lead_id: str, *parts: object) -> str:
    """The id of a task: derived from its cause, so it is the same after any restart."""
    return str(uuid.uuid5(_NAMESPACE, "/".join([lead_id, *map(str, parts)])))


def opened(
    state: LeadState, no: int, at: datetime, kind: f.TaskKind, reason: str, *, refused: Channel | None = None
) -> f.TaskOpened:
    identity = task_id(state.lead_id, kind, no)
    return f.TaskOpened(task_id=identity, task_kind=kind, due_at=at, reason=reason, refused=refused)


def callback(state: LeadState, no: int, due: datetime, reason: str) -> f.TaskOpened:
    """To call the lead; where that cannot be, a person looks what else there is."""
    kind = f.TaskKind.CALLBACK if state.reachable(Channel.VOICE) else f.TaskKind.REVIEW
    return opened(state, no, due, kind, reason)


def sequence_of(state: LeadState, book: Book) -> Sequence | None:
    return book.get(state.enrollment.sequence, state.enrollment.version) if state.enrollment else None


def rests_after_answer(sequence: Sequence) -> float | None:
    """Seconds from the answer to a reply until the cadence goes on; None: it ends then."""
    match sequence.exits.get("replied"):
        case RestUntilAnswered(resume_after):
            return resume_after.total_seconds() if resume_after is not None else None
        case Stop():
            return None
        case _:
            return 0.0


def stopped(state: LeadState) -> bool:
    """Whether no sequence but one that serves an appointment may write to the lead."""
    return bool(state.opted_out & set(PHONE))


def enroll(state: LeadState, sequence: Sequence, cause: str, appointment_id: str | None = None) -> f.Enrolled:
    number = state.enrollment.number + 1 if state.enrollment else 1
    return f.Enrolled(
        enrollment=number,
        sequence=sequence.key,
        version=sequence.version,
        cause=cause,
        appointment_id=appointment_id,
    )


def into(state: LeadState, sequence: Sequence, cause: str, appointment_id: str | None = None) -> Iterator[f.Fact]:
    """Into another sequence; after an opt-out only into one that serves an appointment."""
    if stopped(state) and not sequence.anchored():
        if state.exit_reason is None:
            yield f.Finished(exit_reason=f.ExitReason.OPTED_OUT)
        return
    yield enroll(state, sequence, cause, appointment_id)


def leave(
    state: LeadState, event: str, reason: f.ExitReason, book: Book, default: Stop | None = None
) -> Iterator[f.Fact]:
    """What the sequence's exit for `event` does; without one, nothing (or `default`)."""
    sequence = sequence_of(state, book)
    exit_ = sequence.exits.get(event, default) if sequence else default
    match exit_:
        case Stop():
            if state.exit_reason is None:
                yield f.Finished(exit_reason=reason)
        case Switch(key):
            yield from into(state, book.latest(key), event)
        case _:
            return


def dropped(touch: Touch, rule: str, reason: str) -> f.TouchChanged:
    return f.TouchChanged.of(touch, TouchStatus.SKIPPED, due_at=touch.due_at, rule=rule, reason=reason)
