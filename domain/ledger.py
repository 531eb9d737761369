"""The database as activities see it: what a touch needs, in one transaction each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.next_action import Action, Touch
from domain.ports import Accepted, Call, ChannelError, Email, Search, Sms
from domain.priority import Priority
from domain.standing import Standing
from domain.touches import Channel


@dataclass(frozen=True, slots=True)
class TouchRef:
    """Names one touch of a lead."""

    lead_id: str
    touch_id: str
    enrollment: int
    step: str
    part: str
    channel: Channel

    @property
    def touch(self) -> Touch:
        return Touch(self.enrollment, self.step, self.part, self.channel, self.touch_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to hand this one message to its provider, until `deadline` (real, UTC). A call is the coordinator's.

    `search`: it may have been sent already: once the deadline is over, look for it there; do not send.
    """

    message: Sms | Email | Call
    deadline: datetime
    search: Search | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the last transaction found: the next action, where the lead stands, and the time it was asked for.

    `priority`: of what the action does, now or when its wait is over.
    """

    action: Action
    standing: Standing
    sequence_code: str | None
    facility: str | None
    now: datetime
    priority: Priority = Priority.CADENCE


class Ledger(Protocol):
    """The database as activities see it. Times are real (UTC) unless said; raises NotFound for an unknown lead."""

    async def plan(self, lead_id: str, now: datetime) -> View: ...

    async def claim(self, ref: TouchRef, now: datetime) -> Claim | View:
        """A claim if this touch is still the next action and the gate lets it pass; else what is next instead."""
        ...

    async def begin(self, ref: TouchRef, claim: Claim, now: datetime) -> None:
        """The request is about to be written. Raises ClaimOver, Unavailable: then it must not be.

        A claim that has not begun has sent nothing, and the touch may be claimed anew.
        """
        ...

    async def settle(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None = None
    ) -> View:
        """Writes what the provider said. `Unavailable` puts the touch off, at most about an hour of real time.

        `claimed_until`: the deadline of the claim that it is the result of; None: of whoever has it. That nothing was
        taken under a claim which is another's by now says nothing of the other's.
        """
        ...

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        """Writes what the provider said to calling the coordinator's line, which is no touch of the lead."""
        ...

    async def open_task(self, lead_id: str, enrollment: int, step: str, part: str, now: datetime) -> View: ...

    async def expire_task(self, lead_id: str, task_id: str, now: datetime) -> View: ...
