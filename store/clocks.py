"""This process's clock beside the database's, by which everybody here goes.

A clock that has jumped would date facts wrongly, and let touches out at night. While they are apart workers do nothing,
and what is told from outside, above all a stop, is dated by the database.
"""

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.clock import APART
from domain.errors import ClocksApart
from store.engine import AWAY
from store.tables import odd_clocks

TOLD_EVERY, TELLING_TAKES = 5.0, 1.0  # real seconds
_LONG_OVER = text("last_at < clock_timestamp() - interval '90 days'")


@dataclass(frozen=True, slots=True)
class OddClock:
    """So many `times` it was noticed on the host `host`, last at `at` (the database's time), when so far apart."""

    host: str
    times: int
    apart: timedelta
    at: datetime


def ours() -> datetime:
    return datetime.now(UTC)


def ahead(asked: datetime, theirs: datetime) -> timedelta:
    """How far the database's clock, read between `asked` and now, is ahead of ours; 0 where they may agree.

    However long the answer took, on whichever side.
    """
    return theirs - min(max(theirs, asked), ours())


@dataclass
class Noticed:
    """What a process has found of its clock: kept in the database, at most once in some seconds."""

    told_at: float = float("-inf")

    async def skew(self, engine: AsyncEngine, ahead: timedelta) -> timedelta:
        """What is to be added to our clock: nothing, or `ahead` where they are apart."""
        if abs(ahead) <= APART:
            return timedelta(0)
        if time.monotonic() - self.told_at > TOLD_EVERY:
            self.told_at = time.monotonic()
            with contextlib.suppress(TimeoutError, *AWAY):
                async with asyncio.timeout(TELLING_TAKES):  # the caller holds a lead's lock
                    await _tell(engine, ahead)
        return ahead


async def _tell(engine: AsyncEngine, ahead: timedelta) -> None:
    async with engine.begin() as conn:
        await conn.execute(delete(odd_clocks).where(_LONG_OVER))
        row = insert(odd_clocks).values(host=socket.gethostname(), times=1, apart=ahead.total_seconds())
        more = {"times": odd_clocks.c.times + 1, "apart": row.excluded.apart, "last_at": func.clock_timestamp()}
        await conn.execute(row.on_conflict_do_update(index_elements=["host"], set_=more))


async def theirs(conn: AsyncConnection) -> datetime:
    """Now, by the database's clock."""
    now: datetime = (await conn.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def apart(conn: AsyncConnection) -> timedelta:
    """How far the database's clock is ahead of ours; 0 where they may agree."""
    asked = ours()
    return ahead(asked, await theirs(conn))


async def must_agree(conn: AsyncConnection) -> None:
    """Raises ClocksApart."""
    if abs(found := await apart(conn)) > APART:
        raise ClocksApart("the database", found)


async def odd(conn: AsyncConnection) -> list[OddClock]:
    """Whose were found apart, the latest first."""
    c = odd_clocks.c
    rows = await conn.execute(select(c.host, c.times, c.apart, c.last_at).order_by(c.last_at.desc()))
    return [OddClock(host, times, timedelta(seconds=apart), at) for host, times, apart, at in rows]
