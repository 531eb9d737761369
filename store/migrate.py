"""Brings a database to the schema of this version of Tend."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, delete, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_fixed

from domain.errors import TendError
from store import home
from store.engine import make_engine
from store.tables import schema_fits

log = logging.getLogger(__name__)

_SCRIPTS = Path(__file__).parent / "migrations"
# Two starts at once migrate one after the other. Any number does, as long as it never changes.
_LOCK = 8_316_554_101

# All in real seconds. Behind a change that waits for a table all others wait, callbacks too: a dump may take hours.
WAITS = 3
PAUSE = 10.0  # in which those behind it have their turn
BUSY_FOR = 300.0

# A program of this revision, or of one since, can work with the newest schema. A change that it cannot live with moves
# this to its own, and CHANGELOG.md says so.
FITS_SINCE = "20261208_fits"

OLDEST = 17  # PostgreSQL: the first with transaction_timeout


class UnknownSchema(TendError):
    """The database was migrated by a newer Tend, with which this one cannot work."""


class TooOld(TendError):
    """The PostgreSQL server lacks what Tend relies on."""


class InUse(TendError):
    """Somebody has been at the tables for minutes: a dump, as a rule."""

    def __init__(self) -> None:
        super().__init__(
            f"nothing was changed: for {BUSY_FOR / 60:.0f} minutes somebody else was at the tables that are to be "
            "changed. Is a dump being made (pg_dump), or another long transaction open? Run it again when that is over"
        )


async def migrate(database_url: str) -> str:
    """Applies what is missing, all of it or nothing, and answers the revision reached; harmless to repeat.

    A newer schema stays as it is, where it says that this program can work with it: a release was taken back.
    Raises UnknownSchema if it does not, TooOld if its server is older than OLDEST, InUse if
    others hold its tables for too long, home.HalfRestored if not all of a dump is there.
    """
    engine = make_engine(database_url, pool_size=1, limited=False)  # a change may take long, and wait for one
    try:
        async for attempt in _while_in_use():
            with attempt:
                async with engine.begin() as conn:
                    await _bring_up(conn)
                    at = await reached(conn)
    except DBAPIError as error:
        if _in_use(error):
            raise InUse from None
        raise
    finally:
        await engine.dispose()
    return at or newest()


async def _bring_up(conn: AsyncConnection) -> None:
    await _check_server(conn)
    await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    await conn.execute(text(f"SET LOCAL lock_timeout = '{WAITS}s'"))
    lived_somewhere = await home.is_known(conn)
    await conn.run_sync(_upgrade)
    if lived_somewhere:
        await home.find(conn)  # a copy is noted before anything is entered in it
    else:
        await home.make(conn)


def _while_in_use() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_in_use),
        stop=stop_after_delay(BUSY_FOR),
        wait=wait_fixed(PAUSE),
        before_sleep=_say_once,
        reraise=True,
    )


def _say_once(state: RetryCallState) -> None:
    if state.attempt_number == 1:
        log.warning("somebody else is at the tables that are to be changed, perhaps a dump: trying again")


def _in_use(error: BaseException) -> bool:
    """Whether a lock was waited for in vain, or it and somebody else waited for each other."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, LockNotAvailable | DeadlockDetected)


async def _check_server(conn: AsyncConnection) -> None:
    version = int(await conn.scalar(text("SELECT current_setting('server_version_num')::int")) or 0) // 10_000
    if version < OLDEST:
        raise TooOld(f"PostgreSQL {OLDEST} or newer is needed, and the server is {version}: upgrade it")


async def fits(conn: AsyncConnection) -> bool:
    """Whether this program can work with the schema that is there."""
    return await conn.run_sync(_fits)


async def reached(conn: AsyncConnection) -> str | None:
    """The revision the database is at; None if it was never migrated."""
    return await conn.run_sync(_current)


def newest() -> str:
    """The revision this program needs."""
    head = _scripts().get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {_SCRIPTS}: the installation is not complete")
    return head


def _upgrade(conn: Connection) -> None:
    scripts = _scripts()
    known = {script.revision for script in scripts.walk_revisions()}
    current = _current(conn)
    if current is not None and current not in known:
        if not _fits(conn):
            raise UnknownSchema(f"the database is at {current}, which this version does not know: install a newer Tend")
        log.warning("the database is of a newer Tend (%s), with which this one can work: it stays as it is", current)
        return

    def steps(rev: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", rev)

    _run(conn, scripts, steps)
    _say_what_fits(conn, scripts)


def _say_what_fits(conn: Connection, scripts: ScriptDirectory) -> None:
    fitting = [script.revision for script in scripts.walk_revisions(FITS_SINCE, "head")]
    conn.execute(delete(schema_fits))
    conn.execute(insert(schema_fits), [{"revision": revision} for revision in fitting])


def _fits(conn: Connection) -> bool:
    """Its own schema does, and what a newer one says of it."""
    if _current(conn) == newest():
        return True
    if conn.scalar(text("SELECT to_regclass('schema_fits')")) is None:
        return False
    return conn.scalar(select(schema_fits).where(schema_fits.c.revision == newest())) is not None


def _run(conn: Connection, scripts: ScriptDirectory, steps: Callable[[Any, MigrationContext], Any]) -> None:
    with EnvironmentContext(Config(), scripts, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=conn)
        environment.run_migrations()


def _current(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_SCRIPTS), version_locations=[str(_SCRIPTS / "versions")])
