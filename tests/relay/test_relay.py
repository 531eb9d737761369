"""The relay: everything once Temporal takes it, in order, whoever was away meanwhile."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy import func, insert, select

from domain.priority import Priority
from relay import relay as module
from relay.relay import Relay
from store import outbox
from store.engine import Store
from store.outbox import Kind
from store.tables import outbox as table
from tests.store.entries import add_entry

DEADLINE = 60.0


class Recorder:
    """Stands where Temporal is: takes, refuses or hangs as told, and lets a test wait for what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, int]] = []
        self.attempts: Counter[tuple[str, str, int]] = Counter()
        self.trouble: Callable[[tuple[str, str, int], int], Any] = lambda entry, attempt: None
        self._changed = asyncio.Condition()

    async def hand_over(self, entry: outbox.Entry) -> None:
        await self._take((entry.lead_id, entry.signal or "start", entry.fact_no if entry.signal else 0))

    async def _take(self, entry: tuple[str, str, int]) -> None:
        self.attempts[entry] += 1
        async with self._changed:
            self._changed.notify_all()
        trouble = self.trouble(entry, self.attempts[entry])
        if trouble is not None:
            await trouble
        async with self._changed:
            self.taken.append(entry)
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(condition)


async def _refuse() -> None:
    raise ConnectionError("not now")


async def _hang() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def running(store: Store, *recorders: Recorder, imports_per_second: float = 20.0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(Relay(store.engine, recorder, imports_per_second=imports_per_second).run(stop))
        for recorder in recorders
    ]
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*tasks)


async def add(store: Store, *entries: tuple[str, str | None, int]) -> None:
    async with store.engine.begin() as conn:
        for lead, signal, no in entries:
            await add_entry(conn, lead, Kind.SIGNAL if signal else Kind.START, no, signal)


async def left(store: Store) -> int:
    async with store.engine.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(table)) or 0)


def leads(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


async def test_what_waited_is_delivered_in_each_leads_order(store: Store) -> None:
    some = leads(25)
    for no, signal in enumerate((None, "lead_replied", "staff_acted"), 1):
        await add(store, *((lead, signal, no) for lead in some))
    recorder = Recorder()
    async with running(store, recorder):
        await recorder.until(lambda: len(recorder.taken) == 75)
    for lead in some:
        mine = [entry[1:] for entry in recorder.taken if entry[0] == lead]
        assert mine == [("start", 0), ("lead_replied", 2), ("staff_acted", 3)]
    assert await left(store) == 0


async def test_a_notice_wakes_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 24 * 3600.0)
    recorder = Recorder()
    async with running(store, recorder):
        for no in range(1, 6):  # each after the last was delivered and the relay went back to wait
            await add(store, (leads(1)[0], "lead_replied", no))
            await recorder.until(lambda no=no: len(recorder.taken) == no)  # type: ignore[misc]


async def test_a_lost_notice_is_made_good_by_polling(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.05)
    recorder = Recorder()
    async with running(store, recorder):
        await add(store, (leads(1)[0], None, 1))
        await recorder.until(lambda: len(recorder.taken) == 1)
        async with store.engine.begin() as conn:  # past `add`, so without a notice
            await conn.execute(insert(table).values(lead_id=leads(1)[0], kind="start", fact_no=1))
        await recorder.until(lambda: len(recorder.taken) == 2)


async def test_a_refused_entry_is_tried_again_and_its_successors_wait(store: Store) -> None:
    lead, other = leads(2)
    await add(store, (lead, None, 1), (lead, "lead_replied", 2), (other, None, 1))
    recorder = Recorder()
    recorder.trouble = lambda entry, attempt: _refuse() if entry == (lead, "start", 0) and attempt < 3 else None
    async with running(store, recorder):
        await recorder.until(lambda: len(recorder.taken) == 3)
    assert recorder.taken == [(other, "start", 0), (lead, "start", 0), (lead, "lead_replied", 2)]
    assert recorder.attempts[(lead, "start", 0)] == 3


