"""What a person may do with a task of a lead: each command decided by one function, under the lead's lock.

Each answers the facts to append, or raises Refused with the reason and the state, or InvalidInput.
"""

from datetime import datetime, timedelta

from domain import facts as f
from domain.access import Actor, Role
from domain.contact_window import next_open
from domain.desk import TALKS
from domain.errors import InvalidInput, Refused
from domain.lead_state import DIAL, STAFF, LeadState, Task, Touch
from domain.patience import PATIENCE, Patience
from domain.touches import Channel, Disposition, TouchStatus, touch_id
from domain.unknown import review_id

NO_PHONE = (
    "your key has no phone, and a call is connected by way of your own line: "
    "make a key that has one with `tend keys create --phone`"
)


def _task(state: LeadState, task_id: str) -> Task:
    task = state.tasks.get(task_id)
    if task is None:
        raise Refused("no such task on this lead", state.state)
    return task


def _mine(task: Task, actor: Actor) -> None:
    if task.state is not f.TaskState.CLAIMED:
        raise Refused(f"the task is {task.state}; claim it first", task.state)
    if not _may_act(task, actor):
        raise _in_hand(task, task)


def _may_act(task: Task, actor: Actor) -> bool:
    return task.claimed_by == actor.id or actor.role in (Role.ADMIN, Role.MANAGER)


def _in_hand(task: Task, of: Task) -> Refused:
    """`of`: the task itself, or another text of the lead's that somebody has claimed."""
    what = "task is" if of is task else "lead's texts are"
    return Refused(f"the {what} claimed by {of.claimed_name}", task.state)


def texts(state: LeadState) -> list[Task]:
    """The living tasks of what the lead wrote: one conversation, which one person carries on."""
    return [task for task in state.tasks.values() if task.living and task.kind is f.TaskKind.REPLY]


def _of_one_hand(state: LeadState, task: Task) -> list[Task]:
    return texts(state) if task.kind is f.TaskKind.REPLY else [task]


def claim(state: LeadState, task_id: str, actor: Actor, now: datetime, lease: timedelta) -> list[f.Fact]:
    """Of a text all of the lead's: no two people answer it beside each other."""
    task = _task(state, task_id)
    ours = _of_one_hand(state, task) if task.living else [task]
    for other in ours:
        if other.state is f.TaskState.CLAIMED and other.claimed_by != actor.id:
            raise _in_hand(task, other)
    if not task.living:
        raise Refused(f"the task is {task.state}", task.state)
    if task.state is f.TaskState.OPEN and task.claim_by is not None and task.claim_by <= now:
        raise Refused("the task's time has passed", f.TaskState.MISSED)
    until = now + lease
    return [f.TaskClaimed(task_id=t.id, by_id=actor.id, by_name=actor.name, lease_until=until) for t in ours]


def release(state: LeadState, task_id: str, actor: Actor, now: datetime) -> list[f.Fact]:
    task = _task(state, task_id)
    _mine(task, actor)
    within = task.claim_within if task.disposition is not Disposition.ANSWERED else None
    held = (t for t in _of_one_hand(state, task) if t.claimed_by == task.claimed_by)
    return [f.TaskReturned(task_id=t.id, claim_by=now + within if within else None) for t in held]


