"""The way into Postgres: the engine, the store that is handed around, and connections that listen."""

import select
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.errors import TransactionTimeout
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from store.vault import Vault

# What it is when the database is away: restarting, cut off, out of connections, or tired of a transaction of ours.
AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError)
CONNECT_TIMEOUT = 5  # real seconds
STATEMENT_TIMEOUT = 10  # real seconds; waiting for a lock counts
# Of a process that froze in the middle of a transaction, or whose machine vanished, nobody tells the server: it ends
# the transaction itself. (Its limit for idle ones fails behind a pipeline: psycopg ends one with a Flush.)
TRANSACTION_TIMEOUT = 12  # real seconds; so one that waited for a lock as long as it may has time left
# What a transaction says that holds a lead, an address, or entries of the outbox: it has 8 s from the last of these on,
# which is more than a delivery takes and less than who waits has. A limit that runs is not set anew unless it was 0.
_STOPPED = "set_config('transaction_timeout', '0', true)"
HOLDS = f"set_config('transaction_timeout', '8000' || left({_STOPPED}, 0), true)"
# What a transaction says that goes through everybody: it takes as long as it does, and holds nothing others wait for.
UNLIMITED = f"set_config('statement_timeout', '0', true), {_STOPPED}"
_LIMITS = f"-c statement_timeout={STATEMENT_TIMEOUT}s -c transaction_timeout={TRANSACTION_TIMEOUT}s"
# Of a server whose machine or way vanished nobody tells us: what it has not acknowledged, or a sign of life that it
# owes, ends the connection within so long (s, ms). Linux would wait for a quarter of an hour, or two hours.
_VANISHED = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
# A claim must be on disk before its request is written, and a stop before its answer, however the server is set.
_KEPT = "-c synchronous_commit=on"


@dataclass(frozen=True, slots=True)
class Store:
    """What code that reads or writes the database is given."""

    engine: AsyncEngine
    vault: Vault


def make_engine(database_url: str, *, pool_size: int = 10, limited: bool = True) -> AsyncEngine:
    """An engine for `postgresql://...` (any driver suffix); opens no connection yet. Times are real seconds.

    Up to as many connections again are opened above `pool_size` for a burst; a caller waits at most 10 s for one.
    Not `limited`: a statement and a transaction may take as long as they do, on a server of any age.
    """
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    engine = create_async_engine(
        url.difference_update_query(["options"]),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        # a parameter is a person's data more often than not: it must not come with an error's text
        hide_parameters=True,
        connect_args={
            "application_name": "tend",
            "connect_timeout": CONNECT_TIMEOUT,
            **_vanished(url),
            "options": " ".join(filter(None, (_LIMITS if limited else "", options, _KEPT))),
        },
    )
    event.listen(engine.sync_engine, "checkout", _still_there)
    event.listen(engine.sync_engine, "handle_error", lambda context: ended(context.original_exception), retval=True)
    return engine


def _vanished(url: URL) -> dict[str, int]:
    """What the address says itself goes before."""
    return {name: value for name, value in _VANISHED.items() if name not in url.query}


def ended(error: BaseException | None) -> OperationalError | None:
    """The server has ended the transaction for its length: it is away as far as that is concerned."""
    return OperationalError(None, None, error, hide_parameters=True) if isinstance(error, TransactionTimeout) else None


def _still_there(dbapi_connection: Any, *_: object) -> None:
    """A server that is gone has closed its side: something is to be read where nothing was asked.

    Costs no round trip, as a ping would for each transaction. Has the pool make another one.
    """
    pg = dbapi_connection.driver_connection.pgconn
    heard = select.poll()
    heard.register(pg.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
    if heard.poll(0):
        raise DisconnectionError


def while_away(seconds: float) -> AsyncRetrying:
    """Tries again for so long (real) while the database is away; then raises what it raised last."""
    return AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        stop=stop_after_delay(seconds),
        wait=wait_exponential(multiplier=0.1, max=1.0),
        reraise=True,
    )


def plain_url(database_url: str | URL) -> str:
    """The address as libpq reads it, password included: never log it."""
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def listen(database_url: str | URL, channel: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """A connection of its own that listens on `channel`. The caller closes it. Raises psycopg.OperationalError.

    It finds out within half a minute that the other side vanished without a word.
    """
    conn = await psycopg.AsyncConnection.connect(
        plain_url(database_url),
        autocommit=True,
        application_name=f"tend {channel}",
        connect_timeout=CONNECT_TIMEOUT,
        **_vanished(make_url(database_url)),  # type: ignore[arg-type]
    )
    try:
        await conn.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel)))
    except BaseException:
        await conn.close()
        raise
    return conn
