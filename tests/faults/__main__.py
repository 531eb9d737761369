"""`python -m tests.faults DIR --seed N`: one round, its blows as they fall, its verdict."""

import argparse
import asyncio
import json
import random
import time
from pathlib import Path

from tests.faults.checker import Verdict
from tests.faults.plan import Shape
from tests.faults.run import judge_again, run_round


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--leads", type=int, default=120)
    parser.add_argument("--storm", type=float, default=30.0, help="real seconds")
    parser.add_argument("--blows", type=int, default=14)
    parser.add_argument("--faults", type=json.loads, default={}, help="of the carrier, as JSON")
    parser.add_argument("--again", action="store_true", help="judge again what a run has left")
    given = parser.parse_args()
    if given.again:
        tell(judge_again(given.directory))
        return
    print(f"seed {given.seed}")
    began = time.monotonic()

    def say(line: str) -> None:
        print(line, flush=True)

    shape = Shape(given.leads, given.storm, given.blows)
    judged = asyncio.run(run_round(given.directory, given.seed, shape, faults=given.faults, say=say))
    print(f"{time.monotonic() - began:.0f} s")
    tell(judged.verdict)


def tell(verdict: Verdict) -> None:
    print(f"{verdict.leads} leads, {verdict.accepted} requests accepted, {verdict.sent} touches at the carrier")
    print(f"carrier's faults off: {verdict.off}")
    print(f"carrier's faults on: {verdict.on}")
    print(f"{verdict.duplicates} duplicates, {verdict.unaccounted} unaccounted, {verdict.after_stop} after a stop")
    for violation in verdict.violations:
        print(f"  {violation.kind}: lead {violation.lead_id}: {violation.what}")


if __name__ == "__main__":
    main()
