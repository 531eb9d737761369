"""Ports in memory: a ledger and channels that answer what they were told to and keep what they were asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.errors import ClaimOver
from domain.lead_state import State
from domain.ledger import Claim, TouchRef, View
from domain.next_action import Action
from domain.ports import Accepted, Begin, Call, ChannelError, Email, Search, Sms
from domain.standing import Standing

LEAD = "0c4d7a3e-0000-4000-8000-000000000001"
STARTED = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)  # far from any wall clock
CLAIM_LIVES = 15.0


def view(action: Action, now: datetime = STARTED) -> View:
    standing = Standing(State.ACTIVE, "confirm", "touch", "sms", now, "next: confirm", ())
    return View(action, standing, "s07", "main", now)


@dataclass
class Stopwatch:
    """Stands in for the module `time`: it goes on only when told to."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    @property
    def now(self) -> datetime:
        return STARTED + timedelta(seconds=self.seconds)


@dataclass
class FakeLedger:
    """`claimed`: what the next claim answers. `following`: what is next after anything else."""

    following: View
    claimed: Callable[[datetime], Claim | View] | None = None
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    touches: list[TouchRef] = field(default_factory=list)
    settled: list[Accepted | ChannelError] = field(default_factory=list)
    tasks: list[tuple[str, ...]] = field(default_factory=list)
    over: bool = False  # whether the claim ends before its request is written

    async def plan(self, lead_id: str, now: datetime) -> View:
        self.asked.append(("plan", now))
        assert lead_id == LEAD
        return self.following

    async def claim(self, ref: TouchRef, now: datetime) -> Claim | View:
        self.asked.append(("claim", now))
        self.touches.append(ref)
        assert self.claimed is not None
        return self.claimed(now)

    async def begin(self, ref: TouchRef, claim: Claim, now: datetime) -> None:
        self.asked.append(("begin", now))
        if self.over:
            raise ClaimOver("another has it")

    async def settle(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None = None
    ) -> View:
        self.asked.append(("settle", now))
        self.touches.append(ref)
        self.settled.append(result)
        return self.following

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        self.asked.append(("rang", now))
        self.touches.append(ref)
        self.settled.append(result)
        return self.following

    async def open_task(self, lead_id: str, enrollment: int, step: str, part: str, now: datetime) -> View:
        self.asked.append(("open_task", now))
        self.tasks.append((lead_id, str(enrollment), step, part))
        return self.following

    async def expire_task(self, lead_id: str, task_id: str, now: datetime) -> View:
        self.asked.append(("expire_task", now))
        self.tasks.append((lead_id, task_id))
        return self.following


@dataclass
class FakeChannel:
    """Takes everything and has nothing on its list, unless told otherwise; each request lasts `lasts`."""

    watch: Stopwatch
    answer: Accepted | Exception = field(default_factory=lambda: Accepted("P1"))
    listed: Accepted | Exception | None = None
    lasts: float = 0.0
    sent: list[tuple[Sms | Email | Call, float]] = field(default_factory=list)
    looked: list[tuple[Sms | Call, Search, float]] = field(default_factory=list)

    async def send(self, message: Sms | Email | Call, limit: float, begin: Begin | None = None) -> Accepted:
        if begin is not None:
            await begin()
        self.sent.append((message, limit))
        self.watch.seconds += self.lasts
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    ring = send

    async def find(self, message: Sms | Call, search: Search, limit: float) -> Accepted | None:
        self.looked.append((message, search, limit))
        self.watch.seconds += self.lasts
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed
