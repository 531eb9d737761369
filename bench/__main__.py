"""`python -m bench [NAME...]`: runs the benchmarks, prints their tables and writes `docs/figures/`."""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from rich.console import Console
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from bench import (
    burst,
    cadence,
    figures,
    first_sms,
    imported,
    killed,
    lateness,
    pace,
    reactions,
    rebuild,
    reply,
    restart,
    separate,
    sleeping,
    stops,
    storage,
    touches,
)
from bench.surroundings import Surroundings
from domain.errors import TendError

BENCHMARKS: dict[str, Callable[[], Awaitable[figures.Figure]]] = {
    "first-sms": first_sms.run,
    "reply": reply.run,
    "reactions": reactions.run,
    "cadence": cadence.run,
    "pace": pace.run,
    "restart": restart.start_again,
    "heal": restart.heal,
    "touches": touches.run,
    "separate": separate.run,
    "lateness": lateness.run,
    "stops": stops.run,
    "killed": killed.run,
    "burst": burst.run,
    "imported": imported.run,
    "storage": storage.run,
    "sleeping": sleeping.run,
    "sleeping-full": partial(sleeping.run, sleeping.FULL),
    "rebuild": rebuild.run,
}
LONG = {"sleeping-full"}  # takes an hour: only when asked for


async def run(names: list[str], *, keep: bool) -> int:
    """Runs them one after the other; 1 if one could not be carried out, whatever the others found."""
    console = Console()
    about = figures.machine()
    console.print("  ".join(f"{name} {value}" for name, value in about.items()), highlight=False)
    console.print()
    failed = 0
    for name in names:
        before = Surroundings.now()
        try:
            figure = await BENCHMARKS[name]()
        except TendError as error:
            console.print(f"{name}: {error}", style="red", highlight=False)
            failed = 1
            continue
        figure = replace(figure, notes=(*figure.notes, Surroundings.now().since(before)))
        figures.show(figure)
        if keep:
            figures.keep(figure)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which of {', '.join(BENCHMARKS)} (default: all but {', '.join(LONG)})",
    )
    parser.add_argument("--no-figures", action="store_true", help="leave docs/figures as it is")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    # the time-skipping server is an old one, and the SDK says so once a worker
    quiet = TelemetryConfig(logging=LoggingConfig(TelemetryFilter("ERROR", "ERROR")))
    Runtime.set_default(Runtime(telemetry=quiet))
    return asyncio.run(run(given.names or [name for name in BENCHMARKS if name not in LONG], keep=not given.no_figures))


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Temporal's library may abort a Python that is tearing itself down
