"""`make soak`: rounds of faults until so many parts were killed. Ctrl-C stops it; the next start goes on.

State, data directories and what was told are kept in the directory; each round ends with its figures in docs/figures/.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults import soak_figures
from tests.faults.checker import Share, Verdict
from tests.faults.plan import Shape
from tests.faults.record import Json, Struck
from tests.faults.run import Judged, judge_again, run_round
from tests.faults.weather import EVERYTHING, WELL_TOLD

SHAPE = Shape(leads=300, storm=280.0, blows=70)
ROUNDS_A_DIRECTORY = 3  # the second and third begin on leads of the first, after a stop in good order
WEATHER: tuple[Json, ...] = ({}, WELL_TOLD, {}, EVERYTHING)


@dataclass(slots=True)
class Directory:
    """The last verdict on one data directory, which is on all rounds that it has seen."""

    leads: int = 0
    accepted: int = 0
    sent: int = 0
    off: Share = field(default_factory=Share)
    on: Share = field(default_factory=Share)
    duplicates: int = 0
    unaccounted: int = 0
    after_stop: int = 0
    violations: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, verdict: Verdict) -> "Directory":
        return cls(
            verdict.leads,
            verdict.accepted,
            verdict.sent,
            verdict.off,
            verdict.on,
            verdict.duplicates,
            verdict.unaccounted,
            verdict.after_stop,
            verdict.counts,
        )


@dataclass(slots=True)
class State:
    """How far it has come. `under_way`: a round was begun in the last directory and not judged."""

    seed: int
    rounds: int = 0
    seconds: float = 0.0
    kills: dict[str, int] = field(default_factory=dict)
    freezes: dict[str, int] = field(default_factory=dict)
    directories: list[Directory] = field(default_factory=list)
    in_last: int = 0  # rounds that the last directory has seen
    under_way: bool = False
    code: dict[str, int] = field(default_factory=dict)  # commit: so many rounds were of it
    again: list[int] = field(default_factory=list)  # data directories that a later checker has judged again

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    def count(self, struck: list[Struck]) -> None:
        for how, kept in (("kill", self.kills), ("freeze", self.freezes)):
            met = Counter(part_of(s.victim) for s in struck if s.how == how and s.pid is not None)
            for part, times in met.items():
                kept[part] = kept.get(part, 0) + times

    def write(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> "State":
        raw = json.loads(path.read_text())
        rows = [row | {"off": Share(**row["off"]), "on": Share(**row["on"])} for row in raw["directories"]]
        return cls(**(raw | {"directories": [Directory(**row) for row in rows]}))


def commit() -> str:
    """The code that is checked out here."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def part_of(victim: str) -> str:
    return victim.partition("-")[0]


class Soak:
    """Rounds one after the other. A round that was interrupted has no verdict: its data directory is given up."""

    def __init__(self, path: Path, seed: int | None, kills: int, shape: Shape = SHAPE) -> None:
        self._path, self._kills, self._shape = path, kills, shape
        self._file = path / "soak.json"
        path.mkdir(parents=True, exist_ok=True)
        known = State.read(self._file) if self._file.exists() else None
        self.state = known or State(seed if seed is not None else random.randrange(2**31))
        self._console = Console()

    async def run(self) -> None:
        console, state = self._console, self.state
        begins = "goes on" if state.rounds else "begins"
        console.print(
            f"seed {state.seed}, {begins} with round {state.rounds + 1}; Ctrl-C stops it, and it can be gone on with"
        )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("kills", total=self._kills, completed=state.killed)
            while state.killed < self._kills:
                progress.update(bar, description=f"round {state.rounds + 1}, kills")
                judged = await self._round()
                progress.update(bar, completed=state.killed)
                self._tell(judged)

    async def _round(self) -> Judged:
        state = self.state
        if not state.directories or state.in_last >= ROUNDS_A_DIRECTORY or state.under_way:
            state.directories.append(Directory())
            state.in_last = 0
        path = self._path / f"data-{len(state.directories):03}"
        if state.in_last == 0:
            shutil.rmtree(path, ignore_errors=True)
        state.under_way = True
        state.write(self._file)
        began, weather, code = time.monotonic(), WEATHER[state.rounds % len(WEATHER)], commit()
        say = partial(self._console.print, style="dim", highlight=False)
        judged = await run_round(path, state.seed + state.rounds, self._shape, faults=weather, say=say)
        state.count(judged.record.struck)
        state.code[code] = state.code.get(code, 0) + 1
        state.rounds += 1
        state.in_last += 1
        state.seconds += time.monotonic() - began
        state.directories[-1] = Directory.of(judged.verdict)
        state.under_way = False
        state.write(self._file)
        soak_figures.keep(state)
        return judged

    def judge_again(self, number: int) -> None:
        """By the present checker, what the rounds on the `number`th data directory (from 1) have left."""
        verdict = judge_again(self._path / f"data-{number:03}")
        self.state.directories[number - 1] = Directory.of(verdict)
        self.state.again.append(number)
        self.state.write(self._file)
        soak_figures.keep(self.state)
        self._say(verdict)

    def _tell(self, judged: Judged) -> None:
        verdict, say = judged.verdict, self._console.print
        say(
            f"round {self.state.rounds} (seed {judged.record.seed}): {verdict.leads} leads, {verdict.sent} touches, "
            f"{verdict.duplicates} duplicates, {verdict.unaccounted} unaccounted, {verdict.after_stop} after a stop"
        )
        self._say(verdict)

    def _say(self, verdict: Verdict) -> None:
        for violation in verdict.violations:
            self._console.print(f"  {violation.kind}: lead {violation.lead_id}: {violation.what}", highlight=False)


async def _until_stopped(soak: Soak) -> bool:
    """Whether it came to its end; a signal ends the round under way, its stack in good order."""
    running = asyncio.ensure_future(soak.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".soak"), help="where it is kept how far it has come")
    parser.add_argument("--seed", type=int, help="of a new soak; one that goes on has its own")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--again", type=int, metavar="N", help="judge again what the Nth data directory has left")
    given = parser.parse_args()
    soak = Soak(given.dir.absolute(), given.seed, given.kills)
    if given.again:
        soak.judge_again(given.again)
        return
    done = asyncio.run(_until_stopped(soak))
    print(f"{'done' if done else 'stopped'} after {soak.state.rounds} rounds and {soak.state.killed} kills")


if __name__ == "__main__":
    main()
