"""The fold: a lead's state after each of its facts. Pure; a fact already applied changes nothing."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from domain import facts as f
from domain.appointment_fold import appointed
from domain.desk import RINGS
from domain.lead_state import STAFF, STOP, Enrollment, LeadState, Pause, Rest, Review, Stage, Task, Touch, put, staged
from domain.task_fold import (
    call_ended,
    in_a_call,
    task_claimed,
    task_closed,
    task_escalated,
    task_opened,
    task_returned,
)
from domain.touches import SENT, Disposition, TouchStatus, may_become

# Causes of an enrollment that go on with what there was: what a person has decided of the lead holds.
NO_NEW_START = frozenset({"rescheduled", "cancelled", "no_show", "a further appointment"})


def fold(lead_id: str, records: Iterable[f.Recorded], known: LeadState | None = None) -> LeadState:
    """`known`: the state after the facts that come before `records`."""
    state = known or LeadState(lead_id)
    for record in records:
        state = apply(state, record)
    return state


def apply(state: LeadState, record: f.Recorded) -> LeadState:
    """The state after one more fact. A fact already applied returns the same object."""
    if record.no <= state.last_no:
        return state
    after = _applied(state, record.fact, record.at, record.no)
    return replace(after, last_no=record.no, last_at=max(record.at, state.last_at or record.at))


def _applied(state: LeadState, fact: f.Fact, at: datetime, no: int) -> LeadState:  # noqa: PLR0912 - one case a fact
    match fact:
        case f.Inquired():
            return _inquired(replace(state, source=fact.source, asked_at=at), fact)
        case f.Enrolled():
            return _enrolled(state, fact, at)
        case f.TouchChanged():
            return _touched(state, fact, at, no)
        case f.Replied():
            return state if fact.stranger else _replied(state, fact, at, no)
        case f.TaskOpened():
            return task_opened(state, fact, at)
        case f.TaskClaimed():
            return task_claimed(state, fact, at)
        case f.TaskReturned():
            return task_returned(state, fact, at)
        case f.TaskEscalated():
            return task_escalated(state, fact, at)
        case f.TaskClosed():
            return _looked_at(task_closed(state, fact, at, no))
        case f.CallEnded():
            return call_ended(state, fact, at)
        case f.AppointmentChanged():
            return appointed(state, fact, no)
        case f.OptedOut():
            channels = frozenset(fact.channels)
            return replace(state, closed=state.closed | channels, opted_out=state.opted_out | channels)
        case f.Suppressed():
            return replace(state, closed=state.closed | frozenset(fact.channels))
        case f.Rested():
            return _rested(state, fact, at)
        case f.Paused():
            since = state.pause.since if state.pause else at
            return replace(state, pause=Pause(since, fact.reason, fact.until))
        case f.UnderReview(task_id=task_id):
            known = state.review or Review(at, frozenset())
            return replace(state, review=replace(known, tasks=known.tasks | {task_id}))
        case f.Resumed():
            return _resumed(state, fact, at)
        case f.StepSkipped():
            if state.enrollment is None or state.enrollment.number != fact.enrollment:
                return state
            skipped = state.enrollment.skipped | {fact.step}
            return replace(state, enrollment=replace(state.enrollment, skipped=skipped))
        case f.Assigned():
            return replace(state, owner=fact.key_id)
        case f.Finished():
            kept = state.stage in (Stage.CONVERTED, Stage.SHOWN) or state.booked() is not None
            kept |= fact.exit_reason is f.ExitReason.BOOKED  # by another lead of the person
            stage = state.stage if kept else Stage.LOST
            after = replace(state, exit_reason=fact.exit_reason, finished_at=at, rest=None, pause=None, stage=stage)
            return _looked_at(after)
        case f.Disqualified():
            return replace(state, let_go=True)
        case f.Consented() | f.Noted():
            return state
        case _:
            assert_never(fact)


def _inquired(state: LeadState, fact: f.Inquired) -> LeadState:
    if fact.repeat:
        return replace(
            state,
            zones=fact.zones or state.zones,
            closed=state.closed | frozenset(fact.stopped),
            phone=state.phone or fact.phone,
            email=state.email or fact.email,
        )
    return replace(
        state,
        zones=fact.zones,
        facility=fact.facility,
        phone=fact.phone,
        email=fact.email,
        closed=frozenset(fact.stopped),
    )


def _replied(state: LeadState, fact: f.Replied, at: datetime, no: int) -> LeadState:
    """One that would not hear of the end of its task is not held by it: it would be held for good."""
    waits = {fact.task_id} if fact.intent is None and fact.told else set[str]()
    return replace(state, last_reply_at=at, last_reply_no=no, unanswered=state.unanswered | waits)


def _enrolled(state: LeadState, fact: f.Enrolled, at: datetime) -> LeadState:
    """A new run. What a person has the turn with is waited for here too; other rests were the old run's."""
    waits = frozenset(t.id for t in state.tasks.values() if t.living and _holds(t, fact))
    waits |= state.unanswered
    for waited in state.rest.waits if state.rest else ():
        # what a person is to find out first keeps nothing back that an appointment needs, but for who wrote
        if _asks_who_wrote(state, waited) or (fact.appointment_id is None and _waits_for_words(state, waited)):
            waits |= {waited}
    cause = state.rest.cause if state.rest else "a person has the turn"
    rest = Rest(at, cause, waits, None, 0.0) if waits else None
    after = replace(state, enrollment=Enrollment.begun(fact, at), rest=rest, exit_reason=None, finished_at=None)
    after = after if fact.cause in NO_NEW_START else replace(after, let_go=False)
    reached = any(t.status in SENT for t in state.touches.values())
    return staged(after, Stage.CONTACTED if reached else Stage.NEW)


