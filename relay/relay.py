"""Delivers the outbox: woken by Postgres, in as many workers as there are, each entry until it is taken.

Delivery is at least once: an entry is removed in the transaction that held it while it was delivered, and a start or
signal too many is harmless (a start leaves a running workflow alone, a signal only wakes). For one lead the order is
kept, but that what is more urgent goes before what is less.
"""

import asyncio
import contextlib
import logging
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.priority import Priority
from relay.notices import follow, pause_after
from store import outbox

log = logging.getLogger(__name__)

# All in real seconds.
POLL = 1.0  # a safety net: notices do the work
DELIVERY_LIMIT = 5.0


class Deliver(Protocol):
    async def hand_over(self, entry: outbox.Entry) -> None:
        """Hands it to Temporal. What it raises means: not delivered, or not known; it is tried again."""
        ...


class Relay:
    """One worker's relay. It outlives Postgres and Temporal being away for any time.

    Rows are locked while they are delivered: a batch is small and its time bounded by DELIVERY_LIMIT. There are two
    lanes, so that a delivery that hangs in one does not hold up what comes in: `batch * lanes` deliveries at once, and
    as many connections of the engine as lanes, plus one of its own to listen. All but the last leave out what comes in
    bulk (imports, everybody anew), so however much of it there is, somebody who has just asked waits for no more than
    the deliveries at hand; and imports go at `imports_per_second`, which leaves Temporal time for others.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        deliver: Deliver,
        *,
        batch: int = 10,
        lanes: int = 2,
        imports_per_second: float = 20.0,
    ) -> None:
        self._engine = engine
        self._deliver = deliver
        self._batch = batch
        self._imports_per_second = imports_per_second
        self._wakes = [asyncio.Event() for _ in range(lanes)]

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then finishes the batches at hand (at most DELIVERY_LIMIT) and returns."""
        async with asyncio.TaskGroup() as group:
            bulk = self._wakes[-1]
            lanes = [group.create_task(self._lane(wake, stop, bulk=wake is bulk)) for wake in self._wakes]
            listener = group.create_task(
                follow(self._engine.url, outbox.WAKE, lambda _: self._wake(), lambda _: self._wake())
            )
            await stop.wait()
            self._wake()
            await asyncio.gather(*lanes)
            listener.cancel()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _lane(self, wake: asyncio.Event, stop: asyncio.Event, *, bulk: bool) -> None:
        failures, down_to = 0, Priority.IMPORTED if bulk else Priority.CADENCE
        while not stop.is_set():
            wake.clear()
            try:
                taken, delivered, imported = await self._drain(down_to)
            except (SQLAlchemyError, OSError) as error:
                taken, delivered, imported = 1, 0, 0
                log.warning("the outbox cannot be read (%s): trying again", type(error).__name__)
            # When nothing at all gets through, the far side is away: going round the whole outbox would only heat it.
            failures = failures + 1 if taken and not delivered else 0
            if failures:
                await _until(stop, pause_after(failures))
            elif imported:
                await _until(stop, imported / self._imports_per_second)
            elif not taken:
                await _until(wake, POLL)

    async def _drain(self, down_to: Priority) -> tuple[int, int, int]:
        """Takes one batch and delivers it: how many were taken, how many delivered, how many of them imports."""
        async with self._engine.begin() as conn:
            entries = await outbox.take(conn, self._batch, down_to)
            # Each is of another lead (see `take`), so all may go at once.
            results = await asyncio.gather(*(self._hand_over(entry) for entry in entries))
            delivered = [entry.id for entry, ok in zip(entries, results, strict=True) if ok]
            await outbox.done(conn, delivered)
            for entry, ok in zip(entries, results, strict=True):
                if not ok:
                    await outbox.postpone(conn, entry.id, pause_after(entry.attempts + 1))
        return len(entries), len(delivered), sum(entry.priority == Priority.IMPORTED for entry in entries)

    async def _hand_over(self, entry: outbox.Entry) -> bool:
        try:
            async with asyncio.timeout(DELIVERY_LIMIT):
                await self._deliver.hand_over(entry)
        except Exception as error:
            # Whatever went wrong, the entry stays. The error's text may hold what was sent: only its type is told.
            what = (entry.id, entry.kind.value, entry.attempts + 1, type(error).__name__)
            log.warning("outbox entry %d (%s) not delivered, failure %d: %s", *what)
            return False
        return True


async def _until(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
