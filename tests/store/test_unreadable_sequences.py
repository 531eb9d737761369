"""A published version that this release cannot read, for a later one wrote it: its own leads wait, and nobody else."""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

import store.sequences
from content.library import load_sequences, parse_content
from content.templates import load_templates
from domain import facts as f
from domain.clock import Clock, Pace, virtual_clock
from domain.errors import NotFound, UnreadableSequence
from domain.ledger import View
from domain.next_action import Touch
from stack.database import Tools
from stack.doctor import _sequences
from stack.publishing import CONFIG
from stack.verdicts import Verdict
from store.engine import Store
from store.sequences import SequenceBook, publish
from store.states import States
from store.tables import sequence_versions
from tests.store.test_publishing import changed, published
from tests.store.test_rules import Clinic
from tests.store.test_rules import clinic as clinic  # noqa: PLC0414 - the fixture
from tests.store.test_stops_and_locks import wrote
from tests.store.test_stops_of_newer_leads import owed
from worker import open_book

KEY = "consultation"


def clock() -> Clock:
    return virtual_clock(datetime.now(UTC), datetime.now(UTC), [Pace(1.0, None)])


async def versions(store: Store, key: str = KEY) -> list[int]:
    async with store.engine.connect() as conn:
        query = select(sequence_versions.c.version).where(sequence_versions.c.key == key)
        return list(await conn.scalars(query.order_by(sequence_versions.c.version)))


async def spoil(store: Store, *which: int) -> None:
    """A step of it says something that this release does not know."""
    table = sequence_versions
    async with store.engine.begin() as conn:
        for version in which:
            this = (table.c.key == KEY, table.c.version == version)
            content = json.loads(json.dumps(await conn.scalar(select(table.c.content).where(*this))))
            content["sequence"]["steps"][0]["if_later"] = "hold"
            await conn.execute(update(table).where(*this).values(content=content))


async def empty(store: Store, version: int, key: str = KEY) -> None:
    """Of a shape that nobody has thought of."""
    table = sequence_versions
    async with store.engine.begin() as conn:
        await conn.execute(update(table).where(table.c.key == key, table.c.version == version).values(content={}))


async def anew(clinic: Clinic) -> Clinic:
    """As in a worker that starts now."""
    book = await open_book(clinic.store, clock())
    leads = replace(clinic.leads, book=book, states=States())
    ledger = replace(clinic.ledger, leads=leads, composer=replace(clinic.ledger.composer, book=book))
    return Clinic(clinic.store, leads, ledger)


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_a_worker_starts_beside_it_with_all_others(clinic: Clinic, bad: int) -> None:
    store = clinic.store
    await published(store, changed("Second"))
    await published(store, changed("Third"))
    await spoil(store, bad)
    book = await open_book(store, clock())
    assert book.keys() == clinic.leads.book.keys()
    for version in {1, 2, 3} - {bad}:
        assert book.get(KEY, version).version == version
    assert book.latest(KEY).version == (2 if bad == 3 else 3), "new leads get the newest that can be read"
    assert not book.knows(KEY, bad)
    assert list(book.unreadable()) == [(KEY, bad)]
    with pytest.raises(UnreadableSequence, match=f"version {bad} of sequence {KEY} .*if_later.*run the release that"):
        book.get(KEY, bad)
    with pytest.raises(NotFound):
        book.get(KEY, 4)
    with pytest.raises(NotFound, match="there are"):
        book.latest("nowhere")


async def test_whatever_its_text_makes_our_parser_fail_with(clinic: Clinic) -> None:
    await published(clinic.store, changed("Second"))
    await empty(clinic.store, 2)
    book = await open_book(clinic.store, clock())
    assert book.latest(KEY).version == 1
    with pytest.raises(UnreadableSequence, match="KeyError"):
        book.get(KEY, 2)


async def test_a_sequence_of_which_none_can_be_read_is_not_one_that_there_is_not(clinic: Clinic) -> None:
    await published(clinic.store, changed("Second"))
    await spoil(clinic.store, 1, 2)
    book = await open_book(clinic.store, clock())
    with pytest.raises(UnreadableSequence, match="version 2"):
        book.latest(KEY)
    assert sorted(book.keys()) == ["booked", "recovery"]


