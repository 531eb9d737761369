"""Lists wait their turn in the outbox for as long as it takes, and are no fault; what fails to be delivered is one."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from config.settings import Settings
from domain.priority import Priority
from domain.sweep import Missed
from relay.relay import Relay
from relay.sweep import Bounds
from stack import doctor
from stack.verdicts import Line, Verdict
from store.outbox import Entry
from tests.relay.conftest import Clinic, by_kind

GRACE = Bounds(grace=timedelta(minutes=1))


class Away:
    """A Temporal that takes nothing."""

    async def hand_over(self, entry: Entry) -> None:
        raise ConnectionError


async def waiting(clinic: Clinic, priority: Priority, count: int = 12) -> None:
    """So many entries that have waited for an hour."""
    for _ in range(count):
        await clinic.take_in()
    await change(clinic, f"priority = {priority.value}, created_at = now() - interval '1 hour'")


async def change(clinic: Clinic, to: str) -> None:
    async with clinic.store.engine.begin() as conn:
        await conn.execute(text(f"UPDATE outbox SET {to}"))


async def found(clinic: Clinic) -> dict[Missed, tuple[int, int]]:
    return by_kind((await clinic.sweep(GRACE).sweep(repair=False)).tallies)


async def told(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, workers: int = 1) -> Line:
    """The doctor's line, with so many workers at work."""

    async def at_work(*_: object) -> int:
        return workers

    monkeypatch.setattr(doctor, "workers_at", at_work)
    tools: Any = SimpleNamespace(engine=clinic.store.engine, client=clinic.temporal)
    return await doctor._outbox(Settings(_env_file=None), tools)


async def fails(clinic: Clinic) -> None:
    """Relays are at it for a moment, and nothing is taken."""
    stop = asyncio.Event()
    relay = asyncio.create_task(Relay(clinic.store.engine, Away()).run(stop))

    async def tried() -> bool:
        async with clinic.store.engine.connect() as conn:
            return bool(await conn.scalar(text("SELECT count(*) FROM outbox WHERE attempts > 0")))

    await clinic.until(tried, "a delivery fails")
    stop.set()
    await relay


@pytest.mark.parametrize("priority", [Priority.IMPORTED, Priority.ANEW])
async def test_what_only_waits_for_its_turn_is_no_fault(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, priority: Priority
) -> None:
    await waiting(clinic, priority)
    assert await found(clinic) == {}
    line = await told(clinic, monkeypatch)
    assert (line.verdict, line.found) == (Verdict.OK, "12 entries wait")


async def test_an_outage_during_an_import_is_seen(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await waiting(clinic, Priority.IMPORTED)
    await fails(clinic)
    (tally,) = [t for t in (await clinic.sweep(GRACE).sweep()).tallies if t.found]
    assert tally.kind is Missed.UNHEARD
    assert tally.oldest > timedelta(minutes=59)
    line = await told(clinic, monkeypatch)
    assert line.verdict is Verdict.WRONG
    assert "the oldest for 60 min" in line.found or "the oldest for 1 h" in line.found


async def test_what_was_put_off_is_seen(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await waiting(clinic, Priority.IMPORTED, 1)
    await change(clinic, "not_before = now() + interval '1 day'")
    assert await found(clinic) == {Missed.UNHEARD: (1, 0)}
    assert (await told(clinic, monkeypatch)).verdict is Verdict.WRONG


async def test_somebody_who_has_just_asked_and_waits_is_seen_behind_any_import(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(clinic, Priority.IMPORTED)
    lead = await clinic.take_in()
    async with clinic.store.engine.begin() as conn:
        late = text("UPDATE outbox SET created_at = now() - interval '2 minutes' WHERE lead_id = :lead")
        await conn.execute(late, {"lead": lead})
    assert await found(clinic) == {Missed.UNHEARD: (1, 0)}
    assert (await told(clinic, monkeypatch)).found == "1 entries wait, the oldest for 2 min"


async def test_where_no_worker_is_at_work_nobody_delivers_lists_either(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(clinic, Priority.IMPORTED)
    assert (await told(clinic, monkeypatch, workers=0)).verdict is Verdict.WRONG
