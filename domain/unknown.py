"""Touches of which nobody knows whether the provider took them: when they are looked for, how long others wait.

The line was cut, the provider failed after it had the request, or a worker died between claim and answer. All in real
time.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from domain import facts as f
from domain.consequences import Book, dropped, sequence_of, task_id
from domain.lead_state import LeadState, Touch
from domain.ports import OutcomeUnknown, Remedy, Unread, Unseen
from domain.schedule import looked_for
from domain.sequence import IfUnknown, Sequence
from domain.touches import SENT, Channel, TouchStatus, first_of, is_second, second_of

# Seconds before each look in the provider's list, five and a half hours in all: it may lag, accept late, or be away.
# SendGrid keeps no list; its events are given a minute before a person is asked, and nine before anything follows.
_PAUSES = (5, 15, 30, 60, 120, 300, 900, 3600, 14_400)
_LOOKS = {Channel.SMS: _PAUSES, Channel.VOICE: _PAUSES, Channel.EMAIL: (60, 480)}

# A list that does not answer is asked again after so long at least.
_UNREAD = timedelta(minutes=1)

# Rules and reasons of a second try that is left out.
KNOWN = "resend.known"
TAKEN = (KNOWN, "the carrier took the first one")
ANSWERED = ("resend.answered", "a person has seen to the first one")
OVERTAKEN = "retry.overtaken"

_GIVEN_UP = 6  # looks; after these, or the last one, nine minutes all in all, a step that says so is sent once more

# So long after its claim nothing else goes to this address on this channel: what is found is this touch's.
ALONE_FOR = timedelta(minutes=2)


def pause_before_look(channel: Channel, looks: int) -> timedelta | None:
    """How long to wait after `looks` looks in vain; None: it was looked for often enough."""
    pauses = _LOOKS[channel]
    return timedelta(seconds=pauses[looks]) if looks < len(pauses) else None


def still_unknown(
    touch: Touch, channel: Channel, after: Callable[[timedelta], datetime], result: OutcomeUnknown
) -> dict[str, Any]:
    """The fields of the fact that its outcome is unknown. `after`: the product time so much real time from now.

    A list that did not answer counts once, so that a person is asked, and never again: by it nobody gives a touch up.
    """
    looks = touch.looks
    if isinstance(result, Unseen):
        looks += 1
    elif isinstance(result, Unread):
        looks = max(looks, 1)
    pause = pause_before_look(channel, looks)
    if isinstance(result, Unread) and pause is not None:
        pause = max(pause, _UNREAD)
    return {"look_at": after(pause) if pause is not None else None, "looks": looks}


def is_given_up(channel: Channel, looks: int) -> bool:
    """Whether a step that says `resend` is sent once more now."""
    return looks >= min(_GIVEN_UP, len(_LOOKS[channel]))


def given_up_after(channel: Channel) -> timedelta:
    """So long (real) after its claim at the least."""
    return timedelta(seconds=sum(_LOOKS[channel][:_GIVEN_UP]))


def awaits_resending(state: LeadState, sequence: Sequence) -> bool:
    """Whether a touch of the present enrollment may yet have to be sent once more."""
    return any(may_be_resent(state, sequence, touch) for touch in looked_for(state))


def may_be_resent(state: LeadState, sequence: Sequence, touch: Touch) -> bool:
    """Whether a touch whose outcome is unknown, or may become so, will be sent once more if it stays so."""
    step = sequence.step(touch.step)
    return (
        state.enrollment is not None
        and touch.enrollment == state.enrollment.number
        and touch.channel is not None
        and step is not None
        and step.if_unknown is IfUnknown.RESEND
        and not is_second(touch.part)
        and not is_given_up(touch.channel, touch.looks)
    )


def review_id(lead_id: str, touch_id: str) -> str:
    """The id of the task that asks a person what became of it."""
    return task_id(lead_id, "unknown", touch_id)


def reviews(state: LeadState) -> frozenset[str]:
    """The ids of the tasks that ask what became of the lead's touches of unknown outcome."""
    unknown = (t for t in state.touches.values() if t.status is TouchStatus.UNKNOWN)
    return frozenset(review_id(state.lead_id, t.touch_id) for t in unknown)


def resending_is_over(state: LeadState, touch: Touch, fact: f.TouchChanged) -> Iterator[f.Fact]:
    """Of a touch and its second try one is enough: the other waits no longer, nor who was to find out about it."""
    if fact.status not in SENT:
        return
    if not is_second(touch.part):
        if fact.remedy not in (Remedy.RETRY, Remedy.RESCHEDULE):  # it is worth a second try, which waits already
            yield from not_sent_again(state, touch, *TAKEN)
        return
    known = state.touches.get((touch.enrollment, touch.step, first_of(touch.part)))
    review = state.tasks.get(review_id(state.lead_id, known.touch_id)) if known is not None else None
    if fact.status is not TouchStatus.UNDELIVERED and review is not None and review.living:
        yield f.TaskClosed(task_id=review.id, state=f.TaskState.DONE, reason="it was sent once more, and went out")


def not_sent_again(state: LeadState, first: Touch, rule: str, reason: str) -> Iterator[f.Fact]:
    """Its second try, should it wait, is dropped."""
    again = state.touches.get((first.enrollment, first.step, second_of(first.part)))
    if again is not None and again.status in (TouchStatus.PLANNED, TouchStatus.DELAYED):
        yield dropped(again, rule, reason)


def needless(state: LeadState, enrollment: int, step: str, part: str) -> tuple[str, str] | None:
    """Rule and reason to leave out a second try, of whose first more is known by now than when it was planned."""
    first = state.touches.get((enrollment, step, first_of(part)))
    if first is None or not is_second(part):
        return None
    if first.status in (TouchStatus.ACCEPTED, TouchStatus.DELIVERED):
        return TAKEN
    review = state.tasks.get(review_id(state.lead_id, first.touch_id))
    answered = first.status is TouchStatus.UNKNOWN and review is not None and review.state is f.TaskState.DONE
    return ANSWERED if answered else None


def review_answered(state: LeadState, task: str) -> Iterator[f.Fact]:
    """A person has seen to a touch of unknown outcome, by hand if need be: it is not sent once more."""
    for touch in state.touches.values():
        if touch.status is TouchStatus.UNKNOWN and review_id(state.lead_id, touch.touch_id) == task:
            yield from not_sent_again(state, touch, *ANSWERED)


def if_unknown(state: LeadState, fact: f.TouchChanged, book: Book) -> IfUnknown:
    """What its step says; a touch outside the present sequence has no step that could wait for it."""
    current = state.enrollment is not None and state.exit_reason is None and state.enrollment.number == fact.enrollment
    sequence = sequence_of(state, book) if current else None
    step = sequence.step(fact.step) if sequence else None
    return step.if_unknown if step else IfUnknown.GO_ON


def became_unknown(state: LeadState, fact: f.TouchChanged, at: datetime, book: Book) -> Iterator[f.Fact]:
    """A person is asked once the first look was in vain, and at once where the sequence waits for the answer."""
    policy = if_unknown(state, fact, book)
    review = review_id(state.lead_id, fact.touch_id)
    first = review not in state.tasks
    if first and (fact.looks > 0 or fact.look_at is None or policy is IfUnknown.HOLD):
        reason = f"unknown whether {fact.channel} of step {fact.step} went out"
        yield f.TaskOpened(task_id=review, task_kind=f.TaskKind.REVIEW, due_at=at, reason=reason)
    if first and policy is IfUnknown.HOLD:
        yield f.Rested(cause=f"unknown whether {fact.step} went out", task_id=review, resume_after=0.0)
