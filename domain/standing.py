"""Where a lead stands: what the lead's row, the workflow's details and its search attributes show."""

from dataclasses import dataclass, replace
from datetime import datetime

from domain import facts as f
from domain.fold import apply
from domain.foretell import Upcoming, upcoming
from domain.lead_state import STOP, LeadState, Rest, State, Touch
from domain.schedule import direct, ready
from domain.sequence import FromAppointment, Sequence

PUT_BACK = "stopped for review: the database was put back from a copy"


@dataclass(frozen=True, slots=True)
class Standing:
    """State, and the next thing with its product time and reason; nothing of a person."""

    state: State
    step: str | None
    kind: str | None
    channel: str | None
    at: datetime | None
    reason: str | None
    to_come: tuple[Upcoming, ...]


def standing(state: LeadState, sequence: Sequence | None, now: datetime) -> Standing:
    waiting = sorted(direct(state), key=ready)
    asked_for = [Upcoming(t.step, t.part, t.channel, str(t.channel), ready(t), _why(t)) for t in waiting]
    if state.exit_reason is not None:
        reason = f"finished: {state.exit_reason}"
        return Standing(state.state, None, None, None, None, reason, tuple(asked_for))
    coming = [*asked_for, *(_to_come(state, sequence, now) if sequence is not None else [])]
    far = datetime.max.replace(tzinfo=now.tzinfo)
    ends = state.hold is None or held_until(state) is not None  # where nobody knows when: in the order of /skip
    to_come = tuple(sorted(coming, key=lambda u: u.at or far) if ends else coming)
    by_a_person = "paused by a person"
    if state.review is not None:
        until = state.pause.until if state.pause is not None else None
        end = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""  # nobody says so again when it passes
        why = f"{PUT_BACK}; and {by_a_person}{end}" if state.beneath(now) == "pause" else PUT_BACK
        return Standing(State.PAUSED, None, "pause", None, None, why, to_come)
    if state.pause is not None:
        return Standing(State.PAUSED, None, "pause", None, state.pause.until, by_a_person, to_come)
    if state.rest is not None:
        reason = f"resting: {state.rest.cause}"
        ends_at = state.last_at if _is_over(state.rest) else state.rest.ends_at
        return Standing(State.RESTING, None, "rest", None, ends_at, reason, to_come)
    if to_come:
        first = to_come[0]
        return Standing(state.state, first.step, first.kind, first.channel, first.at, first.reason, to_come)
    call = next((t for t in state.tasks.values() if t.living and t.step), None)
    if call is not None:
        return Standing(state.state, call.step, call.kind, None, call.claim_by, "a person's work is open", ())
    return Standing(state.state, None, None, None, None, "nothing is planned", ())


def _why(touch: Touch) -> str:
    return touch.reason or ("the confirmation of a stop" if touch.step == STOP else "a person asked for it")


def _to_come(state: LeadState, sequence: Sequence, now: datetime) -> list[Upcoming]:
    """The steps to come as they fall once all that holds them is over.

    Where nobody knows when that is, only what turns on an appointment has a time.
    """
    if state.hold is None:
        return upcoming(state, sequence, now)
    if state.rest is not None and _is_over(state.rest):
        return []
    end = held_until(state)
    if end is None:
        return [u if _fixed(sequence, u) else _some_time(u) for u in upcoming(state, sequence, now)]
    return upcoming(once_over(state, end), sequence, max(end, now))


def _is_over(rest: Rest) -> bool:
    """It waits for nobody any more, and the sequence ends with it: that is due, and has a time by which it is found."""
    return not rest.waits and rest.until is None


def held_until(state: LeadState) -> datetime | None:
    """When what holds the cadence is over by itself; None where nobody knows, or nothing holds it."""
    known = [end for _, end in state.hold_spans if end is not None]
    return max(known, default=None) if len(known) == len(state.hold_spans) else None


def once_over(state: LeadState, end: datetime) -> LeadState:
    """As it is once pause and rest have ended by themselves, at `end`."""
    return apply(state, f.Recorded(state.last_no + 1, end, "system", f.Resumed(cause="foretold")))


def _fixed(sequence: Sequence, step: Upcoming) -> bool:
    spec = sequence.step(step.step)
    return spec is not None and isinstance(spec.timing, FromAppointment)


def _some_time(step: Upcoming) -> Upcoming:
    return replace(step, at=None, reason=f"{step.reason}, once it goes on")
