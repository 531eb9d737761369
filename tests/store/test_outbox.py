"""The outbox: in order for each lead, held by one at a time, told at the commit."""

import uuid

import psycopg
import pytest
from sqlalchemy import select

from domain.priority import Priority
from store import outbox
from store.engine import Store, listen
from store.outbox import Kind
from store.tables import outbox as table
from tests.store.entries import add_entry

LEAD, OTHER = str(uuid.uuid4()), str(uuid.uuid4())


async def _add(store: Store, *rows: tuple[str, str | None]) -> list[int]:
    async with store.engine.begin() as conn:
        return [
            await add_entry(conn, lead, Kind.SIGNAL if signal else Kind.START, no, signal)
            for no, (lead, signal) in enumerate(rows, 1)
        ]


async def _notices(conn: psycopg.AsyncConnection[tuple[object, ...]], count: int) -> list[str]:
    return [notice.payload async for notice in conn.notifies(timeout=60, stop_after=count)]


async def test_the_oldest_of_each_lead_is_taken(store: Store) -> None:
    ids = await _add(store, (LEAD, None), (LEAD, "lead_replied"), (OTHER, "staff_acted"))
    async with store.engine.begin() as conn:
        first, other = await outbox.take(conn, 10)
        assert (first.id, first.lead_id, first.kind, first.signal, first.fact_no) == (ids[0], LEAD, Kind.START, None, 1)
        assert (other.id, other.kind, other.signal, other.fact_no) == (ids[2], Kind.SIGNAL, "staff_acted", 3)
        await outbox.done(conn, [first.id, other.id])
        assert [entry.id for entry in await outbox.take(conn, 10)] == [ids[1]]


async def test_who_has_just_asked_is_taken_before_lists_that_came_earlier(store: Store) -> None:
    leads = [str(uuid.uuid4()) for _ in range(4)]
    async with store.engine.begin() as conn:
        for lead in leads[:2]:
            await add_entry(conn, lead, Kind.START, 1, priority=Priority.IMPORTED)
        await add_entry(conn, leads[0], Kind.SIGNAL, 2, "lead_replied")
        for lead in leads[2:]:
            await add_entry(conn, lead, Kind.START, 1)
    async with store.engine.begin() as conn:
        # a reply goes with who waits, also of a lead whose start does not: it brings that start with it
        assert [e.lead_id for e in await outbox.take(conn, 10)] == [leads[0], *leads[2:], leads[1]]
    async with store.engine.begin() as conn:
        assert [e.lead_id for e in await outbox.take(conn, 10, Priority.CADENCE)] == [leads[0], *leads[2:]]


async def test_no_more_are_taken_than_asked_for(store: Store) -> None:
    ids = await _add(store, *((str(uuid.uuid4()), None) for _ in range(5)))
    async with store.engine.begin() as conn:
        assert [entry.id for entry in await outbox.take(conn, 3)] == ids[:3]


async def test_what_one_holds_nobody_else_takes_nor_what_comes_after_it(store: Store) -> None:
    ids = await _add(store, (LEAD, None), (LEAD, "lead_replied"), (OTHER, None))
    async with store.engine.begin() as first, store.engine.begin() as second:
        assert [entry.id for entry in await outbox.take(first, 1)] == ids[:1]
        assert [entry.id for entry in await outbox.take(second, 10)] == ids[2:]
        await outbox.done(first, ids[:1])
        assert await outbox.take(second, 10) == await outbox.take(second, 10)  # its own, again; not ids[1] yet
    async with store.engine.begin() as conn:
        assert [entry.id for entry in await outbox.take(conn, 10)] == ids[1:]


async def test_a_postponed_entry_rests_and_is_counted(store: Store) -> None:
    (entry_id,) = await _add(store, (LEAD, None))
    async with store.engine.begin() as conn:
        await outbox.postpone(conn, entry_id, 3600)
        assert await outbox.take(conn, 10) == []
        await outbox.postpone(conn, entry_id, 0)
        (entry,) = await outbox.take(conn, 10)
        assert entry.attempts == 2


async def test_notices_come_with_the_commit(store: Store) -> None:
    async with await listen(store.engine.url, outbox.WAKE) as ear:
        await _add(store, (LEAD, None))
        assert await _notices(ear, 1) == [""]
    ids = await _add(store, *((str(uuid.uuid4()), None) for _ in range(301)))
    async with await listen(store.engine.url, outbox.DELIVERED) as ear:
        async with store.engine.begin() as conn:
            await outbox.done(conn, ids)
        heard = await _notices(ear, 2)
    assert ",".join(heard) == ",".join(map(str, ids))
    assert max(map(len, heard)) < 8000


async def test_nothing_delivered_removes_nothing(store: Store) -> None:
    async with store.engine.begin() as conn:
        await add_entry(conn, LEAD, Kind.START, 1)
        await outbox.done(conn, [])
        assert (await conn.execute(select(table.c.id))).one()


@pytest.mark.parametrize(("kind", "signal"), [(Kind.START, "lead_replied"), (Kind.SIGNAL, None), ("wake", None)])
async def test_a_signal_has_a_name_and_a_start_has_none(store: Store, kind: str, signal: str | None) -> None:
    async with store.engine.begin() as conn:
        with pytest.raises(ValueError, match=r"a start has none|not a valid Kind"):
            await add_entry(conn, LEAD, kind, 1, signal)
