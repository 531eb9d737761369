"""The fold's part of tasks: opened, claimed for a lease, returned, closed; and a call's end. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from domain import facts as f
from domain.desk import TALKS
from domain.lead_state import LeadState, Stage, Task, Touch, put, staged
from domain.patience import PATIENCE
from domain.touches import Disposition, TouchStatus

_ON_THE_LINE = frozenset({TouchStatus.CLAIMED, TouchStatus.ACCEPTED})
_UNDER_WAY = _ON_THE_LINE | {TouchStatus.UNKNOWN}  # or perhaps so
_NOT_OVER = _UNDER_WAY | {TouchStatus.PLANNED, TouchStatus.DELAYED}


def task_opened(state: LeadState, fact: f.TaskOpened, at: datetime) -> LeadState:
    task = Task(
        fact.task_id,
        fact.task_kind,
        f.TaskState.OPEN,
        opened_at=at,
        due_at=fact.due_at,
        claim_by=fact.claim_by,
        claim_within=fact.claim_by - fact.due_at if fact.claim_by else None,
        enrollment=fact.enrollment,
        step=fact.step,
        part=fact.part,
        script=fact.script,
        reason=fact.reason,
        message_id=fact.message_id,
        candidates=fact.candidates,
        promised=fact.promised,
        refused=fact.refused,
        open_since=max(at, fact.due_at),
    )
    return replace(state, tasks=put(state.tasks, fact.task_id, task))


def task_claimed(state: LeadState, fact: f.TaskClaimed, at: datetime) -> LeadState:
    """Claimed once more in the middle of a call, it is its holder's for as long as it was."""
    before, until = state.tasks.get(fact.task_id), fact.lease_until
    if before is not None and before.claimed_by == fact.by_id and before.lease_until is not None:
        until = max(until, before.lease_until)
    return _task(
        state,
        fact.task_id,
        state=f.TaskState.CLAIMED,
        claimed_by=fact.by_id,
        claimed_name=fact.by_name,
        lease_until=until,
        lease=fact.lease_until - at,
    )


def task_returned(state: LeadState, fact: f.TaskReturned, at: datetime) -> LeadState:
    before = state.tasks.get(fact.task_id)
    return _task(
        state,
        fact.task_id,
        state=f.TaskState.OPEN,
        claimed_by=None,
        claimed_name=None,
        lease_until=None,
        claim_by=fact.claim_by,
        escalation=(before.escalation if before else 0) + int(fact.escalated),
        open_since=max(at, before.due_at) if before else at,
    )


def task_escalated(state: LeadState, fact: f.TaskEscalated, at: datetime) -> LeadState:
    before = state.tasks.get(fact.task_id)
    return _task(state, fact.task_id, escalation=(before.escalation if before else 0) + 1, open_since=at)


def in_a_call(state: LeadState, before: Touch, now: Touch, at: datetime) -> LeadState:
    """The lease of who pressed the key lasts the call, and counts anew from its end.

    Of a call that perhaps never was, it counts from when that may be dialled again: see task_commands.dial.
    """
    task = state.tasks.get(now.task_id) if now.task_id is not None else None
    if task is None or task.lease is None or task.lease_until is None or now.status is before.status:
        return state
    claimed = now.claimed_at or at
    match now.status:
        case TouchStatus.CLAIMED | TouchStatus.ACCEPTED:
            return _held(state, task, max(task.lease_until, claimed + max(task.lease, TALKS)))
        case TouchStatus.UNKNOWN:
            return _held(state, task, max(at, claimed + PATIENCE.call) + task.lease)
        case _ if before.status in _UNDER_WAY:
            return _anew(state, now, at)
    return state


def _anew(state: LeadState, over: Touch, at: datetime) -> LeadState:
    """From the end of a call, but for one that comes late, while the next is under way."""
    task = state.tasks.get(over.task_id or "")
    if task is None or task.lease is None:
        return state
    under_way = any(t.status in _ON_THE_LINE for t in _later(state, over))
    return state if under_way else _held(state, task, at + task.lease)


