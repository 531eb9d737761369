"""What follows at once from a fact, by the sequence's exits and the house rules. Pure: facts in, facts out.

Reactions are appended in the transaction of their cause, so a stop shuts the gate with its own answer. Those of tasks,
touches and appointments are in files of their own beside this one.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain import facts as f
from domain.appointment_reactions import appointment_changed, has_come, next_appointment
from domain.consequences import PHONE, Book, callback, into, leave, opened, rests_after_answer, sequence_of
from domain.lead_state import LeadState
from domain.sequence import Stop, Switch
from domain.task_reactions import (
    call_ended,
    cancel_calls,
    let_go,
    promised_otherwise,
    returned,
    spoken_with,
    task_closed,
    uncalled,
)
from domain.touch_reactions import left_over, skipped, touch_changed
from domain.touches import Channel

REPLY_WITHIN = timedelta(minutes=15)
ASKED_AGAIN = "asked again"
OTHER_ADDRESS = {"phone": "another number", "email": "another e-mail address"}


def react(state: LeadState, record: f.Recorded, book: Book) -> Iterator[f.Fact]:  # noqa: PLR0912 - one case a fact
    """The facts that follow from `record`, in order; `state` has it applied already."""
    at, no = record.at, record.no
    match record.fact:
        case f.Inquired(repeat=True) as again:
            for task in state.tasks.values():  # one of them is enough, and the newest tells the most
                asked = task.state is f.TaskState.OPEN and (task.reason or "").startswith(ASKED_AGAIN)
                if asked and not spoken_with(state, task):
                    yield f.TaskClosed(task_id=task.id, state=f.TaskState.CANCELLED, reason="asked again since")
            yield callback(state, no, at, _asked_again(again))
        case f.Inquired(stopped=stopped) if stopped:
            reason = (
                f"closed before this inquiry (opt-out, bounce or wrong number): nothing goes by {', '.join(stopped)}"
            )
            yield opened(state, no, at, f.TaskKind.REVIEW, reason)
        case f.Replied(intent=None) as replied:
            yield from _replied(state, replied, at, book)
        case f.OptedOut(channels=channels):
            yield from _opted_out(state, channels, book)
        case f.Disqualified():
            yield from let_go(state)
            if state.exit_reason is None:
                yield from leave(state, "disqualified", f.ExitReason.DISQUALIFIED, book, default=Stop())
        case f.AppointmentChanged() as changed:
            yield from appointment_changed(state, changed, no, at, book)
        case f.CallEnded() as ended:
            yield from call_ended(state, ended, no, at)
        case f.TaskClosed() as closed:
            yield from task_closed(state, closed, no, at, book)
        case f.TouchChanged() as touch:
            yield from touch_changed(state, touch, no, at, book)
        case f.Suppressed(channels=channels):
            if Channel.VOICE in channels:
                yield from promised_otherwise(state, no, at)
            yield from uncalled(state, channels, "this number cannot be called")
            expected = state.booked(after=at) is not None  # what becomes of it is still to be asked
            if state.exit_reason is None and not expected and not any(state.reachable(c) for c in Channel):
                yield f.Finished(exit_reason=f.ExitReason.UNREACHABLE)
        case f.Enrolled() | f.Finished():
            yield from cancel_calls(state, record.fact)
            yield from left_over(state, record.fact)
            if isinstance(record.fact, f.Enrolled) and record.fact.cause != "replied":
                yield from _still_waits(state, book)
            if isinstance(record.fact, f.Finished):
                if record.fact.exit_reason is f.ExitReason.BOOKED:
                    yield from has_come(state, None)
                yield from next_appointment(state, record.fact, at, book)
        case f.StepSkipped(step=step):
            yield from skipped(state, step)
        case f.TaskReturned(task_id=task):
            yield from returned(state, task, no, at)
        case _:
            return


def _asked_again(fact: f.Inquired) -> str:
    """For the person who calls back: what the lead keeps is not replaced by what a repeat says otherwise."""
    said = [f"gave {' and '.join(OTHER_ADDRESS[kind] for kind in fact.other)}"] if fact.other else []
    said += [f"may be lead {' or '.join(fact.perhaps)} as well"] if fact.perhaps else []
    return ", and ".join([ASKED_AGAIN, *said])


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
    sequence = sequence_of(state, book)
    if state.exit_reason is not None or sequence is None:
        return
    exit_ = sequence.exits.get("replied")
    if isinstance(exit_, Switch) and not fact.candidates:
        yield from into(state, book.latest(exit_.sequence), "replied")
    # whatever the sequence says, nobody whose reply waits is written to by the machine
    after = 0.0 if fact.candidates else rests_after_answer(sequence)
    yield f.Rested(cause="the lead wrote", task_id=fact.task_id, resume_after=after)


def _still_waits(state: LeadState, book: Book) -> Iterator[f.Fact]:
    """A reply that waits for its answer into another sequence: that one says when it goes on after the answer."""
    sequence = sequence_of(state, book)
    for task in state.tasks.values() if sequence is not None else ():
        if task.living and task.kind is f.TaskKind.REPLY:
            assert sequence is not None
            yield f.Rested(cause="the lead wrote", task_id=task.id, resume_after=rests_after_answer(sequence))


def _opted_out(state: LeadState, channels: tuple[Channel, ...], book: Book) -> Iterator[f.Fact]:
    yield from uncalled(state, channels, "the lead opted out")
    if set(channels) & set(PHONE) or not any(state.reachable(c) for c in Channel):
        sequence = sequence_of(state, book)
        default = Stop() if sequence is None or not sequence.anchored() else None
        yield from leave(state, "opted_out", f.ExitReason.OPTED_OUT, book, default)
