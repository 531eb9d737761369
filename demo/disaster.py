"""The disaster of `tend demo --disaster`: Temporal's database is deleted in its midst, and rebuilt from the facts."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from datetime import datetime, timedelta

from rich.console import Console

from demo.client import Client
from demo.launch import Launched
from domain.clock import Clock
from stack.preflight import StartError
from stack.product import python_environment

STRIKES = timedelta(minutes=5)  # product time since the start: first texts are out, replies and calls under way
BACK_WITHIN = 60.0  # real seconds
LOOK_EVERY = 0.05


async def strike(launched: Launched, console: Console, clock: Clock, began: datetime) -> None:
    """Waits for the moment, deletes, waits for an empty Temporal, rebuilds. Raises StartError."""
    while clock.now() < began + STRIKES:  # noqa: ASYNC110 - product time only passes
        await asyncio.sleep(LOOK_EVERY)
    _say(console, "Temporal's database is deleted and its server killed, in the midst of everything")
    began_at = time.monotonic()
    await lose_temporal(launched)
    took = time.monotonic() - began_at
    _say(console, f"an empty Temporal is up ({took:.1f} s): it knows of no lead; `tend rebuild` ...")
    told = await _rebuild(launched)
    _say(
        console,
        f"{told['leads']} leads with something to come, {told['started']} workflows started from their facts "
        f"({told['seconds']} s): everybody goes on from where it was",
    )


async def lose_temporal(launched: Launched) -> None:
    """Returns when the supervisor has an empty one up. Raises StartError."""
    lost = launched.endpoints["pids"]["temporal"]
    for file in launched.directory.path.glob(f"{launched.directory.temporal.name}*"):
        file.unlink()
    os.kill(lost, signal.SIGKILL)
    deadline = time.monotonic() + BACK_WITHIN
    while launched.endpoints["pids"].get("temporal", lost) == lost:
        if time.monotonic() > deadline or launched.failed is not None:
            raise StartError(launched.failed or f"no Temporal came up: look into {launched.directory.logs}")
        await asyncio.sleep(LOOK_EVERY)


async def _rebuild(launched: Launched) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "rebuild", "--json", "--data-dir", str(launched.directory.path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in python_environment().items() if not k.startswith("TEND_")},
        cwd=launched.directory.path,
    )
    told, complained = await process.communicate()
    if process.returncode != 0:
        raise StartError(complained.decode(errors="replace").strip().removeprefix("tend: "))
    found: dict[str, object] = json.loads(told)
    return found


async def nothing_twice(console: Console, tend: Client) -> None:
    """Asks the carrier. Raises StartError if it got anything twice."""
    arrived = await tend.outbox()
    twice = [touch for touch, count in Counter(str(one["touch_id"]) for one in arrived).items() if count > 1]
    if twice:
        raise StartError(f"{len(twice)} of {len(arrived)} touches reached the carrier twice")
    _say(console, f"{len(arrived)} touches reached the carrier, none of them twice")


def _say(console: Console, text: str) -> None:
    console.print(f"Disaster: {text}", style="bold yellow", highlight=False, soft_wrap=True)
