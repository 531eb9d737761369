"""How a request to send is taken: kept on disk first, at once or late, then answered as the faults will have it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.book import Book, Sent, Step
from sandbox.callbacks import Callbacks
from sandbox.config import SandboxConfig
from sandbox.faults import Failure, Fate, Verdict, cut
from sandbox.people import People
from sandbox.voice import Calls

log = logging.getLogger("sandbox.intake")


@dataclass(frozen=True, slots=True)
class Order:
    """A request found to be in order. `headers` are those that may be shown."""

    channel: str
    headers: dict[str, Any] = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """What an order became: messages or a call, with what will follow."""

    sent: list[Sent]
    steps: list[Step]


Make = Callable[[SandboxConfig, Order, Fate, datetime], Taken]  # at the real time when it is taken


class Intake:
    """Takes orders by channel. Everything is on disk before a method returns."""

    def __init__(
        self,
        config: SandboxConfig,
        book: Book,
        *,
        people: People,
        callbacks: Callbacks,
        calls: Calls,
        makers: Mapping[str, Make],
    ) -> None:
        self._config = config
        self._book = book
        self._people = people
        self._callbacks = callbacks
        self._calls = calls
        self._makers = makers
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins, with what an earlier run had not yet taken."""
        for late_id, due, given in self._book.late():
            self._wait(late_id, due, Order(**given["order"]), Fate.load(given["fate"]))

    async def stop(self) -> None:
        tasks = list(self._waiting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, order: Order, fate: Fate, late: int | None = None) -> Taken:
        taken = self._makers[order.channel](self._config, order, fate, datetime.now(UTC))
        if order.channel == "sms":
            self._people.meet(taken.sent[0].to)
        elif order.channel == "voice":
            self._people.call_up(taken.sent[0].to)
        self._callbacks.expect(self._book.keep(taken.sent, taken.steps, late))
        if order.channel == "voice":
            self._calls.start(taken.sent[0].id)
        return taken

    def take_late(self, order: Order, fate: Fate, after: float) -> None:
        """Keeps the order now and takes it `after` real seconds."""
        due = time.time() + after
        given = {"order": {"channel": order.channel, "headers": order.headers, "body": order.body}, "fate": fate.dump()}
        self._wait(self._book.keep_late(due, given), due, order, fate)

    def _wait(self, late_id: int, due: float, order: Order, fate: Fate) -> None:
        async def run() -> None:
            await asyncio.sleep(due - time.time())
            try:
                self.take(order, fate, late_id)
            except Exception:
                log.exception("order %s could not be taken late", late_id)

        task = asyncio.create_task(run(), name="late")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


async def settle(
    intake: Intake,
    request: Request,
    order: Order,
    verdict: Verdict,
    *,
    taken: Callable[[Taken], Response],
    failed: Callable[[Failure], Response],
) -> Response:
    """Takes an order, or does not, and answers it, or cuts the line. What takes long is the answer alone."""
    kept = None
    if verdict.error is None:
        if verdict.late is None:
            kept = intake.take(order, verdict.fate)
        else:
            intake.take_late(order, verdict.fate, verdict.late)
    if verdict.latency:
        await asyncio.sleep(verdict.latency)
    if verdict.error is not None:
        return failed(verdict.error)
    if kept is None or verdict.lost:
        return await cut(request)
    return taken(kept) if verdict.error_after is None else failed(verdict.error_after)
