"""A database that was put back from a copy is known as one, whoever asks first; and the one that lives on is not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio
from psycopg import sql
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store import home
from store.engine import make_engine
from store.migrate import migrate
from tests.conftest import Server
from tests.store.a_copy import at_home


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    found = make_engine(database_url, pool_size=2)
    async with found.begin() as conn:
        await at_home(conn)
    yield found
    await found.dispose()


async def work(engine: AsyncEngine, times: int = 1) -> None:
    for _ in range(times):
        async with engine.begin() as conn:
            await home.alive(conn)


async def is_a_copy(engine: AsyncEngine) -> bool:
    async with engine.begin() as conn:
        known = await home.find(conn)
        return known is not None and known.noticed_at is not None


async def restore(engine: AsyncEngine) -> None:
    """What pg_restore does with a table: its rows are copied in by a transaction of its own."""
    async with engine.begin() as conn:
        for step in ("CREATE TABLE dumped AS SELECT * FROM homes", "DELETE FROM homes", "DROP TABLE dumped"):
            if step.startswith("DROP"):
                await conn.execute(text("INSERT INTO homes SELECT * FROM dumped"))
            await conn.execute(text(step))


async def test_a_database_that_was_just_migrated_is_no_copy(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await migrate(empty_database_url)
    engine = make_engine(empty_database_url, pool_size=1)
    assert not await is_a_copy(engine)
    async with home.guard(engine).connect():
        pass
    await engine.dispose()


@pytest.mark.parametrize("step", ["DELETE FROM homes", "DROP TABLE homes"])
async def test_while_it_is_being_put_back_nobody_gets_a_connection_nor_leaves_a_trace(
    engine: AsyncEngine, database_url: str, step: str
) -> None:
    await work(engine)
    async with engine.begin() as conn:
        await conn.execute(text(step))
    guarded = home.guard(make_engine(database_url, pool_size=1))
    with pytest.raises(home.Unready, match="put back"):
        async with guarded.connect():
            pass
    await guarded.dispose()
    if step.startswith("DELETE"):
        await work(engine)
        async with engine.connect() as conn:
            assert await home.find(conn) is None


async def test_one_that_lives_on_is_none_however_long_it_is_worked_on(engine: AsyncEngine, database_url: str) -> None:
    await work(engine, 3)
    await asyncio.gather(*(work(engine, 5) for _ in range(2)))
    async with engine.connect() as conn:
        await (await conn.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM FREEZE homes"))
    assert not await is_a_copy(engine)
    guarded = home.guard(make_engine(database_url, pool_size=1))
    async with guarded.connect():
        pass
    await guarded.dispose()


async def test_from_a_copy_nobody_who_sends_gets_a_connection_until_it_was_compared(
    engine: AsyncEngine, database_url: str
) -> None:
    await work(engine)
    await restore(engine)
    guarded = home.guard(make_engine(database_url, pool_size=1))
    for _ in range(2):
        with pytest.raises(home.Restored, match="tend rebuild --restored"):
            async with guarded.connect():
                pass
    await work(engine)  # nobody settles it by being at work
    assert await is_a_copy(engine)
    waiting = asyncio.create_task(home.until_compared(guarded, asyncio.Event()))
    async with engine.begin() as conn:
        await at_home(conn)
    assert await asyncio.wait_for(waiting, 30)
    assert not await is_a_copy(engine)
    await work(engine)
    assert not await is_a_copy(engine)
    await guarded.dispose()


async def test_a_copy_of_a_copy_is_of_a_later_time(engine: AsyncEngine, database_url: str) -> None:
    """What was sent after the first was compared is nothing that its own copy knows of."""
    await restore(engine)
    first = await noticed(engine)
    guarded = home.guard(make_engine(database_url, pool_size=1))
    for _ in range(2):  # whoever asks, it stays
        with pytest.raises(home.Restored):
            async with guarded.connect():
                pass
        assert await noticed(engine) == first
    await restore(engine)
    with pytest.raises(home.Restored):
        async with guarded.connect():
            pass
    await guarded.dispose()
    assert await noticed(engine) > first
    second = await asyncio.gather(*(noticed(engine) for _ in range(2)))
    assert len(set(second)) == 1


async def test_a_copy_that_was_looked_at_is_of_the_time_when_it_was_put_in_the_place(
    engine: AsyncEngine, database_url: str, postgres: Server
) -> None:
    """What was sent meanwhile, from the one that was there, it does not know."""
    await restore(engine)
    async with engine.connect() as conn:
        assert await home.looks_put_back(conn)
    async with engine.connect() as conn:
        assert not await home.is_copy(conn), "nothing is noted by that"
    first = await noticed(engine)
    await engine.dispose()
    url, name = make_url(database_url), f"t_{uuid.uuid4().hex}"
    of = [sql.Identifier(str(url.database)), sql.Identifier(name)]
    postgres.run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*of))
    other = make_engine(postgres.url(name), pool_size=1)
    assert await noticed(other) > first
    assert await noticed(other) == await noticed(other)
    await other.dispose()
    postgres.run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*reversed(of)))


async def test_a_copy_is_noted_before_anything_is_entered_in_it(engine: AsyncEngine, database_url: str) -> None:
    """The API may be started long before anybody who sends."""
    await restore(engine)
    await migrate(database_url)
    async with engine.connect() as conn:
        assert await home.is_copy(conn)


async def noticed(engine: AsyncEngine) -> datetime:
    async with engine.begin() as conn:
        known = await home.find(conn)
    assert known is not None
    assert known.noticed_at is not None
    return known.noticed_at


async def test_a_database_made_from_another_is_a_copy(engine: AsyncEngine, database_url: str, postgres: Server) -> None:
    await work(engine)
    await engine.dispose()
    source, name = str(make_url(database_url).database), f"t_{uuid.uuid4().hex}"
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    postgres.run(made.format(sql.Identifier(name), sql.Identifier(source)))
    other = make_engine(postgres.url(name), pool_size=1)
    assert await is_a_copy(other)
    assert not await is_a_copy(engine)
    await other.dispose()
    postgres.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_older_files_have_come_less_far_than_their_mark(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        mark = await home.mark(conn)
        assert not await home.is_behind(conn, mark)
        ahead = str(await conn.scalar(text("SELECT pg_current_wal_lsn() + CAST(16777216 AS numeric)")))
        assert await home.is_behind(conn, ahead)
