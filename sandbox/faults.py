"""Faults on demand: latency, errors, refusals and lost answers, drawn from a seeded random source."""

import asyncio
import random
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

Rate = Annotated[float, Field(ge=0, le=1)]


class FaultRules(BaseModel):
    """What shall go wrong with sends to `to` (anybody) on `channel` (all). Rates from 0 to 1.

    error_rate: answered with error_status without taking it (a 4xx bears error_code). refuse_rate: taken, but never
    arrives: undelivered with error_code (default 30003), a bounce, a failed call. lose_answer_rate: taken and kept,
    then the connection is cut instead of an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Literal["sms", "voice", "email"] | None = None
    to: str | None = None
    seed: int | None = None
    latency_ms: Annotated[float, Field(ge=0, le=120_000)] = 0
    error_rate: Rate = 0
    error_status: Annotated[int, Field(ge=400, le=599)] = 500
    error_code: int | None = None
    refuse_rate: Rate = 0
    lose_answer_rate: Rate = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request."""

    latency: float = 0.0  # real seconds
    error_status: int | None = None
    error_code: int | None = None
    refused: bool = False
    lost: bool = False


class Faults:
    """The rules in force and their random source."""

    def __init__(self, rules: FaultRules | None) -> None:
        self.set(rules)

    @property
    def rules(self) -> FaultRules | None:
        return self._rules

    def set(self, rules: FaultRules | None) -> None:
        self._rules = rules
        self._random = random.Random(rules.seed if rules else None)  # noqa: S311 - faults, not secrets

    def judge(self, channel: str, to: list[str]) -> Verdict:
        """Always three draws a matching request, so the same seed gives the same faults."""
        rules = self._rules
        if rules is None or (rules.channel and rules.channel != channel):
            return Verdict()
        if rules.to and rules.to.lower() not in {address.lower() for address in to}:
            return Verdict()
        error, refuse, lose = (self._random.random() for _ in range(3))
        return Verdict(
            latency=rules.latency_ms / 1000,
            error_status=rules.error_status if error < rules.error_rate else None,
            error_code=rules.error_code,
            refused=refuse < rules.refuse_rate,
            lost=lose < rules.lose_answer_rate,
        )


async def cut(request: Request) -> Response:
    """Cuts the line without an answer. Needs the server of `sandbox.server`, which hands down the connection."""
    transport: Any = getattr(request.state, "transport", None)
    if not hasattr(transport, "abort"):  # of asyncio or of uvloop, whose classes share nothing
        raise RuntimeError("run the app with sandbox.server: it can cut a connection")
    transport.abort()
    await asyncio.sleep(0)  # the server notices the loss before it is handed an answer
    return Response(status_code=500)
