"""How long a second start takes, and how long until a killed child is back."""

import math
import os
import signal
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import httpx

from bench.figures import Figure, Row
from bench.load import stack, until
from demo.launch import Launched

STARTS = 3
BACK_WITHIN = 60.0  # real seconds until a child counts as never back


async def start_again() -> Figure:
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tend-bench-", ignore_cleanup_errors=True) as path:
        async with Launched(Path(path) / "data", "--port", "0") as launched:
            began = time.monotonic()
            await launched.start()
            first = time.monotonic() - began
            for _ in range(STARTS):
                await launched.stop()
                began = time.monotonic()
                endpoints = await launched.start()
                async with httpx.AsyncClient(base_url=endpoints["api"], trust_env=False) as http:
                    await until(partial(ready, http), BACK_WITHIN, 0.02)
                took.append(time.monotonic() - began)
    return Figure(
        "restart",
        "`tend up` on a data directory that has been used",
        (
            Row("second start until all is ready", statistics.median(took), "s", 10.0),
            Row("slowest", max(took), "s"),
            Row("very first start", first, "s"),
        ),
        (f"From the process's start until `/readyz` is 200; median of {STARTS}.",),
    )


async def heal() -> Figure:
    rows: list[Row] = []
    async with stack() as (launched, _):
        for name, pid in launched.endpoints["pids"].items():
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            back = await until(partial(_is_new, launched, name, pid), BACK_WITHIN, 0.02)
            rows.append(Row(f"{name} killed until back", time.monotonic() - began if back else math.inf, "s", 5.0))
    return Figure(
        "heal",
        "A killed child until it answers again",
        tuple(rows),
        ("SIGKILL to each child in turn, until `endpoints.json` names its new process, which has answered by then.",),
    )


async def _is_new(launched: Launched, name: str, old: int) -> bool:
    now = launched.endpoints["pids"].get(name)
    return now is not None and now != old


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200
