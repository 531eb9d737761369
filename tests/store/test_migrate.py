"""Migrations make exactly the tables that the code knows."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from store import migrate as module
from store.engine import Store, make_engine
from store.migrate import TooOld, UnknownSchema, migrate, newest, reached
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
    with pytest.raises(UnknownSchema, match="install a newer Tend"):
        await migrate(database_url)


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
