"""The parts as the compose file runs them, beside a Postgres and a Temporal of their own: two and four workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bench.carrier import Carrier, carrier
from bench.figures import Figure, Row
from bench.lean_http import Caller
from bench.load import ten_o_clock
from bench.sides import Side, publish_own, taker, warm
from bench.touches import AT_ONCE, MEASURES, TOUCHES, Load, replies, saturated
from config.data_dir import DataDir
from domain.clock import parse_pace, virtual_clock
from tests.hosting.hosted import hosted

WORKERS = (2, 4)


@asynccontextmanager
async def separate(made: Carrier, workers: int) -> AsyncIterator[Side]:
    """The services' own commands and variables, but that texts go to `made`."""
    clock = virtual_clock(datetime.now(UTC), datetime.fromisoformat(ten_o_clock()), parse_pace("1"))
    async with hosted(workers=workers, env=made.settings, clock=clock) as found:
        told = found.file.services["postgres"].environment
        url = found.postgres.url("tend", told["DB_TEND_PASSWORD"], "tend")
        await publish_own(url, clock)
        caller = Caller(f"http://127.0.0.1:{found.ports['api']}", {"Authorization": f"Bearer {await found.key()}"})

        def pids() -> dict[str, int]:
            return found.product.pids | {k: v for k, v in found.around.pids.items() if k != "sandbox"}

        take_in = taker(caller, lambda: "bench_seven")
        side = Side("separate", made, take_in, pids, url, DataDir(found.path / "tend"))
        try:
            await warm(side)
            yield side
        finally:
            caller.close()


async def run() -> Figure:
    found: dict[int, tuple[Load, int]] = {}
    for workers in WORKERS:
        async with carrier(replies) as made, separate(made, workers) as side:
            load = await saturated(side)
            twice = len(made.texts) - len({text.touch_id for text in made.texts})
            found[workers] = load, twice
    rows = [
        row
        for workers, (load, twice) in found.items()
        for row in (
            Row(f"{workers} workers: touches a second", load.rate, "/s"),
            Row(f"{workers} workers: CPU a touch", load.touch),
            Row(f"{workers} workers: sent twice", twice, "", 0),
            Row(f"{workers} workers: texts after an answered reply", load.after_reply, "", 0),
            Row(f"{workers} workers: callbacks refused", load.failed, "", 0),
        )
    ]
    first, last = (found[workers][0] for workers in WORKERS)
    return Figure(
        "separate",
        "Touches a second at most beside servers of their own, as the compose file runs them",
        (*rows, Row(f"{WORKERS[1]} workers to {WORKERS[0]}", last.rate / first.rate, "x")),
        (
            "A PostgreSQL and a Temporal server that Tend has not started, made as `docker-compose.yml` has them: its "
            "roles, its arguments, its namespace script, its dynamic configuration; then its commands with its "
            "variables as processes of this machine. Two things are other: Temporal keeps its state in SQLite, "
            "as under `tend up`, instead of Postgres, and texts go to the bench's carrier.",
            f"Leads of {TOUCHES} texts, each a second after the one before; three of ten reply. {AT_ONCE} are under "
            f"way at any time; measured for {MEASURES:g} s once it runs evenly, as in `touches`.",
            "All parts, the load and the carrier share the processors: more workers can only show that they do each "
            "other no harm, not how far they would scale on machines of their own.",
            *(
                f"Milliseconds a touch with {workers} workers: "
                + ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(load.cpu.items()))
                + "."
                for workers, (load, _) in found.items()
            ),
        ),
    )
