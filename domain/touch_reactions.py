"""What follows from what becomes of a touch: a second try, a closed address, a person's turn."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain import facts as f
from domain.consequences import PHONE, Book, dropped, opened, rests_after_answer, sequence_of
from domain.lead_state import STAFF, STOP, LeadState, Touch
from domain.ports import Remedy
from domain.sequence import IfUnknown
from domain.touches import Channel, Disposition, TouchStatus, is_second, second_of, touch_id
from domain.unknown import KNOWN, OVERTAKEN, became_unknown, if_unknown, is_given_up, resending_is_over, review_id

SKIPPED = ("staff.skipped", "skipped by a person")  # rule and reason
RETRY_AFTER = timedelta(minutes=30)
QUIET_FOR = timedelta(hours=1)  # a carrier that keeps quiet hours of its own is tried again after so long


def touch_changed(state: LeadState, fact: f.TouchChanged, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    now = state.touches.get((fact.enrollment, fact.step, fact.part))
    if now is None or now.no != no:
        return  # a late or repeated callback: nothing changed
    if fact.status is TouchStatus.UNKNOWN:
        yield from became_unknown(state, fact, at, book)
        if fact.channel is not None and is_given_up(fact.channel, fact.looks):
            yield from _sent_once_more(state, fact, now, at, book)
        return
    review = review_id(state.lead_id, fact.touch_id)
    if (open_ := state.tasks.get(review)) is not None and open_.living:
        outcome = "it did not go out" if fact.status is TouchStatus.FAILED else "it went out"
        yield f.TaskClosed(task_id=review, state=f.TaskState.DONE, reason=f"the carrier has told: {outcome}")
    yield from resending_is_over(state, now, fact)
    yield from _alert(state, now, fact, no, at)
    if fact.status is TouchStatus.FAILED and now.task_id is not None and fact.remedy is not Remedy.ALERT:
        yield f.CallEnded(task_id=now.task_id, touch_id=fact.touch_id, disposition=Disposition.FAILED)
    current = state.enrollment.number if state.enrollment and state.exit_reason is None else None
    if fact.status is TouchStatus.DELAYED and _of_sequence(now) and fact.enrollment != current:
        yield dropped(now, "sequence.over", "the sequence is over")  # it ended while this was on its way
    elif fact.status is TouchStatus.DELAYED and _of_sequence(now) and _is_skipped(state, fact):
        yield dropped(now, *SKIPPED)
    if fact.channel is None or fact.status not in (TouchStatus.UNDELIVERED, TouchStatus.FAILED, TouchStatus.SKIPPED):
        return
    if fact.remedy in (Remedy.SUPPRESS, Remedy.SUPPRESS_NUMBER):
        closes = PHONE if fact.remedy is Remedy.SUPPRESS_NUMBER else (fact.channel,)
        yield f.Suppressed(channels=closes, cause="suppressed", code=fact.code)
    if fact.remedy in (Remedy.RETRY, Remedy.RESCHEDULE) and _may_retry(state, fact):
        later = RETRY_AFTER if fact.remedy is Remedy.RETRY else QUIET_FOR
        yield _second_try(state, fact, now, at + later)
    elif fact.step == STAFF and now.task_id is None:
        yield from _unanswered(state, fact, no, at, book)
    elif fact.status is TouchStatus.FAILED and fact.remedy in (None, Remedy.DROP) and now.task_id is None:
        reason = f"{fact.channel} of step {fact.step} did not go out: {fact.reason}"
        yield opened(state, no, at, f.TaskKind.REVIEW, reason)


def _alert(state: LeadState, now: Touch, fact: f.TouchChanged, no: int, at: datetime) -> Iterator[f.Fact]:
    """Our account is at fault: a person must look, once, however many tries and touches it concerns."""
    open_ = [t for t in state.tasks.values() if t.living and t.refused is not None and t.refused is fact.channel]
    if fact.remedy is Remedy.ALERT and fact.channel is not None and not open_:
        reason = f"the carrier refuses our account for {fact.channel} (code {fact.code})"
        yield opened(state, no, at, f.TaskKind.REVIEW, reason, refused=fact.channel)
    # a text is refused after it was accepted, too: only one that arrived tells that all is well again
    elif fact.status is TouchStatus.DELIVERED or (
        fact.status is TouchStatus.ACCEPTED and fact.channel is not Channel.SMS
    ):
        for task in open_:
            if now.claimed_at is not None and now.claimed_at >= task.opened_at:  # what went before tells nothing
                yield f.TaskClosed(
                    task_id=task.id, state=f.TaskState.DONE, reason="the carrier takes our touches again"
                )


def _second_try(state: LeadState, fact: f.TouchChanged, first: Touch, due_at: datetime) -> f.TouchChanged:
    known = state.touches.get((fact.enrollment, fact.step, second_of(fact.part)))
    part = second_of(fact.part, after_all=known is not None and known.rule == KNOWN)
    return f.TouchChanged(
        touch_id=touch_id(state.lead_id, fact.enrollment, fact.step, part),
        enrollment=fact.enrollment,
        step=fact.step,
        part=part,
        channel=fact.channel,
        status=TouchStatus.PLANNED,
        due_at=due_at,
        message_id=first.message_id,
    )


def _sent_once_more(state: LeadState, fact: f.TouchChanged, now: Touch, at: datetime, book: Book) -> Iterator[f.Fact]:
    """Nobody will know whether it went out, and its step says that twice is better than never."""
    again = _second_try(state, fact, now, at)
    known = (again.enrollment, again.step, again.part) in state.touches
    review = state.tasks.get(review_id(state.lead_id, fact.touch_id))
    answered = review is not None and review.state is f.TaskState.DONE  # a person has seen to it
    resends = if_unknown(state, fact, book) is IfUnknown.RESEND and not answered
    if resends and _may_retry(state, fact) and not known:
        yield again


def _may_retry(state: LeadState, fact: f.TouchChanged) -> bool:
    """A touch gets one second try while its sequence goes on; a call gets its next step instead."""
    if fact.channel is Channel.VOICE or fact.step == STOP or is_second(fact.part):
        return False
    current = state.enrollment.number if state.enrollment and state.exit_reason is None else None
    return fact.step == STAFF or (fact.enrollment == current and not _is_skipped(state, fact))


def _is_skipped(state: LeadState, fact: f.TouchChanged) -> bool:
    """Whether a person skipped its step, perhaps while it was on its way."""
    enrollment = state.enrollment
    return enrollment is not None and enrollment.number == fact.enrollment and fact.step in enrollment.skipped


def _unanswered(state: LeadState, fact: f.TouchChanged, no: int, at: datetime, book: Book) -> Iterator[f.Fact]:
    """A person's own words did not reach the lead: it is a person's turn again, if there is a way left to write."""
    if fact.rule == OVERTAKEN:  # the newer ones speak for them: nothing waits
        reason = f"a message of ours did not arrive, and {fact.reason}: see whether it is still needed"
        yield opened(state, no, at, f.TaskKind.REVIEW, reason)
        return
    left = {way for way in Channel if state.reachable(way)}
    if fact.remedy is Remedy.SUPPRESS_NUMBER:
        left -= set(PHONE)
    elif fact.remedy is Remedy.SUPPRESS:
        left = {way for way in left if way is not fact.channel}
    if not left:
        return
    writes = bool(left - {Channel.VOICE})
    kind = f.TaskKind.REPLY if writes else f.TaskKind.CALLBACK
    task = opened(state, no, at, kind, f"a message of ours did not reach the lead: {fact.reason}")
    yield task
    sequence = sequence_of(state, book)
    if state.exit_reason is None and sequence is not None:
        after = rests_after_answer(sequence)
        yield f.Rested(cause="an answer did not reach the lead", task_id=task.task_id, resume_after=after)


def _of_sequence(touch: Touch) -> bool:
    return touch.step not in (STAFF, STOP) and touch.task_id is None


def skipped(state: LeadState, step: str) -> Iterator[f.Fact]:
    """What of a step that a person skips was planned already, a second try too."""
    number = state.enrollment.number if state.enrollment else None
    for touch in state.touches.values():
        waits = touch.status in (TouchStatus.PLANNED, TouchStatus.DELAYED) and _of_sequence(touch)
        if waits and (touch.enrollment, touch.step) == (number, step):
            yield dropped(touch, *SKIPPED)


def left_over(state: LeadState, fact: f.Enrolled | f.Finished) -> Iterator[f.Fact]:
    """Touches of a sequence that is over, whose time has not come, will not be sent: they say so."""
    current = fact.enrollment if isinstance(fact, f.Enrolled) else None
    for touch in state.touches.values():
        waits = touch.status in (TouchStatus.PLANNED, TouchStatus.DELAYED)
        if waits and _of_sequence(touch) and touch.enrollment != current:
            yield dropped(touch, "sequence.over", "the sequence is over")
