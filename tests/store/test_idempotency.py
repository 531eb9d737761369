"""One key, one answer: repeated, at once, after a failure."""

import asyncio
from contextlib import suppress
from hashlib import sha256

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from store.engine import AWAY, Store
from store.idempotency import IdempotencyMismatch, Replay, begin, finish
from store.tables import idempotency

BODY = sha256(b"one body").digest()
ANSWER = {"lead_id": "made once", "note": "Ada Example"}


async def _post(store: Store, actor: str = "desk", key: str = "k1", body: bytes = BODY) -> Replay | None:
    async with store.engine.begin() as conn:
        replay = await begin(conn, store.vault, actor, key, body)
        if replay is None:
            await finish(conn, store.vault, actor, key, 202, ANSWER)
        return replay


async def test_a_repeat_gets_the_first_answer(store: Store) -> None:
    assert await _post(store) is None
    assert await _post(store) == Replay(202, ANSWER)
    assert "Ada" not in repr(await _post(store))


async def test_keys_are_each_actors_own(store: Store) -> None:
    assert await _post(store) is None
    assert await _post(store, actor="web") is None
    assert await _post(store, key="k2") is None


async def test_another_body_is_refused(store: Store) -> None:
    assert await _post(store) is None
    with pytest.raises(IdempotencyMismatch, match="use a new key"):
        await _post(store, body=sha256(b"another").digest())


async def test_the_answer_is_sealed(store: Store) -> None:
    await _post(store)
    async with store.engine.connect() as conn:
        answer = (await conn.execute(select(idempotency.c.answer))).scalar_one()
    assert b"Ada" not in bytes(answer)


async def _somebody_waits(conn: AsyncConnection) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30):
        while not await conn.scalar(waiting):
            pass


async def test_the_second_of_two_at_once_waits_for_the_answer(store: Store) -> None:
    async with store.engine.connect() as watch:
        async with store.engine.begin() as conn:
            assert await begin(conn, store.vault, "desk", "k1", BODY) is None
            second = asyncio.create_task(_post(store))
            await _somebody_waits(watch)
            await finish(conn, store.vault, "desk", "k1", 202, ANSWER)
        assert await second == Replay(202, ANSWER)


async def test_the_second_of_two_at_once_goes_on_where_the_first_failed(store: Store) -> None:
    async with store.engine.connect() as watch:
        conn = await store.engine.connect()
        assert await begin(conn, store.vault, "desk", "k1", BODY) is None
        second = asyncio.create_task(_post(store))
        await _somebody_waits(watch)
        await conn.rollback()
        await conn.close()
        assert await second is None
    assert await _post(store) == Replay(202, ANSWER)


async def test_a_key_whose_holder_froze_is_anothers(store: Store) -> None:
    async with store.engine.connect() as frozen:
        assert await begin(frozen, store.vault, "desk", "k1", BODY) is None
        async with asyncio.timeout(60):
            while True:
                with suppress(*AWAY):  # it waited as long as a statement may: whoever asked asks again
                    assert await _post(store) is None
                    break
        with pytest.raises(AWAY):
            await finish(frozen, store.vault, "desk", "k1", 202, ANSWER)
        await frozen.invalidate()
