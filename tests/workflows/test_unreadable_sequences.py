"""A lead on a sequence version that this release cannot read waits for workers of one that can."""

from datetime import UTC, datetime

from sqlalchemy import select, update

from domain.errors import UnreadableSequence
from store.engine import Store
from store.sequences import publish
from store.tables import sequence_versions
from tests.store.test_publishing import changed
from tests.store.test_unreadable_sequences import KEY, spoil
from tests.workflows.test_newer_facts import refused
from tests.workflows.world import World, open_world
from wire.keyring import KeyRing


async def as_if_started_now(world: World) -> None:
    book = world.leads.book
    book.__init__(world.store)  # type: ignore[misc]
    await book.refresh()


async def test_it_is_refused_until_a_release_that_reads_it_runs(store: Store, keyring: KeyRing) -> None:
    table = sequence_versions
    async with open_world(store, keyring) as world:
        await publish(store.engine, [changed("Second")], datetime.now(UTC))
        await world.leads.book.refresh()
        lead = await world.inquire()
        this = (table.c.key == KEY, table.c.version == 2)
        async with store.engine.connect() as conn:
            content = await conn.scalar(select(table.c.content).where(*this))
        await spoil(store, 2)
        await as_if_started_now(world)
        await world.deliver()
        await refused(world, lead, UnreadableSequence)
        assert world.sent("sms") == []
        async with store.engine.begin() as conn:
            await conn.execute(update(table).where(*this).values(content=content))
        await as_if_started_now(world)
        async with world.env.time_skipping_unlocked():
            await world.until(lead, lambda s: bool(world.sent("sms")), "the first text")