async def test_temporal_away_and_back(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    some = leads(30)
    away = True
    recorder = Recorder()
    recorder.trouble = lambda entry, attempt: _refuse() if away else None
    async with running(store, recorder):
        await add(store, *((lead, None, 1) for lead in some))
        await recorder.until(lambda: max(recorder.attempts.values(), default=0) >= 3)
        assert recorder.taken == []
        assert await left(store) == 30
        away = False
        await recorder.until(lambda: len(recorder.taken) == 30)
    assert await left(store) == 0
    assert "not delivered, failure" in caplog.text
    assert "not now" not in caplog.text


async def test_a_hanging_delivery_is_given_up_and_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELIVERY_LIMIT", 0.5)
    lead = leads(1)[0]
    recorder = Recorder()
    recorder.trouble = lambda entry, attempt: _hang() if attempt == 1 else None
    async with running(store, recorder):
        await add(store, (lead, None, 1))
        await recorder.until(lambda: recorder.taken == [(lead, "start", 0)])
    assert recorder.attempts[(lead, "start", 0)] >= 2


async def test_a_slow_delivery_holds_up_no_other_lead(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELIVERY_LIMIT", 3600.0)
    slow, *others = leads(5)
    recorder = Recorder()
    release = asyncio.Event()
    recorder.trouble = lambda entry, attempt: release.wait() if entry[0] == slow else None
    async with running(store, recorder):
        await add(store, (slow, None, 1))
        await recorder.until(lambda: recorder.attempts[(slow, "start", 0)] == 1)
        await add(store, *((lead, None, 1) for lead in others))
        await recorder.until(lambda: len(recorder.taken) == 4)
        release.set()
        await recorder.until(lambda: len(recorder.taken) == 5)
    assert recorder.taken[-1] == (slow, "start", 0)


async def test_many_relays_deliver_each_entry_once(store: Store) -> None:
    some = leads(60)
    await add(store, *((lead, None, 1) for lead in some))
    first, second = Recorder(), Recorder()
    second.taken = first.taken  # one book, so that either's news show in both
    second._changed = first._changed
    async with running(store, first, second):
        await add(store, *((lead, "lead_replied", 2) for lead in some))
        await first.until(lambda: len(first.taken) == 120)
    assert set(Counter(first.taken).values()) == {1}
    for lead in some:
        assert first.taken.index((lead, "start", 0)) < first.taken.index((lead, "lead_replied", 2))


async def test_stopping_finishes_what_is_under_way(store: Store) -> None:
    recorder = Recorder()
    release = asyncio.Event()
    recorder.trouble = lambda entry, attempt: release.wait()
    stop = asyncio.Event()
    task = asyncio.create_task(Relay(store.engine, recorder).run(stop))
    lead = leads(1)[0]
    await add(store, (lead, None, 1))
    await recorder.until(lambda: recorder.attempts[(lead, "start", 0)] == 1)
    stop.set()
    release.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert recorder.taken == [(lead, "start", 0)]
    assert await left(store) == 0


class Heard(logging.Handler):
    """Sets an event once both the lanes and the listener have said that Postgres is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.both = asyncio.Event()
        self._names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self._names.add(record.name)
        if self._names >= {"relay.relay", "relay.notices"}:
            self.both.set()


async def test_postgres_away_and_back(store: Store, postgres: Any) -> None:
    database = sql.Identifier(str(store.engine.url.database))
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    cut = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}")
    recorder, heard = Recorder(), Heard()
    logger = logging.getLogger("relay")
    logger.addHandler(heard)
    try:
        async with running(store, recorder):
            await add(store, (leads(1)[0], None, 1))
            await recorder.until(lambda: len(recorder.taken) == 1)  # may come again, if the cut comes before its commit
            postgres.run(allow.format(database, sql.SQL("false")), cut.format(sql.Literal(store.engine.url.database)))
            async with asyncio.timeout(DEADLINE):
                await heard.both.wait()
            postgres.run(allow.format(database, sql.SQL("true")))
            late = leads(1)[0]
            await add(store, (late, None, 1))
            await recorder.until(lambda: (late, "start", 0) in recorder.taken)
    finally:
        logger.removeHandler(heard)


async def test_however_long_a_list_is_who_has_just_asked_waits_for_nothing_of_it(store: Store) -> None:
    """The list's deliveries hang: one lane is full of them for as long as a delivery may last."""
    listed, asks = leads(40), leads(1)[0]
    async with store.engine.begin() as conn:
        for lead in listed:
            await add_entry(conn, lead, Kind.START, 1, priority=Priority.IMPORTED)
    recorder = Recorder()
    recorder.trouble = lambda entry, _: _hang() if entry[0] != asks else None
    async with running(store, recorder):
        await recorder.until(lambda: bool(recorder.attempts))
        await add(store, (asks, None, 1))
        await recorder.until(lambda: [entry[0] for entry in recorder.taken] == [asks])
        assert len(recorder.attempts) <= 11, "one batch of the list"


async def test_a_list_goes_at_its_own_pace(store: Store) -> None:
    async with store.engine.begin() as conn:
        for lead in leads(12):
            await add_entry(conn, lead, Kind.START, 1, priority=Priority.IMPORTED)
    recorder = Recorder()
    async with running(store, recorder, imports_per_second=0.001):
        await recorder.until(lambda: len(recorder.taken) == 10)
        await add(store, *((lead, None, 1) for lead in leads(30)))
        await recorder.until(lambda: len(recorder.taken) == 40)
    assert await left(store) == 2
