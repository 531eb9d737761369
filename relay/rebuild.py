"""Rebuild: a workflow for every lead with something to come, where Temporal has lost them; through the outbox.

It looks before it starts, page by page, so it may be stopped, gone on with and repeated: who has a workflow is left
alone. It keeps no more than a page of entries waiting, behind whatever anybody waits for, and delivers beside the
workers' own relays, so it needs no worker. While Temporal is away it waits, and says so; not without end.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import TendError
from domain.priority import Priority
from relay.relay import Relay
from relay.sweep import PAGE, Sweep
from relay.temporal_delivery import TemporalDelivery
from store import outbox
from store.sweep import WAKE, Waiting
from store.tables import outbox as entries

LOOK_EVERY = 0.2  # real seconds
BESIDE = 20  # entries that may still wait when the next are added
# What no waiting changes.
REFUSED = frozenset(
    {
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
    }
)


class TemporalAway(TendError):
    """Temporal took nothing for too long. What it has yet to hear of stays in the outbox, or is found missing again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Leads with something to come; how many of them have been looked at, and started or woken.

    `away`: for so many real seconds Temporal has taken nothing; 0: it does.
    """

    total: int
    looked_at: int = 0
    started: int = 0
    away: float = 0.0


Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Rebuild:
    """`renew_after`: see LeadStart. Real seconds for which Temporal takes nothing: `quiet`, before that is told, and
    `most_away`, before it ends with TemporalAway. Stopped or ended it may be begun again, and goes on."""

    engine: AsyncEngine
    sweep: Sweep
    renew_after: int | None = None
    quiet: float = 10.0
    most_away: float = 300.0

    async def missing(self, per_second: float, tell: Tell) -> Progress:
        """Starts who has no workflow, at most so many a real second. Raises TemporalAway, RPCError if it refuses."""
        seen = Progress(await self.sweep.store.count())
        after: str | None = None
        async with self._delivering():
            while True:
                began = asyncio.get_running_loop().time()
                page, missing = await self._compare(after, seen, tell)
                needed = await self.sweep.store.needing(missing)
                await self.sweep.store.wake(one.lead_id for one in needed)
                seen = Progress(seen.total, seen.looked_at + len(page), seen.started + len(needed))
                async for _, away in self._until_delivered(0 if len(page) < PAGE else BESIDE):
                    tell(replace(seen, away=away))
                tell(seen)
                if len(page) < PAGE:
                    return seen
                after = page[-1].lead_id
                await asyncio.sleep(began + len(needed) / per_second - asyncio.get_running_loop().time())

    async def all(self, tell: Tell) -> Progress:
        """Has all of them plan anew; what was put in the outbox is delivered by the workers too if this is stopped.

        Raises TemporalAway.
        """
        async with self.engine.begin() as conn:
            await outbox.wake_all(conn, WAKE)
        return await self.delivered(tell)

    async def delivered(self, tell: Tell) -> Progress:
        """Until Temporal has heard of all who wait. Raises TemporalAway."""
        total = await self._waiting()
        async with self._delivering():
            async for left, away in self._until_delivered(0):
                tell(Progress(total, total - left, total - left, away))
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

    async def _compare(self, after: str | None, seen: Progress, tell: Tell) -> tuple[list[Waiting], list[Waiting]]:
        """A page of leads, and who of them has no workflow; asked again while Temporal is away."""
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await self.sweep.compare(after, datetime.now(UTC))
            except RPCError as error:
                if error.status in REFUSED:
                    raise
            tell(replace(seen, away=self._bounded(asyncio.get_running_loop().time() - began)))
            await asyncio.sleep(LOOK_EVERY)

    async def _until_delivered(self, left: int) -> AsyncIterator[tuple[int, float]]:
        """Now and then, until no more than so many wait (others deliver, too): how many do, and how long away."""
        now = asyncio.get_running_loop().time
        before, moved = await self._waiting(), now()
        while (waiting := await self._waiting()) > left:
            if waiting < before:
                moved = now()
            before = waiting
            away = self._bounded(now() - moved)
            yield waiting, away if away > self.quiet else 0.0
            await asyncio.sleep(LOOK_EVERY)

    def _bounded(self, away: float) -> float:
        if away > self.most_away:
            raise TemporalAway(f"Temporal has taken nothing for {away:.0f} s")
        return away

    async def _waiting(self) -> int:
        async with self.engine.connect() as conn:
            query = select(func.count()).select_from(entries).where(entries.c.priority == Priority.ANEW.value)
            return int(await conn.scalar(query) or 0)
