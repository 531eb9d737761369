"""From a stop's arrival to the gate being shut and the stop answered, and whether anything is claimed after that."""

import asyncio
import math
import random
import time

from bench.carrier import Carrier, carrier
from bench.figures import Figure, Row, rows_of
from bench.load import at_rate, phone, until
from bench.sides import Side, product

RATE, SECONDS = 50.0, 8.0
DUE = 10.0  # touches that fall due a real second meanwhile; so many of the stops aim at one
AIM = 0.1  # real seconds around its due time
CONFIRMED_WITHIN = 60.0
_CLAIMS = "SELECT lead_id::text, claimed_at FROM touches WHERE step <> 'stop' AND claimed_at IS NOT NULL"
_CONFIRMING = "SELECT count(*) FROM touches WHERE step = 'stop' AND status IN ('planned', 'delayed', 'claimed')"


async def run() -> Figure:
    count = int(RATE * SECONDS)
    leads: dict[str, int] = {}
    async with carrier() as texts, product(texts, "bench_soon") as side:

        async def take(_: int) -> None:
            number = next(side.numbers)
            if lead_id := await side.take_in(number):
                leads[lead_id] = number

        await at_rate(count, DUE, take)
        plan = await _plan(side, leads)
        took: list[float] = []
        answered: dict[str, float] = {}

        async def stop(at: float, lead_id: str) -> None:
            await asyncio.sleep(max(0.0, at - time.time()))
            began, status = time.time(), await _stop(side, texts, leads[lead_id])
            now = time.time()
            took.append(now - began if status == 200 else math.inf)
            if status == 200:
                answered[lead_id] = now

        await asyncio.gather(*(stop(at, lead_id) for at, lead_id in plan))

        async def confirmed() -> bool:
            return bool((await side.rows(_CONFIRMING))[0][0] == 0)

        await until(confirmed, CONFIRMED_WITHIN, 0.5)
        claims = await side.rows(_CLAIMS)
    claimed = [(answered[i], at.timestamp()) for i, at in claims if i in answered]
    took += [math.inf] * (count - len(leads))
    return Figure(
        "stops",
        f"Stop received to gate shut and answered, {RATE:g}/s for {SECONDS:g} s",
        (
            *rows_of("answered", took, {50: None, 95: None, 99: 250, 100: None}),
            Row("stops", len(took), ""),
            Row("refused, timed out or not taken in", sum(map(math.isinf, took)), "", 0),
            Row("touches claimed before the stop", sum(at <= stopped for stopped, at in claimed), ""),
            Row("touches claimed after an answered stop", sum(at > stopped for stopped, at in claimed), "", 0),
        ),
        (
            "Signed texts of the carrier's to the webhook, each of another lead; the gate is shut in the transaction "
            f"that the answer follows. {DUE:g} of {RATE:g} a second come within {AIM * 1000:g} ms of the moment in "
            "which a touch of that lead falls due. Every stop has its confirmation sent meanwhile.",
        ),
    )


async def _plan(side: Side, leads: dict[str, int]) -> list[tuple[float, str]]:
    """When (Unix time) which lead stops: those whose touch falls due just around that, the others evenly."""
    dice = random.Random(1)
    begins = time.time() + 1.0
    rows = await side.rows("SELECT id::text, next_at FROM leads WHERE next_at IS NOT NULL")
    due = {lead_id: side.real(next_at) for lead_id, next_at in rows if lead_id in leads}
    aimed = {i: at for i, at in due.items() if begins < at < begins + SECONDS}
    others = [i for i in leads if i not in aimed]
    plan = [(at + dice.uniform(-AIM, AIM), i) for i, at in aimed.items()]
    return plan + [(begins + n * SECONDS / len(others), i) for n, i in enumerate(others)]


async def _stop(side: Side, texts: Carrier, number: int) -> int:
    assert side.launched is not None
    return await texts.reply(side.launched.endpoints["api"], phone(number), "STOP")
