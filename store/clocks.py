"""This process's clock beside the database's, by which everybody here goes.

A clock that has jumped would date facts wrongly, and let touches out at night. While they are apart workers do nothing,
and what is told from outside, above all a stop, is dated by the database.
"""

import contextlib
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.clock import APART
from domain.errors import ClocksApart
from store.engine import AWAY
from store.tables import odd_clocks

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


async def skew(engine: AsyncEngine, ahead: timedelta) -> timedelta:
    """What is to be added to our clock: nothing, or `ahead` where they are apart, which is counted."""
    if abs(ahead) <= APART:
        return timedelta(0)
    with contextlib.suppress(*AWAY):
        async with engine.begin() as conn:
            await conn.execute(delete(odd_clocks).where(_LONG_OVER))
            row = insert(odd_clocks).values(host=socket.gethostname(), times=1, apart=ahead.total_seconds())
            more = {"times": odd_clocks.c.times + 1, "apart": row.excluded.apart, "last_at": func.clock_timestamp()}
            await conn.execute(row.on_conflict_do_update(index_elements=["host"], set_=more))
    return ahead


async def agree(conn: AsyncConnection) -> None:
    """Raises ClocksApart."""
    asked = ours()
    theirs: datetime = (await conn.execute(select(func.clock_timestamp()))).scalar_one()
    if abs(apart := ahead(asked, theirs)) > APART:
        raise ClocksApart("the database", apart)


async def odd(conn: AsyncConnection) -> list[OddClock]:
    """Whose were found apart, the latest first."""
    c = odd_clocks.c
    rows = await conn.execute(select(c.host, c.times, c.apart, c.last_at).order_by(c.last_at.desc()))
    return [OddClock(host, times, timedelta(seconds=apart), at) for host, times, apart, at in rows]
