"""A sequence version that a later release published, met by an API that cannot read it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from api.sequences_ready import keep_fresh
from content.library import PinnedSequence
from store.engine import Store
from store.sequences import SequenceBook
from store.states import States
from tests.api.office import Office, inquiry, is_problem
from tests.store.test_publishing import SHIPPED, changed, published
from tests.store.test_unreadable_sequences import KEY, empty, spoil, versions


async def as_if_started_now(office: Office) -> None:
    book = office.services.leads.book
    book.__init__(office.services.store)  # type: ignore[misc]
    await book.refresh()
    office.services.leads.states = States()


async def test_its_lead_is_answered_503_and_all_others_as_ever(office: Office) -> None:
    store, book = office.services.store, office.services.leads.book
    before = await office.lead(phone="+12125550101", email="ben@example.com")
    await published(store, changed("Second"))
    await book.refresh()
    lead = await office.lead()
    task = await office.call(lead)
    await spoil(store, 2)
    await as_if_started_now(office)
    for method, path in (("GET", f"/v1/leads/{lead}/upcoming"), ("POST", f"/v1/leads/{lead}/notes")):
        answer = await office.ask(method, path, json={"text": "called"} if method == "POST" else None)
        told = is_problem(answer, 503)
        assert "version 2 of sequence consultation" in told["detail"]
        assert "run the release that published it" in told["detail"]
        assert answer.headers["Retry-After"] == "30"
    is_problem(await office.ask("POST", f"/v1/leads/{before}/enroll", json={"sequence": KEY, "version": 2}), 503)
    assert (await office.get(f"/v1/leads/{before}/upcoming"))["items"]
    assert (await office.get(f"/v1/leads/{lead}"))["sequence"]["version"] == 2
    assert task in {one["id"] for one in (await office.get("/v1/tasks"))["items"]}, "it hides nobody's tasks"
    new = await office.post("/v1/leads", inquiry(phone="+12125550103", email="cy@example.com"), 202)
    assert (new["sequence"], new["sequence_version"]) == (KEY, 1)
    await office.post(f"/v1/leads/{lead}/enroll", {"sequence": KEY, "version": 1})
    assert (await office.get(f"/v1/leads/{lead}/upcoming"))["items"], "a lead can be moved to one that can be read"


class Counted(SequenceBook):
    looked = 0

    async def refresh(self) -> None:
        await super().refresh()
        self.looked += 1


@asynccontextmanager
async def kept_fresh(book: SequenceBook, store: Store, shipped: list[PinnedSequence]) -> AsyncIterator[None]:
    """As in an API that runs; it still does at the end."""
    fresh = asyncio.create_task(keep_fresh(store, book, shipped, lambda: datetime.now(UTC)))
    try:
        yield
        assert not fresh.done()
    finally:
        fresh.cancel()
        await asyncio.gather(fresh, return_exceptions=True)


def soon() -> AsyncRetrying:
    return AsyncRetrying(wait=wait_fixed(0.05), stop=stop_after_delay(20), reraise=True)


async def test_the_api_goes_on_seeing_what_is_published(office: Office) -> None:
    store = office.services.store
    await published(store, changed("Second"))
    await spoil(store, 2)
    book = SequenceBook(store)
    async with kept_fresh(book, store, SHIPPED):
        async for attempt in soon():
            with attempt:
                assert book.latest(KEY).version == 1
        await published(store, changed("Third"), again=True)
        async for attempt in soon():
            with attempt:
                assert book.latest(KEY).version == 3
    assert await versions(store) == [1, 2, 3]


async def test_it_publishes_nothing_of_its_own_where_it_can_read_none(office: Office) -> None:
    store = office.services.store
    for pinned in SHIPPED:
        await empty(store, 1, pinned.sequence.key)
    book = Counted(store)
    async with kept_fresh(book, store, [changed("Ours")]):
        async for attempt in soon():
            with attempt:
                assert book.looked > 2, "it looks before and after it publishes, and then again"
    assert book.unreadable()
    assert await versions(store) == [1]
