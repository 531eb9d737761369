"""From a reply's webhook being answered to the cadence resting, in the database and in the workflow."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import httpx
from temporalio.client import Client as Temporal
from temporalio.service import RPCError

from bench.figures import Figure, Row, rows_of
from bench.load import at_rate, lead, phone, stack, temporal_of, until
from demo.client import CallFailed, Client
from workflows.messages import Snapshot
from workflows.names import workflow_id

REPLIES, RATE = 100, 5.0
GIVES_UP_AFTER = 20.0  # real seconds
LOOKS_EVERY = 0.01


async def run() -> Figure:
    database: list[float] = []
    workflow: list[float] = []
    async with stack() as (launched, tend):
        temporal = await temporal_of(launched)
        ids: dict[int, str] = {}

        async def take_in(number: int) -> None:
            ids[number] = str((await tend.take_in(lead(number)))["lead_id"])

        await at_rate(REPLIES, 20.0, take_in)

        async def all_texted() -> bool:
            return len(await tend.outbox(channel="sms")) >= REPLIES

        await until(all_texted, 60.0)

        async def one(number: int) -> None:
            try:
                status = (await tend.inbound(phone(number), "Please tell me more"))["status"]
            except (CallFailed, httpx.HTTPError):
                status = 0
            answered = time.monotonic()
            if status != 200:
                database.append(math.inf)
                workflow.append(math.inf)
                return
            times = await asyncio.gather(
                _until_resting(answered, lambda: _in_database(tend, ids[number])),
                _until_resting(answered, lambda: _in_workflow(temporal, ids[number])),
            )
            database.append(times[0])
            workflow.append(times[1])

        await at_rate(REPLIES, RATE, one)
    both = [max(pair) for pair in zip(database, workflow, strict=True)]
    return Figure(
        "reply",
        f"Reply's webhook answered to cadence resting, {REPLIES} replies at {RATE:g}/s",
        (
            *rows_of("resting everywhere", both, {50: None, 95: 500}),
            *rows_of("in the database", database, {50: None, 95: None}),
            *rows_of("in the workflow", workflow, {50: None, 95: None}),
            Row("failed", sum(map(math.isinf, both)), "", 0),
        ),
        (
            "The carrier plays a signed reply; from the product's answer to it until `GET /v1/leads/{id}` and the "
            f"workflow's `snapshot` both say resting, looked at every {LOOKS_EVERY * 1000:.0f} ms.",
        ),
    )


async def _in_database(tend: Client, lead_id: str) -> bool:
    return bool((await tend.lead(lead_id))["state"] == "resting")


async def _in_workflow(temporal: Temporal, lead_id: str) -> bool:
    handle = temporal.get_workflow_handle(workflow_id(lead_id))
    found: Snapshot = await handle.query("snapshot", result_type=Snapshot)
    return found.state == "resting"


async def _until_resting(since: float, look: Callable[[], Awaitable[bool]]) -> float:
    """Real seconds from `since` until it was seen; infinite if it never was."""
    while time.monotonic() - since < GIVES_UP_AFTER:
        try:
            if await look():
                return time.monotonic() - since
        except (CallFailed, httpx.HTTPError, RPCError):
            pass
        await asyncio.sleep(LOOKS_EVERY)
    return math.inf
