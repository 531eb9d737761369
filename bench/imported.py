"""A new lead's first SMS while an import of tens of thousands goes on, or is posted too, beside the same without it."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.carrier import carrier
from bench.figures import Figure, Row, rows_of
from bench.lean_http import Caller
from bench.load import at_rate, phone, until
from bench.sides import Side, product, taker
from bench.written import A_TRANSACTION, write, writer

LEADS = 50_000
RATE, SECONDS = 5.0, 30.0  # new leads a real second; for so long, each time
ABREAST = 4  # requests that post a list at any time
LAST_COMES_WITHIN = 30.0
_WAITING = "SELECT count(*) FROM outbox"


async def run() -> Figure:
    async with carrier() as texts, product(texts, "bench_one") as side:
        before = await _new_leads(side)
        began = time.monotonic()
        await _import(side, LEADS)
        took = time.monotonic() - began
        waiting = await _count(side)
        known = len(texts.texts)
        meanwhile = await _new_leads(side)
        left, sent = await _count(side), len(texts.texts) - known - len(meanwhile)
        async with _posted(side) as posted:
            began = time.monotonic()
            beside = await _new_leads(side)
            posted_for = time.monotonic() - began
    p95 = sorted(before)[int(len(before) * 0.95)], sorted(meanwhile)[int(len(meanwhile) * 0.95)]
    return Figure(
        "imported",
        f"A new lead's first SMS beside an import of {LEADS:,}, {RATE:g} new leads/s",
        (
            *rows_of("first SMS, no import", before, {50: None, 95: None, 99: None}),
            *rows_of("first SMS, while it goes on", meanwhile, {50: None, 95: 1000, 99: 2000}),
            Row("p95 with the import to without", p95[1] / p95[0], "x"),
            *rows_of("first SMS, while a list is posted as well", beside, {50: None, 95: 1000, 99: 2000}),
            Row("leads of that list taken in a second", len(posted) / posted_for, "/s", 10, least=True),
            Row("new leads refused, or without an SMS", sum(map(math.isinf, [*before, *meanwhile, *beside])), "", 0),
            Row("imported leads that waited when the new ones came", waiting, ""),
            Row("still waiting when the last had come", left, "", 1, least=True),
            Row("texts of the import meanwhile", sent, "", 1, least=True),
        ),
        (
            f"{LEADS:,} leads of a list, written by the store's own intake in {took:.0f} s, each with a text at once; "
            "their starts wait in the outbox and go at the default of 20 a second. New leads over HTTP for "
            f"{SECONDS:g} s, then again while a list is posted to the same API, {ABREAST} requests at any time.",
            "From the request to the text's arrival at the carrier; what was refused or never came counts as never.",
        ),
    )


async def _import(side: Side, count: int) -> None:
    async with writer(side) as leads:
        for start in range(0, count, A_TRANSACTION):
            await write(leads, range(start, start + A_TRANSACTION), "bench_one", "csv")


@asynccontextmanager
async def _posted(side: Side) -> AsyncIterator[list[str]]:
    """A list is posted as fast as the API takes it, until the context ends; holds the leads that were taken in."""
    assert side.launched is not None
    caller = Caller(side.launched.endpoints["api"], {"Authorization": f"Bearer {side.launched.admin_key}"})
    take_in, taken = taker(caller, lambda: side.sequence, "csv"), list[str]()

    async def post() -> None:
        while True:
            if (lead_id := await take_in(next(side.numbers))) is not None:
                taken.append(lead_id)

    posting = [asyncio.create_task(post()) for _ in range(ABREAST)]
    try:
        yield taken
    finally:
        for one in posting:
            one.cancel()
        await asyncio.wait(posting)
        caller.close()


async def _count(side: Side) -> int:
    return int((await side.rows(_WAITING))[0][0])


async def _new_leads(side: Side) -> list[float]:
    """Real seconds from each request to the lead's first text."""
    sent: dict[str, float] = {}

    async def one(_: int) -> None:
        number = next(side.numbers)
        sent[phone(number)] = time.time()
        await side.take_in(number)

    await at_rate(int(RATE * SECONDS), RATE, one)

    def first() -> dict[str, float]:
        return {text.to: text.at for text in reversed(side.carrier.texts)}

    async def all_there() -> bool:
        return set(sent) <= set(first())

    await until(all_there, LAST_COMES_WITHIN, 0.5)
    found = first()
    return [found[number] - at if number in found else math.inf for number, at in sent.items()]
