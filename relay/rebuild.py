"""Rebuild: a workflow for every lead with something to come, where Temporal has lost them; through the outbox.

It looks before it starts, page by page, so it may be stopped, gone on with and repeated: who has a workflow is left
alone. Who has just asked comes first, and is woken as at the first time; all others behind whatever anybody waits for.
It keeps no more than a page of entries waiting, and delivers beside the workers' own relays, so it needs no worker.
While Temporal is away it waits, and says so; not without end.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import TendError
from domain.priority import Priority
from relay.lead_workflows import Looked
from relay.relay import Relay
from relay.sweep import PAGE, Sweep
from relay.temporal_delivery import TemporalDelivery
from store import outbox
from store.sweep import Waiting
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

_T = TypeVar("_T")


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
        async with self.engine.begin() as conn:
            asked = await outbox.who_just_asked(conn, self.sweep.clock.now())
        async with self._delivering():
            # each counts once: it may be that Temporal has not yet heard of one as it is looked at again
            begun = set[str]()
            for start in range(0, len(asked), PAGE):
                missing = await self._patiently(partial(self._without, asked[start : start + PAGE]), seen, tell)
                begun |= {one.lead_id for one in missing}
                seen = await self._start(missing, seen, tell, BESIDE, per_second)
            first, after = set(asked), None
            while True:
                page, missing = await self._patiently(partial(self.sweep.compare, after, datetime.now(UTC)), seen, tell)
                again = [
                    one.lead_id for one in missing if one.lead_id in first
                ]  # the list is behind, or all is lost anew
                missing = [one for one in missing if one.lead_id not in first]
                missing += await self._patiently(partial(self._without, again), seen, tell)
                seen = replace(seen, looked_at=seen.looked_at + len(page))
                if len(page) < PAGE:
                    return await self._start(missing, seen, tell, 0, per_second, counted=begun)
                seen = await self._start(missing, seen, tell, BESIDE, per_second, counted=begun)
                after = page[-1].lead_id

    async def _without(self, lead_ids: list[str]) -> list[Waiting]:
        """Who of these has no workflow; asked one by one, for they lie anywhere in Temporal's list."""
        looked = await self.sweep.workflows.look(lead_ids)
        none = (Looked.NONE, Looked.ENDED)
        return [
            Waiting(lead_id, seen.since or datetime.now(UTC))
            for lead_id, seen in zip(lead_ids, looked, strict=True)
            if seen.looked in none
        ]

    async def _start(
        self,
        missing: list[Waiting],
        seen: Progress,
        tell: Tell,
        beside: int,
        per_second: float,
        *,
        counted: AbstractSet[str] = frozenset(),
    ) -> Progress:
        """Wakes who of these is to have a workflow, until no more than so many still wait, and not too fast."""
        began = asyncio.get_running_loop().time()
        needed = [one.lead_id for one in await self.sweep.store.needing(missing)]
        async with self.engine.begin() as conn:
            await outbox.wake(conn, needed, outbox.ANY_SIGNAL, self.sweep.clock.now())
        seen = replace(seen, started=seen.started + len(set(needed) - counted))
        async for _, away in self._until_delivered(beside, await self._newest()):
            tell(replace(seen, away=away))
        tell(seen)
        if beside:
            await asyncio.sleep(began + len(needed) / per_second - asyncio.get_running_loop().time())
        return seen

    async def all(self, tell: Tell) -> Progress:
        """Has all of them plan anew; what was put in the outbox is delivered by the workers too if this is stopped.

        Raises TemporalAway.
        """
        async with self.engine.begin() as conn:
            await outbox.wake_all(conn, outbox.ANY_SIGNAL, self.sweep.clock.now())
        return await self.delivered(tell)

    async def delivered(self, tell: Tell) -> Progress:
        """Until Temporal has heard of all who wait. Raises TemporalAway."""
        newest = await self._newest()
        total = await self._waiting(newest)
        async with self._delivering():
            async for left, away in self._until_delivered(0, newest):
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

    async def _patiently(self, ask: Callable[[], Awaitable[_T]], seen: Progress, tell: Tell) -> _T:
        """What Temporal answers; asked again while it is away."""
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await ask()
            except RPCError as error:
                if error.status in REFUSED:
                    raise
            tell(replace(seen, away=self._bounded(asyncio.get_running_loop().time() - began)))
            await asyncio.sleep(LOOK_EVERY)

    async def _until_delivered(self, left: int, newest: int) -> AsyncIterator[tuple[int, float]]:
        """Now and then, until no more than so many wait (others deliver, too): how many do, and how long away."""
        now = asyncio.get_running_loop().time
        before, moved = await self._waiting(newest), now()
        while (waiting := await self._waiting(newest)) > left:
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

    async def _newest(self) -> int:
        async with self.engine.connect() as conn:
            return int(await conn.scalar(select(func.max(entries.c.id))) or 0)

    async def _waiting(self, newest: int) -> int:
        """Wakes in the outbox, up to this entry: of who has just asked they look as those that others write."""
        asked = and_(entries.c.priority == Priority.INQUIRY.value, entries.c.signal == outbox.ANY_SIGNAL)
        wakes = or_(entries.c.priority == Priority.ANEW.value, asked)
        async with self.engine.connect() as conn:
            query = select(func.count()).select_from(entries).where(wakes, entries.c.id <= newest)
            return int(await conn.scalar(query) or 0)
