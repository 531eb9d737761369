"""Migrations make exactly the tables that the code knows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from store import home
from store import migrate as module
from store.engine import Store, make_engine
from store.migrate import InUse, TooOld, UnknownSchema, fits, migrate, newest, reached
from store.tables import metadata


def _differences(conn: Connection) -> list[object]:
    context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrated_schema_is_the_one_of_the_code(store: Store) -> None:
    async with store.engine.connect() as conn:
        assert await conn.run_sync(_differences) == []
        assert await reached(conn) == newest()


async def test_a_missing_column_and_index_would_be_noticed(store: Store) -> None:
    async with store.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE leads DROP COLUMN language"))
        await conn.execute(text("DROP INDEX touches_claimed_idx"))
        assert len(await conn.run_sync(_differences)) == 2


async def test_two_starts_at_once_migrate_once(empty_database_url: str) -> None:
    assert set(await asyncio.gather(*(migrate(empty_database_url) for _ in range(2)))) == {newest()}
    assert await migrate(empty_database_url) == newest()


async def test_an_empty_database_has_no_revision(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url, pool_size=1)
    async with engine.connect() as conn:
        assert await reached(conn) is None
    await engine.dispose()


async def test_the_database_of_a_newer_program_is_left_alone(database_url: str, store: Store) -> None:
    async with store.engine.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '29990101_from_the_future'"))
        await conn.execute(text("DELETE FROM schema_fits"))
    with pytest.raises(UnknownSchema, match="install a newer Tend"):
        await migrate(database_url)


async def test_a_release_is_taken_back_where_the_newer_schema_says_that_it_can_be(
    database_url: str, store: Store
) -> None:
    newer = "29990101_from_the_future"
    async with store.engine.begin() as conn:
        assert await fits(conn)
        await conn.execute(text("UPDATE alembic_version SET version_num = :newer"), {"newer": newer})
        assert await fits(conn)
    assert await migrate(database_url) == newer
    async with store.engine.begin() as conn:
        assert await reached(conn) == newer
        await conn.execute(text("DELETE FROM schema_fits"))
        assert not await fits(conn)
        await conn.execute(text("DROP TABLE schema_fits"))
        assert not await fits(conn)


async def test_a_server_that_is_too_old_is_refused_and_left_alone(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLDEST", 99)
    with pytest.raises(TooOld, match="PostgreSQL 99 or newer is needed, and the server is 18"):
        await migrate(empty_database_url)
    engine = make_engine(empty_database_url)
    async with engine.connect() as conn:
        assert await reached(conn) is None
    await engine.dispose()


@asynccontextmanager
async def _dumped(url: str, table: str) -> AsyncIterator[None]:
    """As pg_dump does, which reads for as long as it takes."""
    engine = make_engine(url, pool_size=1, limited=False)
    async with engine.connect() as conn:
        await conn.execute(text(f"LOCK TABLE {table} IN ACCESS SHARE MODE"))
        yield
    await engine.dispose()


async def _older(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the first release."""
    first, run = "20261123_first_tables", module._run

    def partly(conn: Connection, scripts: Any, _: object) -> None:
        run(conn, scripts, lambda rev, _: scripts._upgrade_revs(first, rev))

    async def not_yet(_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(module, "_run", partly)
        patch.setattr(module, "_say_what_fits", lambda *_: None)
        patch.setattr(home, "make", not_yet)
        await migrate(url)
    return first


async def test_nobody_waits_long_behind_a_change_that_waits_for_a_dump(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _older(empty_database_url, monkeypatch)
    said, waits = list[str](), asyncio.Event()

    def warn(line: str) -> None:
        said.append(line)
        waits.set()

    monkeypatch.setattr(module.log, "warning", warn)
    monkeypatch.setattr(module, "WAITS", 1)
    monkeypatch.setattr(module, "PAUSE", 0.2)
    api = make_engine(empty_database_url, pool_size=1)
    async with _dumped(empty_database_url, "sources"):
        changing = asyncio.create_task(migrate(empty_database_url))
        await asyncio.wait_for(waits.wait(), 60)
        for _ in range(5):
            async with api.begin() as conn, asyncio.timeout(8):  # less than a callback may take
                await conn.execute(text("SELECT count(*) FROM sources"))
        assert not changing.done()
    async with asyncio.timeout(60):
        assert await changing == newest()
    assert len(said) == 1
    await api.dispose()


async def test_a_change_that_waits_for_a_dump_gives_up_and_says_so(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _older(empty_database_url, monkeypatch)
    monkeypatch.setattr(module, "BUSY_FOR", 0.0)
    async with _dumped(empty_database_url, "touches"), asyncio.timeout(60):
        with pytest.raises(InUse, match=r"pg_dump.* Run it again"):
            await migrate(empty_database_url)
    engine = make_engine(empty_database_url, pool_size=1)
    async with engine.connect() as conn:
        assert await reached(conn) == first
    await engine.dispose()
    assert await migrate(empty_database_url) == newest()


async def test_two_starts_wait_for_each_other_however_long_one_takes(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAITS", 0.2)
    engine = make_engine(empty_database_url, pool_size=1, limited=False)
    async with engine.begin() as other:
        await other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": module._LOCK})
        changing = asyncio.create_task(migrate(empty_database_url))
        longer = text("SELECT count(*) FROM pg_locks WHERE waitstart < clock_timestamp() - interval '0.5 s'")
        async with asyncio.timeout(30):
            while not await other.scalar(longer):
                assert not changing.done()
    assert await changing == newest()
    assert caplog.text == ""
    await engine.dispose()


async def test_a_dump_that_broke_off_behind_its_row_is_not_made_at_home(store: Store, database_url: str) -> None:
    """The keys of all tables come after all of their rows."""
    async with store.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE homes DROP CONSTRAINT homes_pkey"))
    with pytest.raises(home.HalfRestored):
        await migrate(database_url)


@pytest.mark.parametrize("revision", ["20261204_lost_numbers", "20261203_looks", None])
async def test_a_dump_of_which_a_part_is_there_is_not_made_at_home(
    store: Store, database_url: str, revision: str | None
) -> None:
    """pg_restore makes all tables first and fills them one by one; it may break off, or be at it."""
    async with store.engine.begin() as conn:
        await conn.execute(text("DELETE FROM homes"))
        await conn.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            await conn.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    for _ in range(2):
        with pytest.raises(home.HalfRestored, match="put it back once more, into a new database"):
            await migrate(database_url)
    guarded = home.guard(make_engine(database_url, pool_size=1))
    with pytest.raises(home.Unready):
        async with guarded.connect():
            pass
    await guarded.dispose()


async def test_the_first_tables_and_a_database_from_before_homes_are_at_home_once_migrated(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _older(empty_database_url, monkeypatch)
    for _ in range(2):
        await migrate(empty_database_url)
    guarded = home.guard(make_engine(empty_database_url, pool_size=1))
    async with guarded.connect():
        pass
    await guarded.dispose()
