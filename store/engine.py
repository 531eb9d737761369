"""The way into Postgres: the engine, the store that is handed around, and connections that listen."""

from dataclasses import dataclass

import psycopg
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.vault import Vault

CONNECT_TIMEOUT = 5  # real seconds
STATEMENT_TIMEOUT = 10  # real seconds; waiting for a lock counts


@dataclass(frozen=True, slots=True)
class Store:
    """What code that reads or writes the database is given."""

    engine: AsyncEngine
    vault: Vault


def make_engine(database_url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for `postgresql://...` (any driver suffix); opens no connection yet. Times are real seconds.

    Up to as many connections again are opened above `pool_size` for a burst; a caller waits at most 10 s for one.
    """
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    return create_async_engine(
        url.difference_update_query(["options"]),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        # a parameter is a person's data more often than not: it must not come with an error's text
        hide_parameters=True,
        connect_args={
            "application_name": "tend",
            "connect_timeout": CONNECT_TIMEOUT,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT * 1000} {options}".strip(),
        },
    )


def plain_url(database_url: str | URL) -> str:
    """The address as libpq reads it, password included: never log it."""
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def listen(database_url: str | URL, channel: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """A connection of its own that listens on `channel`. The caller closes it. Raises psycopg.OperationalError.

    Keepalives find out within half a minute that the other side vanished without a word.
    """
    conn = await psycopg.AsyncConnection.connect(
        plain_url(database_url),
        autocommit=True,
        application_name=f"tend {channel}",
        connect_timeout=CONNECT_TIMEOUT,
        keepalives_idle=15,
        keepalives_interval=5,
        keepalives_count=3,
    )
    try:
        await conn.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel)))
    except BaseException:
        await conn.close()
        raise
    return conn
