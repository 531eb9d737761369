"""Faults on demand, drawn from a seeded source: the same seed and the same order of requests give the same faults.

What a request meets is drawn from the seed and its number, what becomes of a message from the same and the number of
the callback; the count of requests and each message's fate are on disk. So a restart, and rules that are replaced
meanwhile, change nothing of what was drawn.
"""

import asyncio
import random
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.requests import Request
from starlette.responses import Response

from sandbox.book import Step
from sandbox.memory import Memory
from sandbox.times import iso

HOUR = 3_600_000
Rate = Annotated[float, Field(ge=0, le=1)]
Millis = Annotated[float, Field(ge=0, le=HOUR)]


class FaultRules(BaseModel):
    """What shall go wrong with sends to `to` (anybody) on `channel` (all). Rates from 0 to 1, `_ms` in real time.

    Whether it is taken, and what the sender hears of it; of these four the first that is drawn:
    error_rate: answered with error_status (a 4xx bears error_code, any retry_after_s), nothing taken.
    accept_late_rate: the line is cut with nothing taken yet; it is taken accept_late_ms later.
    lose_answer_rate: taken, then the line is cut instead of an answer.
    error_after_accept_rate: taken, then answered with error_status, or 500 if that is no 5xx.
    latency_ms: so long until any answer or cut.

    What becomes of it once taken:
    refuse_rate: never arrives: undelivered with error_code (default 30003), a bounce, a failed call.
    list_lag_ms: the provider's lists show it only so long after it was taken.
    Each callback: drop_callback_rate: never goes out. duplicate_callback_rate: goes out twice.
    callback_delay_ms: goes out so much later, drawn between the two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Literal["sms", "voice", "email"] | None = None
    to: str | None = None
    seed: int | None = None
    latency_ms: Annotated[float, Field(ge=0, le=120_000)] = 0
    error_rate: Rate = 0
    error_status: Annotated[int, Field(ge=400, le=599)] = 500
    error_code: int | None = None
    retry_after_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    refuse_rate: Rate = 0
    lose_answer_rate: Rate = 0
    error_after_accept_rate: Rate = 0
    accept_late_rate: Rate = 0
    accept_late_ms: Millis = 5_000
    list_lag_ms: Millis = 0
    drop_callback_rate: Rate = 0
    duplicate_callback_rate: Rate = 0
    callback_delay_ms: tuple[Millis, Millis] = (0, 0)

    @field_validator("callback_delay_ms")
    @classmethod
    def _in_order(cls, delay: tuple[float, float]) -> tuple[float, float]:
        if delay[0] > delay[1]:
            raise ValueError("must be [from, to], the smaller first")
        return delay

    def shown(self) -> dict[str, Any]:
        """What was given, as JSON."""
        return self.model_dump(mode="json", exclude_unset=True)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of something that was taken. Times in real seconds; `key` is what its draws are made from."""

    refused: bool = False
    error_code: int | None = None
    list_lag: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    key: str = ""

    @classmethod
    def load(cls, kept: dict[str, Any] | None) -> Self:
        """As dumped; without faults if nothing was."""
        return cls(**{**kept, "delay": tuple(kept["delay"])}) if kept else cls()

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    def part(self, name: str) -> Self:
        """The fate of one of several things that one request asked for."""
        return replace(self, key=f"{self.key}/{name}")

    def listed_at(self, taken: datetime) -> str:
        """From when on lists show it; empty if at once."""
        return iso(taken + timedelta(seconds=self.list_lag)) if self.list_lag else ""

    def spread(self, steps: Iterable[Step]) -> list[Step]:
        """Steps with their callbacks dropped, doubled and put off. A change of status takes place in its time."""
        return [kept for number, step in enumerate(steps) for kept in self.callback(step, number)]

    def callback(self, step: Step, number: int) -> list[Step]:
        """What is left of one step; `number` is its own within the message. Always four draws."""
        if step.url is None or not (self.drop or self.duplicate or self.delay[1]):
            return [step]
        source = random.Random(f"{self.key}/{number}")  # noqa: S311 - faults, not secrets
        drop, twice = source.random(), source.random()
        delays = [source.uniform(*self.delay) for _ in range(2)]
        copies = 0 if drop < self.drop else 2 if twice < self.duplicate else 1
        changes = [] if step.status is None else [replace(step, url=None)]
        bare = replace(step, status=None, error_code=None)
        return changes + [replace(bare, due=step.due + delay) for delay in delays[:copies]]


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error."""

    status: int
    code: int | None = None
    retry_after: int | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request. Times in real seconds."""

    latency: float = 0.0
    error: Failure | None = None  # nothing was taken
    late: float | None = None
    lost: bool = False
    error_after: Failure | None = None
    fate: Fate = Fate()


class Faults:
    """The rules in force."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        kept = memory.faults()
        self._rules = None if kept is None else FaultRules.model_validate(kept.rules)
        self._seed = "" if kept is None else kept.seed

    @property
    def rules(self) -> FaultRules | None:
        return self._rules

    def set(self, rules: FaultRules) -> None:
        """Replaces the rules; their draws begin anew."""
        self._seed = secrets.token_hex(8) if rules.seed is None else str(rules.seed)
        self._memory.set_faults(rules.shown(), self._seed)
        self._rules = rules

    def clear(self) -> None:
        self._memory.clear_faults()
        self._rules = None

    def judge(self, channel: str, to: list[str]) -> Verdict:
        """Always five draws a matching request."""
        rules = self._rules
        if rules is None or (rules.channel and rules.channel != channel):
            return Verdict()
        if rules.to and rules.to.lower() not in {address.lower() for address in to}:
            return Verdict()
        key = f"{self._seed}/{self._memory.count_judged()}"
        source = random.Random(key)  # noqa: S311 - faults, not secrets
        error, refuse, lose, error_after, late = (source.random() for _ in range(5))
        status, code = rules.error_status, rules.error_code if rules.error_status < 500 else None
        soonest, latest = rules.callback_delay_ms
        return Verdict(
            latency=rules.latency_ms / 1000,
            error=Failure(status, code, rules.retry_after_s) if error < rules.error_rate else None,
            late=rules.accept_late_ms / 1000 if late < rules.accept_late_rate else None,
            lost=lose < rules.lose_answer_rate,
            error_after=Failure(max(status, 500)) if error_after < rules.error_after_accept_rate else None,
            fate=Fate(
                refused=refuse < rules.refuse_rate,
                error_code=rules.error_code,
                list_lag=rules.list_lag_ms / 1000,
                drop=rules.drop_callback_rate,
                duplicate=rules.duplicate_callback_rate,
                delay=(soonest / 1000, latest / 1000),
                key=key,
            ),
        )


async def cut(request: Request) -> Response:
    """Cuts the line without an answer. Needs the server of `sandbox.server`, which hands down the connection."""
    transport: Any = getattr(request.state, "transport", None)
    if not hasattr(transport, "abort"):  # of asyncio or of uvloop, whose classes share nothing
        raise RuntimeError("run the app with sandbox.server: it can cut a connection")
    transport.abort()
    await asyncio.sleep(0)  # the server notices the loss before it is handed an answer
    return Response(status_code=500)