def _holds(task: Task, into: f.Enrolled) -> bool:
    """Whether nobody but a person writes to the lead until this is done.

    A reply; and but for what serves an appointment, a call that was answered or promised.
    """
    spoken = task.promised or task.disposition is Disposition.ANSWERED
    return task.kind is f.TaskKind.REPLY or (spoken and into.appointment_id is None)


def _waits_for_words(state: LeadState, task_id: str) -> bool:
    """Whether this is a reply to answer: ours, or one (its task is on a relative's lead) that may be ours."""
    task = state.tasks.get(task_id)
    return task is None or (task.living and task.kind in (f.TaskKind.REPLY, f.TaskKind.REVIEW))


def _asks_who_wrote(state: LeadState, task_id: str) -> bool:
    """Whether this asks which lead wrote: ours, or a relative's that may be about this one."""
    task = state.tasks.get(task_id)
    return task is None or (task.living and bool(task.candidates))


def _has_the_turn(state: LeadState, task_id: str) -> bool:
    """Whether a person must act on this before a machine writes: answer a reply, enter what came of a call."""
    task = state.tasks.get(task_id)
    spoken = task is not None and task.living and task.disposition is Disposition.ANSWERED
    return spoken or _waits_for_words(state, task_id)


def _touched(state: LeadState, fact: f.TouchChanged, at: datetime, no: int) -> LeadState:
    key = (fact.enrollment, fact.step, fact.part)
    old = state.touches.get(key)
    if old is None:
        old = Touch(
            fact.touch_id,
            *key,
            channel=fact.channel,
            status=TouchStatus.PLANNED,
            at=at,
            due_at=fact.due_at,
            task_id=fact.task_id,
            message_id=fact.message_id,
            no=no,
            first_no=no,
        )
        if fact.status is TouchStatus.PLANNED:
            return replace(state, touches=put(state.touches, key, old))
    if not may_become(old.status, fact.status, old.channel):
        return state
    enrollment = state.enrollment
    new = replace(old, status=fact.status, at=at, rule=fact.rule, reason=fact.reason, code=fact.code, no=no)
    tried = fact.status is TouchStatus.CLAIMED or (fact.status is TouchStatus.DELAYED and fact.rule == RINGS)
    new = replace(new, look_at=fact.look_at, looks=fact.looks, tries=old.tries + tried)
    if old.status is TouchStatus.DELAYED and enrollment is not None:  # over: a rest from now on is no part of it
        due = enrollment.due(old)
        new = replace(new, delay=enrollment.delay(old), until=due, was_due=due, until_set=at)
    if fact.status is TouchStatus.DELAYED and fact.until is not None:
        slot = enrollment.slot(old.step, old.part) if enrollment else None
        was_due = (enrollment.due(old) if enrollment else old.until) or slot or old.due_at or at
        new = replace(new, until=fact.until, until_set=at, was_due=was_due, delayed_at=old.delayed_at or at)
    if fact.status is TouchStatus.CLAIMED:
        new = replace(new, claimed_at=at)
    state = in_a_call(state, old, new, at)
    after = replace(state, touches=put(state.touches, key, new), rest=_from_the_answer(state.rest, old, fact, at))
    # a callback that comes after the end is late news, not a lead that moves again
    counts = fact.status in SENT and fact.step != STOP and state.exit_reason is None
    return staged(after, Stage.CONTACTED) if counts else after


