"""Older files of the embedded database are known as a copy, whatever a start writes before it asks."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from config.data_dir import DataDir
from stack.copies import Copies
from store import home
from store.engine import make_engine
from tests.store.a_copy import at_home


async def _older_files(directory: DataDir, engine: AsyncEngine) -> Copies:
    """Their mark is a little further than they have come."""
    async with engine.begin() as conn:
        await home.alive(conn)
        ahead = await conn.scalar(text("SELECT pg_current_wal_lsn() + CAST(100000 AS numeric)"))
    directory.postgres_mark.write_text(f"{ahead}\n")
    return Copies(directory, str(engine.url.render_as_string(hide_password=False)), embedded=True)


async def _write(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("CREATE TABLE written AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)"))


async def test_what_a_start_writes_does_not_hide_that_they_are_older(tmp_path: Path, database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1)
    copies = await _older_files(DataDir(tmp_path), engine)
    await copies.look()
    await _write(engine)
    assert await copies.put_back()
    await engine.dispose()


async def test_older_files_of_a_copy_are_one_of_a_later_time(tmp_path: Path, database_url: str) -> None:
    """They were made while it was held: of what was sent since they know nothing."""
    engine = make_engine(database_url, pool_size=1)
    copies = await _older_files(DataDir(tmp_path), engine)
    DataDir(tmp_path).postgres_mark.write_text("FFFF/0\n")  # further than the tests beside this one write
    times = []
    for look in (False, True, True):
        if look:
            await copies.look()
        async with engine.begin() as conn:
            await home.put_back(conn)
            known = await home.find(conn)
        assert known is not None
        times.append(known.noticed_at)
    before, since, again = times
    assert before is not None
    assert since is not None
    assert before < since == again
    await engine.dispose()


async def test_nor_does_a_start_that_is_killed_after_it(tmp_path: Path, database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1)
    copies = await _older_files(DataDir(tmp_path), engine)
    await copies.look()
    await _write(engine)
    await copies.look()
    assert await copies.put_back()
    async with engine.begin() as conn:
        await at_home(conn)
    await copies.mark()
    await copies.look()
    assert not await copies.put_back()
    await engine.dispose()
