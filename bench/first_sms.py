"""From a lead's request to its first SMS at the carrier, under a steady load."""

import math
import time
from datetime import UTC, datetime

import httpx

from bench.figures import Figure, rows_of
from bench.figures import Row as R
from bench.load import at_rate, lead, phone, stack, until
from demo.client import CallFailed

RATE, SECONDS = 10.0, 60.0
LAST_COMES_WITHIN = 30.0  # real seconds after the last request
REQUEST_LIMIT = 10.0


async def run() -> Figure:
    count = int(RATE * SECONDS)
    sent: dict[int, datetime] = {}
    answered: dict[int, float] = {}
    failures: dict[str, int] = {}

    async with stack() as (_, tend):

        async def one(number: int) -> None:
            sent[number], began = datetime.now(UTC), time.monotonic()
            try:
                await tend.take_in(lead(number))
            except httpx.TimeoutException:
                failures["timed out"] = failures.get("timed out", 0) + 1
            except (CallFailed, httpx.HTTPError):
                failures["refused"] = failures.get("refused", 0) + 1
            else:
                answered[number] = time.monotonic() - began

        await at_rate(count, RATE, one)

        async def all_there() -> bool:
            return len(await tend.outbox(channel="sms")) >= len(answered)

        await until(all_there, LAST_COMES_WITHIN, 0.5)
        first: dict[str, datetime] = {}
        for item in await tend.outbox(channel="sms"):
            first.setdefault(item["to"], datetime.fromisoformat(item["at"]))

    # what was refused, or never came, is the slowest of all
    latency = [
        (first[phone(n)] - sent[n]).total_seconds() if n in answered and phone(n) in first else math.inf
        for n in range(count)
    ]
    intake = [answered.get(n, math.inf) for n in range(count)]
    missing = sum(1 for n in answered if phone(n) not in first)
    said = ", ".join(f"{n} {what}" for what, n in failures.items()) or "none refused, none timed out"
    return Figure(
        "first-sms",
        f"Lead accepted to first SMS at the carrier, {RATE:g} leads/s for {SECONDS:g} s",
        (
            *rows_of("request to first SMS", latency, {50: 300, 95: 1000, 99: 2000}),
            *rows_of("intake answered", intake, {50: None, 95: 100, 99: None}),
            R("leads", count, ""),
            R("failed or missing", sum(math.isinf(value) for value in latency), "", 0),
        ),
        (
            f"Open loop against a fresh `tend up` with one worker; {said}, {missing} accepted without an SMS.",
            "From the client's send time to the carrier's `at`; what failed or never came counts as never.",
        ),
    )
