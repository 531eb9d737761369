"""Where this database lives: so that a copy that was put back is known as one before anything is sent from it.

Its one row knows which transaction has written it: in a dump that was restored another one has. Its place is the
database's own id and the line of its history: a standby that was promoted, or a cluster that was recovered to a point
in time, has begun a new line. What an older copy of the very files is, only somebody beside them can know: see `mark`.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import event, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import TendError
from store.tables import homes

log = logging.getLogger(__name__)

ASK_EVERY = 1.0  # real seconds
ALIVE_EVERY = 15.0
_PLACE = (
    "concat_ws('/', (SELECT oid FROM pg_database WHERE datname = current_database()),"
    " left(pg_walfile_name(pg_current_wal_lsn()), 8))"
)
# Of a copy that was noticed the name counts too: put in the place of another later, it is one of that time.
_HERE = f"CASE WHEN restored_at IS NULL THEN {_PLACE} ELSE {_PLACE} || '@' || current_database() END"
_OWN = f"place = {_HERE} AND written_by = xmin::text"
_THIS = "CAST(CAST(pg_current_xact_id() AS xid) AS text)"
_LOOK = f"SELECT {_OWN}, restored_at FROM homes"  # noqa: S608 - no input
# Who has noticed it writes the row, as who settles it: a copy of a copy is known as another one, of a later time.
_NOTICE = (
    f"UPDATE homes SET restored_at = clock_timestamp(), place = {_PLACE} || '@' || current_database(),"  # noqa: S608
    f" written_by = {_THIS}"
)
_NOTICE_ONCE = f"{_NOTICE} WHERE restored_at IS NULL OR NOT ({_OWN})"


class Unready(TendError):
    """This database was never migrated, or is just being put back."""

    def __init__(self) -> None:
        super().__init__("the database was never migrated, or is just being put back: run `tend migrate`, or `tend up`")


class HalfRestored(TendError):
    """Only a part of a dump is there."""

    def __init__(self) -> None:
        super().__init__(
            "not all of the dump is there: it is being put back, or that broke off. Wait until it is whole, or put it "
            "back once more, into a new database (docs/runbook.md, Put back from a dump)"
        )


class Restored(TendError):
    """This database was put back from a copy, and was not compared with the carrier yet."""

    def __init__(self) -> None:
        super().__init__(
            "this database was put back from a copy: nothing is sent from it until `tend rebuild --restored` has "
            "compared it with what the carrier knows"
        )


@dataclass(frozen=True, slots=True)
class Home:
    """`alive_at` (real): when a worker was last at work on it, or it was made; a copy keeps that of its time.

    `worked`: whether a worker was since it was made, or compared. `noticed_at` (real): when it was noticed that it is a
    copy; None where it is none, or was compared.
    """

    alive_at: datetime
    worked: bool
    noticed_at: datetime | None


def guard(engine: AsyncEngine) -> AsyncEngine:
    """The engine of who sends: no connection of it is to a database that was put back, or is so just now.

    A connection raises Restored or Unready then.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def look(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(_LOOK)
            row = cursor.fetchone()
            own, noticed = row or (False, None)
            if row is not None and not own:
                cursor.execute(_NOTICE_ONCE)
            connection.commit()
        except psycopg.errors.UndefinedTable:
            row, own, noticed = None, False, None
        finally:
            cursor.close()
        if not own or noticed is not None:
            connection.close()
            raise Restored if row is not None else Unready

    return engine


async def find(conn: AsyncConnection) -> Home | None:
    """What is known of it; None if it is just being put back. A copy is noted as one."""
    row = (await conn.execute(text(_LOOK))).first()
    if row is None:
        return None
    own, _ = row
    if not own:
        await put_back(conn)
    found = (await conn.execute(select(homes.c.alive_at, homes.c.worked, homes.c.restored_at))).one()
    return Home(found.alive_at, found.worked, found.restored_at)


async def looks_put_back(conn: AsyncConnection) -> bool:
    """Whether it is a copy, or is just being put back; nothing is noted: somebody may only look into it."""
    row = (await conn.execute(text(_LOOK))).first()
    return row is None or not row[0] or row[1] is not None


async def is_copy(conn: AsyncConnection) -> bool:
    """Whether it was noticed that this is one, and nobody has compared it yet; or it is just being put back."""
    row = (await conn.execute(select(homes.c.restored_at))).first()
    return row is None or row.restored_at is not None


async def is_known(conn: AsyncConnection) -> bool:
    """Whether the database was ever told where it lives; False of one that is new, or older than that.

    Raises HalfRestored where it was, and does not know: leads that it takes in now would be lost.
    """
    if await conn.scalar(text("SELECT to_regclass('homes')")) is None:
        return False
    keys = text("SELECT 1 FROM pg_constraint WHERE conrelid = 'homes'::regclass AND contype = 'p'")  # after all rows
    if (await conn.execute(select(homes.c.id))).first() is None or await conn.scalar(keys) is None:
        raise HalfRestored
    return True


async def make(conn: AsyncConnection) -> None:
    """Of a database that was just given a place for that: it lives here."""
    await conn.execute(insert(homes).values(id=True, **_row()).on_conflict_do_nothing())


async def put_back(conn: AsyncConnection) -> None:
    """Notes that it was put back from a copy: from now on nobody who sends gets a connection.

    Noted once: the time stays that of the first who noticed it here.
    """
    await conn.execute(text(_NOTICE_ONCE))


async def put_back_again(conn: AsyncConnection) -> None:
    """Older files were put there: what they say of when they were put back is of the time before, if they say any."""
    if await conn.scalar(text("SELECT to_regclass('homes')")) is not None:
        await conn.execute(text(_NOTICE))


async def settle(conn: AsyncConnection, noticed_at: datetime) -> bool:
    """The copy that was noticed then (real) lives here, and all that the carrier knows has been compared.

    False if it was settled, or put back, meanwhile. No worker has been at work on it since, until one is.
    """
    values = _row() | {"restored_at": None, "worked": False}
    return (await conn.execute(update(homes).where(homes.c.restored_at == noticed_at).values(values))).rowcount > 0


async def alive(conn: AsyncConnection) -> bool:
    """A worker is at work on it. False of a copy, of which nothing is changed."""
    own = update(homes).where(text(_OWN), homes.c.restored_at.is_(None))
    return (await conn.execute(own.values(_row() | {"worked": True}))).rowcount > 0


def _row() -> dict[str, Any]:
    return {"place": text(_PLACE), "written_by": text(_THIS), "alive_at": func.clock_timestamp()}


async def keep_alive(engine: AsyncEngine, stop: asyncio.Event) -> None:
    """Says until `stop` that a worker is at work on it, and sets it when the database was put back meanwhile."""
    while not stop.is_set():
        try:
            async with engine.begin() as conn:
                its_own = await alive(conn)
            if not its_own:  # put back under the connections that we had
                log.warning("%s", Restored())
                stop.set()
        except (Restored, Unready) as error:
            log.warning("%s", error)
            stop.set()
        except (SQLAlchemyError, OSError):
            pass  # away: the next time, then
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALIVE_EVERY):
                await stop.wait()


async def until_compared(engine: AsyncEngine, stop: asyncio.Event) -> bool:
    """Returns once a guarded engine gets a connection; False if it is to stop before. Raises what an absent database
    raises."""
    told = False
    while not stop.is_set():
        try:
            async with engine.connect():
                return True
        except Restored as error:
            if not told:
                log.warning("%s", error)
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_EVERY):
                await stop.wait()
    return False


async def mark(conn: AsyncConnection) -> str:
    """How far its log has been written for good: an older copy of its files has come less far."""
    return str(await conn.scalar(text("SELECT pg_current_wal_flush_lsn()")))


async def is_behind(conn: AsyncConnection, mark: str) -> bool:
    """Whether its log has come less far than the mark: it is an older copy of the files."""
    return bool(await conn.scalar(text("SELECT pg_current_wal_lsn() < CAST(:mark AS pg_lsn)"), {"mark": mark}))