def dialled_again(state: LeadState, over: Touch) -> bool:
    """Whether a later call of its task waits, or is on the line or perhaps so: that one's end says what came of it."""
    return any(t.status in _NOT_OVER for t in _later(state, over))


def _later(state: LeadState, over: Touch) -> Iterator[Touch]:
    """The calls of the same task after this one whose end nobody has told."""
    task = state.tasks.get(over.task_id or "")
    ended = task.ended if task is not None else frozenset()
    calls = (t for t in state.touches.values() if t.task_id == over.task_id and t.first_no > over.first_no)
    return (t for t in calls if t.touch_id not in ended)


def _held(state: LeadState, task: Task, until: datetime) -> LeadState:
    return _task(state, task.id, lease_until=until) if task.state is f.TaskState.CLAIMED else state


def call_ended(state: LeadState, fact: f.CallEnded, at: datetime) -> LeadState:
    touch = next((t for t in state.touches.values() if t.touch_id == fact.touch_id), None)
    if touch is not None and touch.claimed_at is not None:  # a line that nobody took tells of nobody
        state = _anew(state, touch, at)
    task = state.tasks.get(fact.task_id)
    if task is None:
        return state
    spoken = Disposition.ANSWERED in (task.disposition, fact.disposition)  # whatever a further call comes to
    if not (task.living or task.state is f.TaskState.MISSED):  # completed while the line was open
        disposition = Disposition.ANSWERED if spoken else task.disposition
        over = replace(task, disposition=disposition, ended=task.ended | {fact.touch_id})
        return replace(state, tasks=put(state.tasks, task.id, over))
    disposition = Disposition.ANSWERED if spoken else fact.disposition
    task = replace(task, disposition=disposition, ended=task.ended | {fact.touch_id})
    if task.living and fact.disposition is Disposition.ANSWERED:
        # spoken with: the task waits for its outcome, though its lease ran out while the phone still rang
        reached = replace(state, tasks=put(state.tasks, task.id, replace(task, claim_by=None)))
        return staged(reached, Stage.CONTACTED)
    return replace(state, tasks=put(state.tasks, task.id, task))  # missed, and answered all the same


def task_closed(state: LeadState, fact: f.TaskClosed, at: datetime, no: int) -> LeadState:
    state = replace(state, unanswered=state.unanswered - {fact.task_id})
    task = state.tasks.get(fact.task_id)
    if task is None:  # a task on a relative's lead, which this one may have waited for
        return _answered(state, fact.task_id, at)
    if not task.living:
        return state
    after = _task(
        state,
        fact.task_id,
        state=fact.state,
        disposition=fact.disposition or task.disposition,
        outcome=fact.outcome,
        notes=fact.notes,
        closed_at=at,
        closed_no=no,
        lease_until=None,
    )
    if fact.outcome in (f.Outcome.NOT_A_FIT, f.Outcome.NOT_NOW):
        after = replace(after, let_go=True)
    if fact.disposition is Disposition.ANSWERED:
        after = staged(after, Stage.CONTACTED)
    if fact.outcome is f.Outcome.REACHED or fact.outcome is f.Outcome.BOOKED:
        after = staged(after, Stage.QUALIFIED)
    return _answered(after, fact.task_id, at)


def _answered(state: LeadState, task_id: str, at: datetime) -> LeadState:
    """The rest no longer waits for this task; with the last one its end is known."""
    rest = state.rest
    if rest is None or task_id not in rest.waits:
        return state
    waits, until = rest.waits - {task_id}, rest.until
    if not waits:
        after = at + timedelta(seconds=rest.resume_after)
        until = None if rest.is_last else max(after, until or after)
    return replace(state, rest=replace(rest, waits=waits, until=until))


def _task(lead: LeadState, task_id: str, /, **changes: Any) -> LeadState:
    task = lead.tasks.get(task_id)
    if task is None or not task.living:
        return lead
    return replace(lead, tasks=put(lead.tasks, task_id, replace(task, **changes)))
