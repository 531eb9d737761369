"""Carrying out what `next_action` has named: the gate once more, then the fact. Pure, on a journal.

Only what needs a provider or a row of the database is elsewhere (`store/touch_ledger.py`, `store/settlement.py`).
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from domain import desk, gate
from domain import facts as f
from domain.consequences import task_id
from domain.errors import NotFound
from domain.journal import Journal
from domain.lead_state import STOP
from domain.next_action import Action, OpenTask, Touch, Wait
from domain.schedule import pending
from domain.sequence import CallTask, Part, StaffTask
from domain.touches import Channel, Disposition, TouchStatus, touch_id

# Rule and reason.
CLOCK_AHEAD = ("clock.ahead", "a clock was ahead when this lead's story was written; it waits until that time has come")


def decide(journal: Journal, now: datetime, closed: AbstractSet[Channel]) -> Action:
    """The next action, of which the gate already knows: what must wait or is refused is recorded, not handed out.

    What is allowed asks the gate again as it is claimed.
    """
    while True:
        action = journal.decide(now)
        if not isinstance(action, Touch) or may_be_out(journal, action) or passes(journal, action, now, closed):
            return action


def may_be_out(journal: Journal, touch: Touch) -> bool:
    """Whether it was handed to its provider, perhaps: then it is looked for, whatever the gate says by now."""
    known = journal.state.touches.get((touch.enrollment, touch.step, touch.part))
    return known is not None and known.status in (TouchStatus.CLAIMED, TouchStatus.UNKNOWN)


def passes(journal: Journal, touch: Touch, now: datetime, closed: AbstractSet[Channel]) -> bool:
    """Asks the gate; a delay or a refusal is recorded with its rule and reason. `closed`: see gate.check."""
    due = _due(journal, touch)
    match gate.check(journal.state, journal.sequence, touch, now, closed, due, journal.patience):
        case gate.Delayed() as delay:
            put_off(journal, touch, now, delay)
        case gate.Refused(rule, reason):
            change(journal, touch, TouchStatus.SKIPPED, now, due_at=due, rule=rule, reason=reason)
        case gate.Allowed():
            return True
    return False


def change(journal: Journal, touch: Touch, status: TouchStatus, now: datetime, **more: Any) -> None:
    """The touch takes a status; `more` are further fields of the fact."""
    journal.append(f.TouchChanged.of(touch, status, **more), now, "system")


def put_off(journal: Journal, touch: Touch, now: datetime, delay: gate.Delayed) -> None:
    """A confirmation of an opt-out that waits, and would be late by then, is left out at once."""
    due, known = _due(journal, touch), journal.state.touches.get((touch.enrollment, touch.step, touch.part))
    waits = known is not None and known.status in (TouchStatus.PLANNED, TouchStatus.DELAYED)
    if touch.step == STOP and waits and due is not None and delay.until - due > journal.patience.confirmation:
        rule, late = gate.CONFIRMATION_LATE
        change(journal, touch, TouchStatus.SKIPPED, now, due_at=due, rule=rule, reason=f"{late}: {delay.reason}")
        return
    why = {"rule": delay.rule, "reason": delay.reason}
    change(journal, touch, TouchStatus.DELAYED, now, due_at=due, until=delay.until, **why)


def await_clock(journal: Journal, touch: Touch, now: datetime, closed: AbstractSet[Channel]) -> Action:
    """The newest fact, at `now`, is dated ahead of every clock: until they have come so far nothing can be lawful.

    What a person dialled and a confirmation cannot wait so long, and are left out. The next action.
    """
    known = journal.state.touches.get((touch.enrollment, touch.step, touch.part))
    rule, reason = CLOCK_AHEAD
    if touch.step == STOP:  # nobody knows whether it is late
        rule, reason = gate.CONFIRMATION_LATE
        change(journal, touch, TouchStatus.SKIPPED, now, rule=rule, reason=reason)
        return decide(journal, now, closed)
    if known is not None and known.task_id is not None:
        change(
            journal, touch, TouchStatus.FAILED, now, rule=rule, reason="a clock was ahead when this call was dialled"
        )
        return decide(journal, now, closed)
    if known is None or (known.rule, known.until) != (rule, now):
        put_off(journal, touch, now, gate.Delayed(now, rule, reason))
    return Wait(now, reason)


def ring(journal: Journal, touch: Touch, now: datetime, until: datetime) -> None:
    """Before the lead is dialled: the line of the coordinator who asked for the call rings, until then at most."""
    put_off(journal, touch, now, gate.Delayed(until, desk.RINGS, desk.RINGING))


def claim(journal: Journal, touch: Touch, now: datetime) -> None:
    change(journal, touch, TouchStatus.CLAIMED, now, due_at=_due(journal, touch) or now)


def open_task(journal: Journal, action: OpenTask, now: datetime, closed: AbstractSet[Channel]) -> None:
    """Opens it. A call is for the gate like any touch: nobody is asked to call who may not be called."""
    work = _part(journal, action).action
    assert isinstance(work, CallTask | StaffTask)
    if isinstance(work, CallTask):
        identity = touch_id(journal.state.lead_id, action.enrollment, action.step, action.part)
        call = Touch(action.enrollment, action.step, action.part, Channel.VOICE, identity)
        if not passes(journal, call, now, closed):
            return
    opened = f.TaskOpened(
        task_id=task_id(journal.state.lead_id, action.enrollment, action.step, action.part),
        task_kind=f.TaskKind.CALL if isinstance(work, CallTask) else work.kind,
        due_at=now,
        claim_by=now + work.claim_within if isinstance(work, CallTask) else None,
        enrollment=action.enrollment,
        step=action.step,
        part=action.part,
        script=work.script,
    )
    journal.append(opened, now, "system")


def expire_task(journal: Journal, task_id: str, now: datetime) -> None:
    """Missed, back in the queue, or escalated: whichever time of the task has come, if any."""
    task = journal.state.tasks.get(task_id)
    at = task.expires_at() if task is not None else None
    if task is None or at is None or at > now:
        return
    if task.state is f.TaskState.CLAIMED:
        # a call that a person has answered waits for its outcome, however long
        again = task.claim_within if task.disposition is not Disposition.ANSWERED else None
        claim_by = now + again if again else None
        journal.append(f.TaskReturned(task_id=task_id, escalated=True, claim_by=claim_by), now, "system")
    elif task.claim_by is not None:
        missed = f.TaskClosed(task_id=task_id, state=f.TaskState.MISSED, reason="nobody claimed it")
        journal.append(missed, now, "system")
    else:
        journal.append(f.TaskEscalated(task_id=task_id), now, "system")


def _due(journal: Journal, touch: Touch) -> datetime | None:
    """When it was due, before anything delayed it."""
    known = journal.state.touches.get((touch.enrollment, touch.step, touch.part))
    if known is not None and known.due_at is not None:
        return known.due_at
    to_come = pending(journal.state, journal.sequence) if journal.sequence else []
    return next((d.at for d in to_come if (d.step, d.part) == (touch.step, touch.part)), None)


def _part(journal: Journal, action: OpenTask) -> Part:
    step = journal.sequence.step(action.step) if journal.sequence else None
    part = next((p for p in step.parts if p.name == action.part), None) if step else None
    if part is None or not isinstance(part.action, CallTask | StaffTask):
        raise NotFound(f"step {action.step} has no task {action.part}")
    return part
