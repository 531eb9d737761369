"""How long until every lead goes on after Temporal's database was deleted in the midst of many, and what that costs."""

import asyncio
import json
import math
import sys
import time
from collections import Counter
from itertools import product

import phonenumbers

from bench.figures import Figure, Row
from bench.load import lead, stack, until
from demo.client import Client, Json
from demo.disaster import lose_temporal
from demo.launch import Launched
from stack.product import python_environment

LEADS = 10_000
AT_ONCE = 16  # inquiries
SENT_BEFORE = 0.5  # of the first texts, when Temporal is lost
WITHIN = 3600.0  # real seconds until something counts as never come
LOOK_EVERY = 5.0  # at so many texts a look takes a while


async def run() -> Figure:
    async with stack("--workers", "2") as (launched, tend):
        numbers = _numbers(LEADS)
        asking = asyncio.create_task(_ask(tend, numbers))
        await until(lambda: _arrived(tend, math.ceil(LEADS * SENT_BEFORE)), WITHIN, LOOK_EVERY)
        await asking
        sent_before = len(await tend.outbox())
        began = time.monotonic()
        await lose_temporal(launched)
        empty = time.monotonic() - began
        told = await _rebuild(launched)
        rebuilt = time.monotonic() - began
        all_sent = await until(lambda: _arrived(tend, LEADS), WITHIN, LOOK_EVERY)
        went_on = time.monotonic() - began
        arrived = await tend.outbox(channel="sms")
        twice = sum(count - 1 for count in Counter(str(one["touch_id"]) for one in arrived).values())
    return Figure(
        "rebuild",
        f"Temporal's database deleted in the midst of {LEADS:,} running leads",
        (
            Row("texts out when it was deleted", sent_before, ""),
            Row("until an empty Temporal is up", empty, "s"),
            Row("until `tend rebuild` has ended", rebuilt, "s"),
            Row("leads it looked at", told["leads"], ""),
            Row("workflows it started", told["started"], ""),
            Row("leads started a second", told["started"] / max(told["seconds"], 0.1), ""),
            Row("until every lead's first text is out", went_on if all_sent else math.inf, "s"),
            Row("texts sent twice", twice, "", 0),
            Row("leads without their first text", LEADS - len({str(one["to"]) for one in arrived}), "", 0),
        ),
        (
            f"Two workers. {LEADS:,} leads ask over HTTP; once {SENT_BEFORE:.0%} of the first texts are out Temporal's "
            "file is deleted and the server killed; `tend rebuild` follows as soon as the empty one answers.",
            "Texts are counted at the carrier. Leads that the outbox had still to tell of start beside the rebuild.",
        ),
    )


async def _ask(tend: Client, numbers: list[str]) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with at_once:
            await tend.take_in(lead(0) | {"last_name": f"Lead {number}", **_addresses(numbers, number)})

    await asyncio.gather(*map(one, range(len(numbers))))


def _addresses(numbers: list[str], number: int) -> Json:
    return {"phone": numbers[number], "email": f"lead{number}@example.com"}


async def _arrived(tend: Client, count: int) -> bool:
    return len({one["to"] for one in await tend.outbox(channel="sms")}) >= count


async def _rebuild(launched: Launched) -> Json:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "rebuild", "--json", "--data-dir", str(launched.directory.path)),
        stdout=asyncio.subprocess.PIPE,
        env={k: v for k, v in python_environment().items() if not k.startswith("TEND_")},
        cwd=launched.directory.path,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    found: Json = json.loads(told)
    return found


def _numbers(count: int) -> list[str]:
    """Numbers that are nobody's (555-01xx), in all area codes there are."""
    areas = [area for area in range(201, 990) if phonenumbers.is_valid_number(phonenumbers.parse(f"+1{area}5550100"))]
    found = [f"+1{area}55501{last:02}" for area, last in product(areas, range(100))]
    assert len(found) >= count
    return found[:count]