def _from_the_answer(rest: Rest | None, old: Touch, fact: f.TouchChanged, at: datetime) -> Rest | None:
    """A rest whose end counts from a person's answer counts from when that has gone out, be it in the morning."""
    gone = fact.status in SENT and old.status not in SENT and fact.step == STAFF and fact.task_id is None
    if rest is None or not gone or rest.waits or rest.until is None or old.message_id is None:
        return rest
    return replace(rest, until=max(rest.until, at + timedelta(seconds=rest.resume_after)))


def _rested(state: LeadState, fact: f.Rested, at: datetime) -> LeadState:
    old = state.rest
    waits = (old.waits if old else frozenset()) | ({fact.task_id} if fact.task_id else frozenset())
    until = max(filter(None, (fact.until, old.until if old else None)), default=None)
    waited = (
        old if old is not None and old.waits else None
    )  # what an end that is known already was counted from is over
    after = max(fact.resume_after or 0.0, waited.resume_after if waited else 0.0)
    last = (fact.task_id is not None and fact.resume_after is None) or (waited is not None and waited.is_last)
    return replace(state, rest=Rest(old.since if old else at, fact.cause, waits, until, after, last))


def _resumed(state: LeadState, fact: f.Resumed, at: datetime) -> LeadState:
    if fact.overslept is not None:
        enrollment = state.enrollment
        assert enrollment is not None  # a cadence that nobody carried out
        enrollment = replace(enrollment, overslept=(*enrollment.overslept, (fact.overslept, at)))
        return _slotted(state, enrollment, fact, at)
    since = [since for since, _ in state.hold_spans]
    if not since or (fact.of == "review" and state.review is None):
        return state
    if fact.of == "review" and state.pause is not None and state.beneath(at) == "pause":
        # as with a rest below: the time of what is over counts once what goes on ends too
        return replace(state, review=None, pause=replace(state.pause, since=min(since)))
    rest = state.rest
    words = frozenset(i for i in (rest.waits if rest else ()) if i in state.tasks and _has_the_turn(state, i))
    if rest is not None and (fact.of != "all" or words):
        # the time of the pause counts as rested once the rest ends too
        waits = rest.waits if fact.of != "all" else words
        return replace(state, review=None, pause=None, rest=replace(rest, since=min(since), waits=waits))
    enrollment, state = state.enrollment, replace(state, rest=None, pause=None, review=None)
    if enrollment is None:
        return state
    span = (max(min(since), enrollment.started_at), at)
    if fact.mode == "shift":
        return replace(state, enrollment=replace(enrollment, rests=(*enrollment.rests, span)))
    return _slotted(state, replace(enrollment, kept=(*enrollment.kept, span)), fact, at)


def _looked_at(state: LeadState) -> LeadState:
    """What a finished lead had is known once nobody is asked for it any more: then nothing that begins is held."""
    if state.exit_reason is None or state.review is None:
        return state
    asked = (state.tasks.get(task_id) for task_id in state.review.tasks)
    return state if any(task is not None and task.living for task in asked) else replace(state, review=None)


def _slotted(state: LeadState, enrollment: Enrollment, fact: f.Resumed, at: datetime) -> LeadState:
    """Overdue parts get new times. What put one off before is over; by how much it moved later ones stays."""
    slots, touches = dict(enrollment.slots), dict(state.touches)
    for slot in fact.slots:
        slots[slot.step, slot.part] = (at, slot.at)
        key = (enrollment.number, slot.step, slot.part)
        if (old := touches.get(key)) is not None and old.status in (TouchStatus.PLANNED, TouchStatus.DELAYED):
            delay = enrollment.delay(old)
            touches[key] = replace(old, due_at=slot.at, delay=delay, until=None, until_set=None, was_due=None)
    enrollment = replace(enrollment, slots=MappingProxyType(slots))
    return replace(state, enrollment=enrollment, touches=MappingProxyType(touches))
