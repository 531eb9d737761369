"""What leads that sleep for weeks cost: memory of all processes, disk, and the time to start again with them."""

import time
from functools import partial

import httpx
from temporalio.client import Client as Temporal

from bench.carrier import carrier
from bench.figures import Figure, Row
from bench.load import temporal_of, until
from bench.processes import memory
from bench.restart import ready
from bench.sides import Side, product
from bench.written import A_TRANSACTION, write, writer

FULL, SOME = 100_000, 2_000
AHEAD = 2_000  # leads written and not yet asleep, so that memory holds no heap of starts
ASLEEP_WITHIN, READY_WITHIN = 120.0, 120.0  # real seconds, since the last one fell asleep; since the start
_ASLEEP = "WorkflowType = 'LeadWorkflow' AND TendNextAt IS NOT NULL"


async def run(leads: int = SOME) -> Figure:
    """Caches still fill with few leads: from those nothing follows for all."""
    async with carrier() as texts, product(texts, "bench_asleep") as side:
        assert side.launched is not None
        temporal = await temporal_of(side.launched)
        awake, began = memory(side.pids()), time.monotonic()
        asleep = await _put_to_sleep(side, temporal, 0, leads)
        took, full = time.monotonic() - began, memory(side.pids())
        files = side.directory.temporal.stat().st_size
        database = int((await side.rows("SELECT pg_database_size(current_database())"))[0][0])
        await side.launched.stop()
        began = time.monotonic()
        endpoints = await side.launched.start()
        async with httpx.AsyncClient(base_url=endpoints["api"], trust_env=False) as http:
            healthy = await until(partial(ready, http), READY_WITHIN, 0.05)
        restart = time.monotonic() - began
        again = memory(side.pids())
    rows = [
        Row("leads asleep", asleep, "", leads, least=True),
        Row(f"memory of all with {asleep:,} asleep", sum(full.values()), "MiB", 4096),
        Row("memory of all with none", sum(awake.values()), "MiB"),
        Row(f"restart to healthy with {asleep:,} asleep", restart if healthy else float("inf"), "s", 30),
        Row("memory of all after the restart", sum(again.values()), "MiB", 4096),
        Row("Temporal's file", files / 1e6, "MB"),
        Row("Postgres, the database", database / 1e6, "MB"),
        Row("put to sleep", asleep / took, "/s"),
    ]
    parts = ", ".join(f"{name} {awake[name]:.0f} to {mib:.0f}" for name, mib in sorted(full.items()))
    return Figure(
        "sleeping-full" if leads == FULL else "sleeping",
        f"{asleep:,} sleeping leads",
        tuple(rows),
        (
            "Leads written by the store's own intake, their workflows started by the outbox, planned and waiting for a "
            "text in a month; no request over HTTP, and no touch before.",
            f"Memory is what each process and its children have to themselves and their share of the rest. By process, "
            f"MiB with none and with {asleep:,}: {parts}.",
            *(() if asleep >= FULL else (f"Of {FULL:,}, which `make bench-full` measures, sleeping-full.md tells.",)),
        ),
    )


async def _put_to_sleep(side: Side, temporal: Temporal, first: int, end: int) -> int:
    """The leads of these numbers; how many sleep in all."""
    async with writer(side) as leads:
        for start in range(first, end, A_TRANSACTION):
            await write(leads, range(start, min(start + A_TRANSACTION, end)), "bench_asleep", "web_form")
            if start % AHEAD == 0:  # so many at most are on their way
                await until(partial(_asleep, temporal, start - AHEAD), ASLEEP_WITHIN, 0.5)
        await until(partial(_asleep, temporal, end + 1), ASLEEP_WITHIN, 0.5)  # and the one that tried the way
    return (await temporal.count_workflows(_ASLEEP)).count


async def _asleep(temporal: Temporal, wanted: int) -> bool:
    return (await temporal.count_workflows(_ASLEEP)).count >= wanted
