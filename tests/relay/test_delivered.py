"""An API process hears of its own deliveries, and forgets what it no longer waits for."""

import asyncio
import gc
import uuid
from typing import Any

import pytest
from psycopg import sql

from relay.delivered import DeliveredListener
from store import outbox
from store.engine import Store
from store.outbox import Kind
from tests.store.entries import add_entry

DEADLINE = 60.0


async def _add(store: Store) -> int:
    async with store.engine.begin() as conn:
        return await add_entry(conn, str(uuid.uuid4()), Kind.START, 1)


async def _deliver(store: Store, *ids: int) -> None:
    async with store.engine.begin() as conn:
        await outbox.done(conn, ids)


async def test_a_delivery_is_heard_by_all_who_wait(store: Store, database_url: str) -> None:
    async with DeliveredListener(database_url) as listener:
        assert await listener.ready(DEADLINE)
        first, second, never = await _add(store), await _add(store), await _add(store)
        waiters = [listener.expect(first), listener.expect(first), listener.expect(second)]
        await _deliver(store, first, second)
        assert await asyncio.gather(*(waiter.wait(DEADLINE) for waiter in waiters)) == [True] * 3
        assert not await listener.expect(never).wait(0.01)


async def test_nobody_waits_for_what_is_forgotten(database_url: str, store: Store) -> None:
    async with DeliveredListener(database_url) as listener:
        assert await listener.ready(DEADLINE)
        listener.expect(1)
        gc.collect()
        assert len(listener._waiters) == 0
        entry = await _add(store)
        kept = listener.expect(entry)
        await _deliver(store, 1, entry)
        assert await kept.wait(DEADLINE)


async def test_without_postgres_there_is_no_answer(unused_tcp_port: int) -> None:
    async with DeliveredListener(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/none") as listener:
        assert not await listener.expect(1).wait(0.05)
        assert not await listener.ready(0.05)


async def test_it_listens_again_after_a_cut(
    store: Store, database_url: str, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {} AND application_name = {}")
    async with DeliveredListener(database_url) as listener:
        assert await listener.ready(DEADLINE)
        database = sql.Literal(store.engine.url.database)
        ceased = asyncio.Event()
        monkeypatch.setattr("relay.notices.log.warning", lambda *words: ceased.set())
        postgres.run(cut.format(database, sql.Literal(f"tend {outbox.DELIVERED}")))
        async with asyncio.timeout(DEADLINE):
            await ceased.wait()
        assert await listener.ready(DEADLINE)
        entry = await _add(store)
        waiter = listener.expect(entry)
        await _deliver(store, entry)
        assert await waiter.wait(DEADLINE)
