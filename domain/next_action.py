"""What to do next for a lead: the pure heart. `next_action(state, sequence, now)`, all in product time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import desk
from domain import facts as f
from domain.contact_window import WINDOW
from domain.lead_state import STAFF, LeadState
from domain.lead_state import Touch as LeadTouch
from domain.overdue import overslept, settled
from domain.patience import PATIENCE, Patience
from domain.schedule import Due, direct, left_claimed, looked_for, opens, outcome_known, over_at, pending, ready
from domain.sequence import CallTask, Sequence, StaffTask, WaitFor
from domain.touches import Channel, TouchStatus, touch_id
from domain.unknown import awaits_resending


@dataclass(frozen=True, slots=True)
class Touch:
    """Hand this touch to its channel, through the gate."""

    enrollment: int
    step: str
    part: str
    channel: Channel
    touch_id: str


@dataclass(frozen=True, slots=True)
class OpenTask:
    """Open the task of this part for a person."""

    enrollment: int
    step: str
    part: str


@dataclass(frozen=True, slots=True)
class ExpireTask:
    """A task's time has passed: missed or escalated if unclaimed, back to the queue if its lease ran out."""

    task_id: str


Do = Touch | OpenTask | ExpireTask


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing before `until` (None: until something happens); then do `then`, or plan again."""

    until: datetime | None
    reason: str
    then: Do | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Time alone has decided something: append these facts and ask again."""

    facts: tuple[f.Fact, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    reason: f.ExitReason


Action = Do | Wait | Record | Finish


def next_action(state: LeadState, sequence: Sequence | None, now: datetime, patience: Patience = PATIENCE) -> Action:
    """The one next thing. `sequence` is the version the present enrollment is pinned to.

    A step that was overslept moves the rest of its sequence, so that after an outage the steps keep their distances
    instead of going out all at once; what does not move is spaced (`domain/overdue.py`).
    """
    for touch in sorted([*direct(state), *left_claimed(state)], key=ready):
        if touch.channel is not None and ready(touch) <= now:
            return Record((desk.ended(touch),)) if desk.rings(touch) else _touch(touch)
    timers = _timers(state)
    if timers and timers[0][0] <= now:
        return timers[0][1]
    if state.exit_reason is not None:
        later = min(map(ready, direct(state)), default=None)
        return _earlier(Wait(later, "finished"), timers) if timers or later else Finish(state.exit_reason)
    held = _held(state, now)
    if isinstance(held, Record):
        return held
    if held is not None:
        return _earlier(held, timers)
    if sequence is None or state.enrollment is None:
        return _earlier(Wait(None, "no sequence"), timers)
    return _earlier(_cadence(state, sequence, now, patience.overslept), timers)


def _touch(touch: LeadTouch) -> Touch:
    assert touch.channel is not None
    return Touch(touch.enrollment, touch.step, touch.part, touch.channel, touch.touch_id)


def _timers(state: LeadState) -> list[tuple[datetime, Do]]:
    """What is done whatever the cadence does, earliest first.

    Open tasks count as missed or are escalated, leases run out, a touch of unknown fate is looked for. No lease runs
    out while the line of who holds it rings.
    """
    ringing = {touch.task_id for touch in state.touches.values() if desk.rings(touch)}
    lapsing = (task for task in state.tasks.values() if task.id not in ringing)
    tasks = [(at, ExpireTask(task.id)) for task in lapsing if (at := task.expires_at()) is not None]
    looks = [(touch.look_at, _touch(touch)) for touch in looked_for(state) if touch.look_at is not None]
    return sorted([*tasks, *looks], key=lambda timer: timer[0])


def _earlier(action: Action, timers: list[tuple[datetime, Do]]) -> Action:
    """A wait ends at the earliest timer; anything else comes first."""
    if not timers or not isinstance(action, Wait):
        return action
    at, do = timers[0]
    if action.until is not None and action.until < at:
        return action
    return Wait(at, action.reason, do)


def _held(state: LeadState, now: datetime) -> Wait | Record | None:
    """A review, a pause or a rest holds everything of the cadence until it ends; none while another stands over it."""
    delayed = [ready(t) for t in direct(state)]
    if state.review is not None:
        return Wait(min(delayed, default=None), "stopped for review")
    if state.pause is not None:
        if state.pause.is_over(now):
            return Record((f.Resumed(cause="the pause ended", of="pause" if state.beneath(now) else "all"),))
        return Wait(min([*delayed, *filter(None, [state.pause.until])], default=None), "paused")
    rest = state.rest
    if rest is None:
        own = [t for t in direct(state) if t.step == STAFF and t.task_id is None]
        return Wait(min(delayed), "a person's own words go first") if own else None
    if rest.waits:
        return Wait(min(delayed, default=None), f"resting: {rest.cause}")
    if rest.until is None:
        return Record((f.Finished(exit_reason=f.ExitReason.REPLIED),))
    if rest.until <= now:
        return Record((f.Resumed(cause=f"the rest ended ({rest.cause})"),))
    return Wait(min([*delayed, rest.until]), f"resting: {rest.cause}")


def _cadence(state: LeadState, sequence: Sequence, now: datetime, patience: timedelta) -> Action:
    enrollment = state.enrollment
    assert enrollment is not None
    to_come = pending(state, sequence)
    if (due_now := _due_now(state, sequence, to_come, now, patience)) is not None:
        return due_now
    waits: list[tuple[datetime, Due, Do | None]] = []
    for due in to_come:
        if due.at is None or due.condition is None:
            continue
        if due.action is not None and isinstance(due.action.action, WaitFor):
            waits.append((over_at(state, due.at, due.action.action) if due.at <= now else due.at, due, None))
        elif due.at > now:
            waits.append((due.at, due, _do(state, due) if due.condition else None))
    waits += [(ready(t), Due(t.step, t.part, t.channel, ready(t), None, None), None) for t in direct(state)]
    if waits:
        at, due, then = min(waits, key=lambda w: w[0])
        if (opening := opens(state, due)) is not None:
            # known before: so the workflow does not wake in the night to learn that it must wait
            waits_for = settled(state, due, TouchStatus.DELAYED, "window.federal", WINDOW)
            return Record((waits_for.model_copy(update={"until": opening}),))
        return Wait(at, f"next: {due.step}", then)  # what changes a condition wakes, and a claim asks once more
    if to_come:
        first = to_come[0]
        what = "the appointment's time" if first.at is None else "another step"
        return Wait(None, f"{first.step} waits for {what}")
    if any(t.living and t.kind is f.TaskKind.CALL and t.enrollment == enrollment.number for t in state.tasks.values()):
        return Wait(None, "waits for the outcome of a call")
    if awaits_resending(state, sequence):
        return Wait(None, "looks for what may have to be sent once more")
    return Record((f.Finished(exit_reason=f.ExitReason.EXHAUSTED),))


def _due_now(
    state: LeadState, sequence: Sequence, to_come: list[Due], now: datetime, patience: timedelta
) -> Do | Record | None:
    """The first whose time has come, if any."""
    for due in to_come:
        known = due.action is not None and isinstance(due.action.action, WaitFor) and outcome_known(state)
        if due.at is None or (due.at > now and not known) or due.condition is None:
            continue
        if due.condition is False:
            text = due.spec.when_text if due.spec else ""
            return Record((settled(state, due, TouchStatus.SKIPPED, "when", f"the condition does not hold: {text}"),))
        if due.action is not None and isinstance(due.action.action, WaitFor):
            wait = due.action.action
            if outcome_known(state) or over_at(state, due.at, wait) <= now:
                came = outcome_known(state)
                status = TouchStatus.SKIPPED if came else TouchStatus.MISSED
                reason = "what it waited for has come" if came else f"no {wait.what} came in time"
                return Record((settled(state, due, status, "wait", reason),))
            continue
        if (missed := overslept(state, sequence, to_come, now, patience)) is not None:
            return Record((missed,))
        return _do(state, due)
    return None


def _do(state: LeadState, due: Due) -> Do:
    assert state.enrollment is not None
    number = state.enrollment.number
    if due.action is not None and isinstance(due.action.action, CallTask | StaffTask):
        return OpenTask(number, due.step, due.part)
    assert due.channel is not None
    return Touch(number, due.step, due.part, due.channel, touch_id(state.lead_id, number, due.step, due.part))
