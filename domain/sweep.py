"""What outbox, signals and timers may have missed, by kind, and whether a lead should have moved and has not."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from domain.lead_state import LeadState
from domain.next_action import ExpireTask, Finish, Wait, next_action
from domain.patience import PATIENCE, Patience
from domain.sequence import Sequence


class Missed(StrEnum):
    NO_WORKFLOW = "no_workflow"  # a lead with something to come, and no workflow
    WORKFLOW_ENDED = "workflow_ended"  # its workflow was ended, and its row does not know
    UNHEARD = "unheard"  # what Temporal has not heard for too long
    CLAIM = "claim"  # a claim past its deadline that nobody settles
    OVERDUE = "overdue"  # what was due, and nobody has carried out
    TASK = "task"  # a task whose time has passed, and nobody has noted
    FAILING = "failing"  # what is to be done fails at every try: a wake does not help, a person must


@dataclass(frozen=True, slots=True)
class Stuck:
    """One lead that does not move, and since when (real, UTC).

    `failure`, where it is failing: the type of the last one. Its text may hold a person's data and is not kept.
    """

    kind: Missed
    lead_id: str
    since: datetime
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a kind were found and how many of them woken; the real age of the oldest."""

    kind: Missed
    found: int = 0
    repaired: int = 0
    oldest: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep found. `after`: the lead behind which the next one goes on to compare; None: at the first.

    `failing`: those that are counted as such.
    """

    tallies: tuple[Tally, ...]
    after: str | None = None
    failing: tuple[Stuck, ...] = ()


class Sweeper(Protocol):
    """Finds what does not move and wakes it. Raises what a database or a Temporal that is away raises."""

    async def sweep(self, after: str | None = None, *, repair: bool = True) -> Swept: ...


def stands_still(
    state: LeadState, sequence: Sequence | None, then: datetime, patience: Patience = PATIENCE
) -> Missed | None:
    """What there was to do at product time `then` if nothing has happened since; None if there was nothing."""
    if state.last_at is not None and state.last_at > then:
        return None
    match next_action(state, sequence, then, patience):
        case Wait() | Finish():
            return None
        case ExpireTask():
            return Missed.TASK
        case _:
            return Missed.OVERDUE


def needs_workflow(state: LeadState, sequence: Sequence | None, now: datetime, patience: Patience = PATIENCE) -> bool:
    """Whether anything is to come: of a finished lead only what a person or a stop asked for, and tasks with a time."""
    return not isinstance(next_action(state, sequence, max(now, state.last_at or now), patience), Finish)
