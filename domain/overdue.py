"""What nobody carried out in its time, after a rest or an outage: since when it could have gone, and when it goes now.

Pure. Parts keep a distance instead of going out together; what a window, an appointment or a stop forbids is refused by
the gate as always.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

from domain import facts as f
from domain.condition import questions
from domain.contact_window import next_open
from domain.fold import apply
from domain.lead_state import Hold, LeadState, Touch
from domain.schedule import EXPIRED, Due, pending, settled_at
from domain.sequence import After, FromAppointment, Sequence, WaitFor
from domain.touches import Channel, TouchStatus, touch_id

# Steps that are carried out late keep this distance to each other, and to those that come at their own time.
SPACING = timedelta(minutes=30)
_HELD: dict[Hold, str] = {"review": "was stopped for review", "pause": "was paused", "rest": "rested"}


def overslept(
    state: LeadState, sequence: Sequence, to_come: list[Due], now: datetime, patience: timedelta
) -> f.Resumed | None:
    """That nobody carried the cadence out, if a step is so late that only an outage explains it.

    What counts from the sequence's start or another step moves by the outage, so the steps keep their distances. What
    had been put off already does not move with it: that gets its new time here.
    """
    late = [
        (since, due.step)
        for due in to_come
        if due.condition and (since := could_go(state, sequence, due)) is not None and now - since > patience
    ]
    late = [(since, step) for since, step in late if not _is_known(state, since)]
    if not late:
        return None
    since, step = min(late)
    moved = f.Resumed(cause=f"nobody carried out {step} in time", overslept=since)
    then = apply(state, f.Recorded(state.last_no + 1, now, "system", moved))
    after = pending(then, sequence)
    return moved.model_copy(update={"slots": _slots(then, after, _overdue(then, sequence, after, now), now)})


def could_go(state: LeadState, sequence: Sequence, due: Due) -> datetime | None:
    """Since when a part could have been carried out; None for what has a time of its own: an appointment's, a wait."""
    step, enrollment = sequence.step(due.step), state.enrollment
    if due.at is None or step is None or enrollment is None or not isinstance(step.timing, After):
        return None
    if due.action is not None and isinstance(due.action.action, WaitFor):
        return None
    asked = [q.step for q in questions(step.when) if q.step] if step.when and due.spec is not None else []
    waited = [at for name in asked for at in _known_since(state, name)]
    return max([due.at, *waited, *(end for _, end in (*enrollment.rests, *enrollment.kept))])


def _known_since(state: LeadState, step: str) -> Iterator[datetime]:
    """Since when it could be known what came of a step that a condition names."""
    number = state.enrollment_no
    for touch in state.touches.values():
        missed_call = touch.status is TouchStatus.MISSED and touch.channel is not None  # its task tells since when
        if (touch.enrollment, touch.step) == (number, step) and not missed_call:
            yield touch.at
    for task in state.tasks.values():
        if (task.enrollment, task.step) == (number, step):
            missed = task.claim_by if task.state is f.TaskState.MISSED else None
            yield missed or task.closed_at or task.opened_at


def _is_known(state: LeadState, since: datetime) -> bool:
    """Whether it is recorded that nobody carried out what was due then: what has not moved goes now."""
    return state.enrollment is not None and any(start <= since < end for start, end in state.enrollment.overslept)


def resumed(
    state: LeadState, sequence: Sequence, now: datetime, mode: Literal["catch_up", "skip_expired"], cause: str
) -> list[f.Fact]:
    """The end of a pause or rest that moves nothing: what is overdue is carried out spaced, or is left out.

    Work of people that the lead does not notice (a review, a wait for an outcome) goes on in either.
    """
    to_come = pending(state, sequence)
    if mode == "catch_up":
        late = _overdue(state, sequence, to_come, now)
        return [f.Resumed(mode=mode, cause=cause, slots=_slots(state, to_come, late, now))]
    assert state.hold is not None  # else nothing is resumed
    held = _HELD[state.hold]
    late = _overdue(state, sequence, to_come, now, to_drop=True)
    return [f.Resumed(mode=mode, cause=cause), *(_expired(state, due, held) for due in late)]


