"""A fact that a later release wrote: its lead waits for workers of that release, and nothing is done by this one."""

import asyncio

import pytest
from sqlalchemy import update

from domain import stored_fact
from domain.errors import NewerFact, TendError
from domain.fact_versions import FactVersions, Step, as_it_is
from domain.facts import Noted
from store import tables
from store.engine import Store
from tests.workflows.held import LONGEST
from tests.workflows.world import COORDINATOR, World, open_world
from wire.keyring import KeyRing

LATER = FactVersions({"note": (Step("0.7.0", as_it_is),)})


async def noted_by_a_later_release(world: World, lead: str) -> None:
    await world.commands.note(COORDINATOR, lead, "hello")
    table = tables.facts
    later = update(table).where(table.c.lead_id == lead, table.c.kind == "note").values(version=2, release="0.7.0")
    async with world.store.engine.begin() as conn:
        await conn.execute(later)


async def refused(world: World, lead: str, by: type[TendError] = NewerFact) -> None:
    """Waits (real time) until a plan or a touch was tried, and is to be tried again."""
    async with asyncio.timeout(LONGEST):
        while True:
            pending = (await world.handle(lead).describe()).raw_description.pending_activities
            if pending and pending[0].last_failure.application_failure_info.type == by.__name__:
                return
            await asyncio.sleep(0.02)


async def test_it_is_refused_until_a_release_that_reads_it_runs(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(store, keyring) as world:
        lead = await world.inquire()
        await noted_by_a_later_release(world, lead)
        with pytest.raises(NewerFact, match=r"kind note, version 2, .* run release 0\.7\.0 or a later one"):
            await world.state(lead)
        with pytest.raises(NewerFact):
            await world.commands.pause(COORDINATOR, lead, "asked to wait", None)
        await world.deliver()
        await refused(world, lead)
        assert world.watched.asked == []
        assert world.sent("sms") == []
        monkeypatch.setattr(stored_fact, "VERSIONS", LATER)
        async with world.env.time_skipping_unlocked():
            await world.until(lead, lambda s: bool(world.sent("sms")), "the first text")
        async with store.engine.connect() as conn:
            read = await world.leads.records(conn, lead)
        assert [r.fact for r in read if isinstance(r.fact, Noted)] == [Noted(text="hello")]


async def test_every_fact_is_stored_with_its_version(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(store, keyring, working=False) as world:
        lead = await world.inquire()
        monkeypatch.setattr(stored_fact, "VERSIONS", LATER)
        await world.commands.note(COORDINATOR, lead, "hello")
        table = tables.facts
        async with store.engine.connect() as conn:
            rows = (await conn.execute(table.select().where(table.c.lead_id == lead).order_by(table.c.no))).mappings()
            found = [(row["kind"], row["version"], row["release"]) for row in rows]
        assert found == [("inquired", 1, None), ("enrolled", 1, None), ("note", 2, "0.7.0")]
