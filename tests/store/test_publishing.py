"""Publishing sequences: what is new becomes the next version, and nothing that was published ever changes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from content.library import PinnedSequence, load_sequences
from content.templates import load_templates
from store.engine import Store, make_engine
from store.sequences import SequenceBook, publish
from store.states import States
from store.tables import sequence_versions
from tests.store.test_rules import Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = load_sequences(CONFIG / "sequences", load_templates(CONFIG / "templates"))
(ONE,) = (p for p in SHIPPED if p.sequence.key == "consultation")


def changed(title: str) -> PinnedSequence:
    content = json.loads(json.dumps(ONE.content).replace(ONE.sequence.title, title))
    assert content != ONE.content
    return replace(ONE, content=content, content_hash=f"hash of {title}")


async def rows(store: Store) -> dict[int, tuple[str, object]]:
    async with store.engine.connect() as conn:
        table = sequence_versions
        found = await conn.execute(select(table.c.version, table.c.content_hash, table.c.content))
        return {version: (digest, content) for version, digest, content in found}


async def published(store: Store, one: PinnedSequence, *, again: bool = False) -> list[tuple[str, int]]:
    return await publish(store.engine, [one], datetime.now(UTC), again=again)


async def test_the_same_text_is_published_once(store: Store) -> None:
    assert await published(store, ONE) == [("consultation", 1)]
    assert await published(store, ONE) == await published(store, ONE, again=True) == []


async def test_a_worker_with_older_files_puts_none_of_its_own_in_force(store: Store) -> None:
    await published(store, ONE)
    assert await published(store, changed("Newer")) == [("consultation", 2)]
    assert await published(store, ONE) == []
    book = SequenceBook(store)
    await book.refresh()
    assert book.latest("consultation").version == 2


@pytest.mark.parametrize("times", [1, 2])
async def test_a_change_can_be_taken_back_with_a_deployment_and_no_version_changes(store: Store, times: int) -> None:
    await published(store, ONE)
    version = 1
    for _ in range(times):
        before = await rows(store)
        for text in (changed("Newer"), ONE):
            version += 1
            assert await published(store, text, again=True) == [("consultation", version)]
        assert before.items() <= (await rows(store)).items()
    assert await published(store, ONE, again=True) == []


async def test_a_lead_of_a_version_that_is_new_is_read_by_who_holds_the_last_connection(
    clinic: Clinic, database_url: str
) -> None:
    lead = await clinic.inquire()
    engine = make_engine(database_url, pool_size=1)
    store = Store(engine, clinic.store.vault)
    async with replace(clinic.leads, store=store, book=SequenceBook(store), states=States()).lead(lead) as unit:
        assert unit.journal.sequence is not None
    await engine.dispose()
