"""What travels between the workflow, its activities and its callers: ids, keys and times, nothing of a person."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    # a message of a later version with more fields must still wake the lead
    model_config = ConfigDict(frozen=True, extra="ignore")


class Signal(_Message):
    """What every signal carries. `fact`: the number of the fact that is the reason."""

    fact: int = 0


class Do(_Message):
    """One thing to carry out: hand a touch to its channel, open a task, or expire one."""

    kind: Literal["touch", "open_task", "expire_task"]
    enrollment: int = 0
    step: str = ""
    part: str = ""
    channel: str = ""
    touch_id: str = ""
    task_id: str = ""
    priority: int = 3  # 1 goes first, 5 last

    @property
    def summary(self) -> str:
        match self.kind:
            case "touch":
                return f"{self.step}: {self.channel}"
            case "open_task":
                return f"{self.step}: open the task"
            case "expire_task":
                return "a task's time has passed"


class LeadStart(_Message):
    """`renew_after`: continue as new after so many events (tests and drills); None: when the server suggests it.

    `first`: what to begin with; None: what a plan says.
    """

    lead_id: str
    renew_after: int | None = None
    first: Do | None = None


class LeadRef(_Message):
    lead_id: str


class DoRef(_Message):
    lead_id: str
    do: Do


class UpcomingStep(_Message):
    """`at` is product time."""

    step: str
    part: str
    kind: str
    at: datetime | None


class Snapshot(_Message):
    """Where the lead stood at the last plan. `next_at` is product time."""

    state: str
    sequence: str | None
    step: str | None
    facility: str | None
    paused: bool
    next_at: datetime | None
    reason: str


class Plan(_Message):
    """The answer of the pure heart, in the workflow's own (real) time.

    wait: until `until` (None: until a signal), then `do`, or plan again if there is none. do: now. finish: `reason`.
    A wait of a moment is not worth its cost to be found by.
    """

    action: Literal["wait", "do", "finish"]
    until: datetime | None = None
    do: Do | None = None
    reason: str = ""
    snapshot: Snapshot
    upcoming: tuple[UpcomingStep, ...] = ()
    show: bool = True  # in the search attributes


class SweepFrom(_Message):
    """The lead behind which workflows are compared; None: from the first on."""

    after: str | None = None


class SweepResult(_Message):
    """Where the next sweep goes on, and what this one found and woke, by kind."""

    after: str | None = None
    found: dict[str, int] = {}
    repaired: dict[str, int] = {}