def dial(
    state: LeadState, task_id: str, actor: Actor, now: datetime, patience: Patience = PATIENCE
) -> list[f.TouchChanged]:
    """Plans one call: the actor's own line first, then the lead. Never a second while the first is on its way."""
    task = _task(state, task_id)
    if task.kind not in (f.TaskKind.CALL, f.TaskKind.CALLBACK):
        raise Refused(f"a task of kind {task.kind} is not a call", task.state)
    _mine(task, actor)
    if actor.phone is None:
        raise Refused(NO_PHONE, task.state)
    if Channel.VOICE in state.closed or not state.phone:
        raise Refused("this number may not be called", state.state)
    opens = next_open(now, state.zones)
    if opens > now:  # a call must not go out by itself in the morning, with nobody at the desk
        raise Refused(f"outside the contact window: it opens at {opens.isoformat(timespec='seconds')}", state.state)
    calls = [t for t in state.touches.values() if t.task_id is not None]  # of whatever task: it is one phone
    ended = {touch for other in state.tasks.values() for touch in other.ended}
    if any(t.status in (TouchStatus.PLANNED, TouchStatus.DELAYED, TouchStatus.CLAIMED) for t in calls):
        raise Refused("a call to this lead is already on its way", task.state)
    for call in calls:
        again = (call.claimed_at or call.at) + _may_last(state, call, actor, task_id, patience)
        if call.touch_id in ended or again <= now or _looked_up(state, call):
            continue
        until = f"it can be dialled again at {again.isoformat(timespec='seconds')}"
        if call.status is TouchStatus.UNKNOWN:
            told = f"nobody knows whether the last call to this lead was made: {until}, or once its review is complete"
            raise Refused(told, task.state)
        if call.status is TouchStatus.ACCEPTED:
            told = f"a call to this lead is already on its way; if nothing is heard of it, {until}"
            if again > (sooner := (call.claimed_at or call.at) + patience.call):
                then = f" from {sooner.isoformat(timespec='seconds')} on," if sooner > now else ""
                told += f", or{then} once the task of that call is completed"
            raise Refused(told, task.state)
    dials = [t for t in calls if t.task_id == task_id]
    number = task.enrollment or state.enrollment_no
    step, part = task.step or STAFF, f"{DIAL}{task_id[:8]}.{len(dials) + 1}"
    return [
        f.TouchChanged(
            touch_id=touch_id(state.lead_id, number, step, part),
            enrollment=number,
            step=step,
            part=part,
            channel=Channel.VOICE,
            status=TouchStatus.PLANNED,
            due_at=now,
            task_id=task_id,
        )
    ]


def _may_last(state: LeadState, call: Touch, actor: Actor, task_id: str, patience: Patience) -> timedelta:
    """How long a call may be going on whose end nobody has told: who has its task in hand, and dials for it, hung up.

    For another task it may be somebody else with the same key.
    """
    theirs = state.tasks.get(call.task_id or "")
    again = theirs is not None and theirs.claimed_by == actor.id and theirs.id == task_id
    talking = theirs is not None and theirs.state is f.TaskState.CLAIMED and not again
    return max(TALKS, patience.call) if talking and call.status is TouchStatus.ACCEPTED else patience.call


def _looked_up(state: LeadState, call: Touch) -> bool:
    """Whether a person has found out about a call of unknown outcome."""
    review = state.tasks.get(review_id(state.lead_id, call.touch_id))
    return call.status is TouchStatus.UNKNOWN and review is not None and review.state is f.TaskState.DONE


def complete(  # noqa: PLR0917 - what the form of a finished task holds
    state: LeadState,
    task_id: str,
    actor: Actor,
    disposition: Disposition | None,
    outcome: f.Outcome | None,
    notes: str | None,
    callback_at: datetime | None,
    now: datetime,
    wrote: str | None = None,
) -> list[f.Fact]:
    """`wrote`: of a task with candidates, whose reply it is."""
    task = _task(state, task_id)
    if not task.living:
        raise Refused(f"the task is {task.state}", task.state)
    call = task.kind in (f.TaskKind.CALL, f.TaskKind.CALLBACK)
    if call or task.state is f.TaskState.CLAIMED:  # or two people would call one lead
        _mine(task, actor)
    for other in _of_one_hand(state, task):
        if other.state is f.TaskState.CLAIMED and not _may_act(other, actor):
            raise _in_hand(task, other)
    if callback_at is not None and callback_at <= now:
        raise InvalidInput("callback_at", "must lie in the future, on the product's clock")
    if task.candidates and outcome is not None:
        raise InvalidInput(
            "outcome", "say only whose reply it is; what came of it belongs to the reply task this opens"
        )
    if task.candidates and wrote not in task.candidates:
        raise InvalidInput("lead_id", "say which of the candidates wrote")
    if task.kind is f.TaskKind.CALL and disposition is None and task.disposition is None:
        raise InvalidInput("disposition", "say how the call ended")
    if disposition is not None and not call:
        raise InvalidInput("disposition", f"a task of kind {task.kind} has none")
    ended = disposition or task.disposition
    if ended is Disposition.ANSWERED and call and outcome is None:
        raise InvalidInput("outcome", "a person answered: say what came out of it")
    if ended not in (None, Disposition.ANSWERED) and outcome not in (None, f.Outcome.WRONG_NUMBER):
        raise InvalidInput("outcome", f"{outcome} needs a person who answered, but the call ended with {ended}")
    return [
        f.TaskClosed(
            task_id=task_id,
            state=f.TaskState.DONE,
            disposition=ended,
            outcome=outcome,
            callback_at=callback_at,
            notes=notes,
        )
    ]
