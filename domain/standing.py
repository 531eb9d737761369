"""Where a lead stands: what the lead's row, the workflow's details and its search attributes show."""

from dataclasses import dataclass
from datetime import datetime

from domain.lead_state import LeadState, State
from domain.schedule import Upcoming, upcoming
from domain.sequence import Sequence


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
    if state.exit_reason is not None:
        return Standing(state.state, None, None, None, None, f"finished: {state.exit_reason}", ())
    to_come = tuple(upcoming(state, sequence, now)) if sequence is not None else ()
    if state.pause is not None:
        return Standing(State.PAUSED, None, "pause", None, state.pause.until, "paused by a person", to_come)
    if state.rest is not None:
        reason = f"resting: {state.rest.cause}"
        return Standing(State.RESTING, None, "rest", None, state.rest.until, reason, to_come)
    if to_come:
        first = to_come[0]
        return Standing(state.state, first.step, first.kind, first.channel, first.at, first.reason, to_come)
    call = next((t for t in state.tasks.values() if t.living and t.step), None)
    if call is not None:
        return Standing(state.state, call.step, call.kind, None, call.claim_by, "a person's work is open", ())
    return Standing(state.state, None, None, None, None, "nothing is planned", ())
