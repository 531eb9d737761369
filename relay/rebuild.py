"""Rebuild: a workflow for every lead with something to come, where Temporal has lost them; through the outbox.

It looks before it starts, page by page, so it may be stopped, gone on with and repeated: who has a workflow is left
alone. It keeps no more than a page of entries waiting, behind whatever anybody waits for, and delivers beside the
workers' own relays, so it needs no worker.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.priority import Priority
from relay.relay import Relay
from relay.sweep import PAGE, Sweep
from relay.temporal_delivery import TemporalDelivery
from store import outbox
from store.sweep import WAKE
from store.tables import outbox as entries

LOOK_EVERY = 0.2  # real seconds
BESIDE = 20  # entries that may still wait when the next are added


@dataclass(frozen=True, slots=True)
class Progress:
    """Leads with something to come; how many of them have been looked at, and started or woken."""

    total: int
    looked_at: int = 0
    started: int = 0


@dataclass(frozen=True)
class Rebuild:
    """`renew_after`: see LeadStart."""

    engine: AsyncEngine
    sweep: Sweep
    renew_after: int | None = None

    async def missing(self, per_second: float, tell: Callable[[Progress], None]) -> Progress:
        """Starts who has no workflow, at most so many a real second."""
        seen = Progress(await self.sweep.store.count())
        after: str | None = None
        async with self._delivering():
            while True:
                began = asyncio.get_running_loop().time()
                page, missing = await self.sweep.compare(after, datetime.now(UTC))
                needed = await self.sweep.store.needing(missing)
                await self.sweep.store.wake(one.lead_id for one in needed)
                await self._until_delivered(0 if len(page) < PAGE else BESIDE)
                seen = Progress(seen.total, seen.looked_at + len(page), seen.started + len(needed))
                tell(seen)
                if len(page) < PAGE:
                    return seen
                after = page[-1].lead_id
                await asyncio.sleep(began + len(needed) / per_second - asyncio.get_running_loop().time())

    async def all(self, tell: Callable[[Progress], None]) -> Progress:
        """Has all of them plan anew; what was put in the outbox is delivered by the workers too if this is stopped."""
        async with self.engine.begin() as conn:
            await outbox.wake_all(conn, WAKE)
        return await self.delivered(tell)

    async def delivered(self, tell: Callable[[Progress], None]) -> Progress:
        """Until Temporal has heard of all who wait."""
        total = await self._waiting()
        async with self._delivering():
            while left := await self._waiting():
                tell(Progress(total, total - left, total - left))
                await asyncio.sleep(LOOK_EVERY)
        done = Progress(total, total, total)
        tell(done)
        return done

    @asynccontextmanager
    async def _delivering(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        delivery = TemporalDelivery(self.sweep.workflows.client, self.renew_after)
        relay = asyncio.create_task(Relay(self.engine, delivery).run(stop))
        try:
            yield
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await relay

    async def _until_delivered(self, left: int) -> None:
        while await self._waiting() > left:  # noqa: ASYNC110 - other processes deliver too
            await asyncio.sleep(LOOK_EVERY)

    async def _waiting(self) -> int:
        async with self.engine.connect() as conn:
            query = select(func.count()).select_from(entries).where(entries.c.priority == Priority.ANEW.value)
            return int(await conn.scalar(query) or 0)