def _overdue(
    state: LeadState, sequence: Sequence, to_come: list[Due], now: datetime, *, to_drop: bool = False
) -> list[Due]:
    """What should have reached the lead before now, in the order of the file: nothing before what it waits for.

    Not what is on its way. What counts from a step that is still to come keeps its distance to that one, so it is
    overdue only if both are dropped. Reminders are overdue only to be dropped: otherwise they go at once.
    """
    late: list[Due] = []
    order = {step.key: i for i, step in enumerate(sequence.steps)}
    for due in sorted(to_come, key=lambda due: order.get(due.step, -1)):
        reaches = due.channel is not None and due.condition is not False and not _is_claimed(state, due)
        if due.at is None or due.at >= now or not reaches:
            continue
        step = sequence.step(due.step)
        reminds = step is not None and isinstance(step.timing, FromAppointment)
        above = _still_to_come(state, sequence, due)
        if not to_drop and (reminds or above is not None):
            continue
        if above is None or any(other.step == above for other in late):
            late.append(due)
    return late


def _still_to_come(state: LeadState, sequence: Sequence, due: Due) -> str | None:
    """The step that this one counts from, if that is not carried out yet."""
    timing = due.spec.timing if due.spec is not None else None
    above = sequence.step(timing.of) if isinstance(timing, After) and timing.of is not None else None
    if above is None or state.enrollment is None or above.key in state.enrollment.skipped:
        return None
    return above.key if settled_at(state, above) is None else None


def _touch(state: LeadState, due: Due) -> Touch | None:
    number = state.enrollment_no
    return state.touches.get((number, due.step, due.part))


def _is_claimed(state: LeadState, due: Due) -> bool:
    touch = _touch(state, due)
    return touch is not None and touch.status is TouchStatus.CLAIMED


def settled(state: LeadState, due: Due, status: TouchStatus, rule: str, reason: str) -> f.TouchChanged:
    """What time or a person decided of a part that was still to come."""
    assert state.enrollment is not None
    number = state.enrollment.number
    return f.TouchChanged(
        touch_id=touch_id(state.lead_id, number, due.step, due.part),
        enrollment=number,
        step=due.step,
        part=due.part,
        channel=due.channel,
        status=status,
        due_at=due.at,
        rule=rule,
        reason=reason,
    )


def _expired(state: LeadState, due: Due, rested: str) -> f.TouchChanged:
    return settled(state, due, TouchStatus.SKIPPED, EXPIRED, f"its time passed while the lead {rested}")


def _slots(state: LeadState, to_come: list[Due], late: list[Due], now: datetime) -> tuple[f.Slot, ...]:
    """When each overdue part goes: in order, step by step, within the window, at a distance from all others."""
    keys = {(d.step, d.part) for d in late}
    others = [d for d in to_come if (d.step, d.part) not in keys and _has_time(state, d, now)]
    out: list[f.Slot] = []
    free = now
    for step, parts in groupby((d for d in late if _is_of_use(state, d, late)), key=lambda d: d.step):
        together = list(parts)
        taken = sorted(_when(state, d, now) for d in others if not _is_planned_near(d, together[0]))
        at = _clear(state, free, taken, by_phone=any(d.channel is not Channel.EMAIL for d in together))
        out += [f.Slot(step=step, part=d.part, at=at) for d in together]
        free = at + SPACING
    return tuple(out)


def _is_of_use(state: LeadState, due: Due, late: list[Due]) -> bool:
    """Not what the gate refuses anyway, nor what was to go at once while its step had to wait: that goes now itself."""
    instead = due.part == "at_once" and _touch(state, due) is None
    if due.channel is None or not state.reachable(due.channel):
        return False
    return not (instead and any(d.step == due.step and d is not due for d in late))


def _has_time(state: LeadState, due: Due, now: datetime) -> bool:
    """Whether it is known when this reaches the lead by a time of its own, from now on."""
    if due.at is None or due.channel is None or _is_claimed(state, due) or not state.reachable(due.channel):
        return False
    return due.condition is True or (due.condition is None and due.at > now)


def _is_planned_near(one: Due, other: Due) -> bool:
    """Whether the plan itself puts them so close together that one need not wait for the other."""
    return one.at is not None and other.at is not None and abs(one.at - other.at) < SPACING


def _when(state: LeadState, due: Due, now: datetime) -> datetime:
    at = max(due.at or now, now)
    return at if due.channel is Channel.EMAIL else next_open(at, state.zones)


def _clear(state: LeadState, free: datetime, taken: list[datetime], *, by_phone: bool) -> datetime:
    """The first time from `free` on that is within the window and at a distance from what has a time of its own."""
    at = free
    while True:
        later = next_open(at, state.zones) if by_phone else at
        for own in taken:
            if abs(later - own) < SPACING:
                later = own + SPACING
        if later == at:
            return at
        at = later
