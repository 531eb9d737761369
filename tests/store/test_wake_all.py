"""Everybody is woken at once: however many they are, in nobody's way, and who has just asked before all others."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import select, update

from domain.next_action import OpenTask
from domain.priority import Priority, of_work
from stack.publishing import reckon_anew
from store import outbox, tables
from tests.store.test_rules import DESK, Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture

SHORT = 0.3  # real seconds that a statement, and a transaction, of this engine may take
# Each wake waits for whoever holds this lock: as if there were very many.
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.priority = 4) EXECUTE FUNCTION slow();
"""


async def grown_old(clinic: Clinic, *leads: str, by: timedelta) -> None:
    """They asked so much earlier."""
    async with clinic.store.engine.begin() as conn:
        for lead in leads:
            table = tables.sources
            await conn.execute(update(table).where(table.c.lead_id == lead).values(at=table.c.at - by))


async def forget(clinic: Clinic) -> None:
    async with clinic.store.engine.begin() as conn:
        await conn.execute(tables.outbox.delete())


async def priorities(clinic: Clinic) -> dict[str, Priority]:
    async with clinic.store.engine.connect() as conn:
        rows = await conn.execute(
            select(tables.outbox.c.lead_id, tables.outbox.c.priority).order_by(tables.outbox.c.id)
        )
        return {str(lead): Priority(priority) for lead, priority in rows}


async def test_it_takes_longer_than_a_statement_may_and_nobody_waits_for_it(clinic: Clinic, database_url: str) -> None:
    lead, other = await clinic.inquire(), await clinic.inquire("Ben", phone="+12125550102", email=None)
    await grown_old(clinic, lead, other, by=timedelta(days=3))
    await forget(clinic)
    limits = f"-c%20statement_timeout%3D{SHORT}s%20-c%20transaction_timeout%3D{2 * SHORT}s"
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await conn.execute(SLOW)
        await conn.commit()
        await conn.execute("SELECT pg_advisory_xact_lock(4711)")
        waking = asyncio.create_task(reckon_anew(f"{database_url}&options={limits}", clinic.leads.now()))
        await asyncio.wait({waking}, timeout=4 * SHORT)
        assert not waking.done()
        async with asyncio.timeout(8):  # less than a callback may take
            await clinic.commands.note(DESK, lead, "somebody called")
            await clinic.inquire("Cid", phone="+12125550103", email=None)
        assert not waking.done()
    await asyncio.wait_for(waking, 60)
    woken = await priorities(clinic)
    assert {lead: woken[lead], other: woken[other]} == dict.fromkeys((lead, other), Priority.ANEW)


async def test_who_has_just_asked_is_woken_before_all_others(clinic: Clinic, database_url: str) -> None:
    sleeper = await clinic.inquire()
    hour_old = await clinic.inquire("Ben", phone="+12125550102", email=None)
    again = await clinic.inquire("Cid", phone="+12125550103", email=None)
    listed = await clinic.inquire("Dan", phone="+12125550104", email=None, source={"channel": "csv"})
    await grown_old(clinic, sleeper, again, by=timedelta(days=3))
    await grown_old(clinic, hour_old, by=timedelta(minutes=61))
    assert await clinic.inquire("Cid", phone="+12125550103", email=None) == again
    new = await clinic.inquire("Eve", phone="+12125550105", email=None)
    await grown_old(clinic, new, by=timedelta(minutes=55))
    await forget(clinic)
    await reckon_anew(database_url, clinic.leads.now())
    expected = dict.fromkeys((again, new), Priority.INQUIRY) | dict.fromkeys((sleeper, hour_old, listed), Priority.ANEW)
    assert await priorities(clinic) == expected
    assert list(await priorities(clinic)) == [new, listed, again, hour_old, sleeper], "sorted, so read before written"
    async with clinic.store.engine.begin() as conn:
        assert {entry.lead_id for entry in await outbox.take(conn, 2)} == {again, new}
        assert await outbox.who_just_asked(conn, clinic.leads.now()) == sorted((again, new))


@pytest.mark.parametrize("minutes", [59, 60, 61])
@pytest.mark.parametrize("first", ["web_form", "csv"])
@pytest.mark.parametrize("then", ["phone", "partner", None])
async def test_who_has_just_asked_is_what_the_domain_says_it_is(
    clinic: Clinic, first: str, then: str | None, minutes: int
) -> None:
    lead = await clinic.inquire(source={"channel": first})
    if then is not None:
        assert await clinic.inquire(source={"channel": then}) == lead
    state, now = await clinic.state(lead), clinic.leads.now() + timedelta(minutes=minutes)
    first_of_all = of_work(state, OpenTask(1, "call1", "call"), now) is Priority.INQUIRY
    async with clinic.store.engine.begin() as conn:
        assert await outbox.who_just_asked(conn, now) == ([lead] if first_of_all else [])


@pytest.mark.parametrize(("said", "priority"), [(False, Priority.ANEW), (True, Priority.INQUIRY)])
async def test_those_named_go_behind_others_unless_a_time_is_said(
    clinic: Clinic, said: bool, priority: Priority
) -> None:
    lead = await clinic.inquire()
    await forget(clinic)
    async with clinic.store.engine.begin() as conn:
        assert await outbox.wake(conn, [lead], "staff_acted", clinic.leads.now() if said else None) == {lead}
    assert await priorities(clinic) == {lead: priority}