async def test_it_is_tried_once_by_a_book_that_is_refreshed_again(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def parse(content: dict[str, object], version: int) -> object:
        tried.append(version)
        return parse_content(content, version)

    await published(clinic.store, changed("Second"))
    await spoil(clinic.store, 2)
    book = clinic.leads.book
    monkeypatch.setattr(store.sequences, "parse_content", parse)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await book.refresh()
    assert tried == [2]
    assert len([r for r in caplog.records if "version 2 of sequence consultation" in r.message]) == 1
    await published(clinic.store, changed("Third"), again=True)
    await book.refresh()
    assert (tried, book.latest(KEY).version) == ([2, 3], 3)


async def test_its_lead_waits_and_that_of_another_version_goes_on(clinic: Clinic) -> None:
    before = await clinic.inquire()
    await published(clinic.store, changed("Second"))
    await clinic.leads.book.refresh()
    hidden = await clinic.inquire(phone="+12125550102", email="ben@example.com")
    await spoil(clinic.store, 2)
    old = await anew(clinic)
    with pytest.raises(UnreadableSequence):
        await old.ledger.plan(hidden, datetime.now(UTC))
    view = await old.ledger.plan(before, datetime.now(UTC))
    assert isinstance(view, View)
    assert isinstance(view.action, Touch)
    assert (await old.state(await old.inquire(phone="+12125550103", email=None))).enrollment.version == 1  # type: ignore[union-attr]


async def test_a_relatives_text_is_kept_with_who_can_be_told(clinic: Clinic) -> None:
    """The other opens, but what its reply brings about needs the sequence."""
    before = await clinic.inquire(email=None)
    await published(clinic.store, changed("Second"))
    await clinic.leads.book.refresh()
    hidden = await clinic.inquire("Ben", email=None)
    await spoil(clinic.store, 2)
    old = await anew(clinic)
    assert await old.inbound.reply(wrote(1, "Please call me"))
    state = await old.state(before)
    assert state.rest is not None and [t.candidates for t in state.tasks.values()] == [(before, hidden)]
    assert await owed(old, hidden)


async def test_who_asks_to_be_left_alone_is(clinic: Clinic) -> None:
    await published(clinic.store, changed("Second"))
    await clinic.leads.book.refresh()
    lead = await clinic.inquire()
    await spoil(clinic.store, 2)
    old = await anew(clinic)
    assert await old.inbound.reply(wrote(1, "STOP"))
    assert await old.causes() == {"sms": "opt_out", "voice": "opt_out"}
    assert await owed(old, lead)
    async with clinic.leads.lead(lead) as unit:  # by the release that can read it
        assert unit.state.exit_reason is f.ExitReason.OPTED_OUT
    assert not await owed(clinic, lead)


async def test_a_worker_of_an_older_build_puts_nothing_in_force_over_a_later_ones(clinic: Clinic) -> None:
    """Neither a text of its own that was in force before, nor one that was never there."""
    await published(clinic.store, changed("Newer"))
    await spoil(clinic.store, 2)
    await open_book(clinic.store, clock())
    assert await versions(clinic.store) == [1, 2]
    assert await published(clinic.store, changed("Never seen")) == []
    assert await versions(clinic.store) == [1, 2]
    shipped = load_sequences(CONFIG / "sequences", load_templates(CONFIG / "templates"))
    assert await publish(clinic.store.engine, shipped, datetime.now(UTC), again=True) == [(KEY, 3)], "by `tend migrate`"
    assert (await open_book(clinic.store, clock())).latest(KEY).version == 3


async def test_doctor_names_it_and_is_content_where_no_lead_is_on_it(clinic: Clinic) -> None:
    await published(clinic.store, changed("Second"))
    await clinic.leads.book.refresh()

    async def said() -> tuple[Verdict, str]:
        book = SequenceBook(clinic.store)
        await book.refresh()
        line = await _sequences(Tools(replace(clinic.leads, book=book), clock(), None))  # type: ignore[arg-type]
        return line.verdict, line.found

    assert await said() == (Verdict.OK, "all versions can be read")
    await spoil(clinic.store, 2)
    verdict, found = await said()
    assert verdict is Verdict.OK
    assert "consultation version 2 cannot be read" in found
    assert "if_later" in found
    await clinic.inquire()
    verdict, found = await said()
    assert verdict is Verdict.WRONG
    assert found.endswith("1 leads wait")
