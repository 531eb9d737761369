"""The clock of a data directory: which one it runs on, kept over restarts, standing still while the stack is down."""

import asyncio
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from config.data_dir import DataDir, write_private
from domain.clock import Clock, Pace, go_on, parse_pace, virtual_clock
from domain.errors import InvalidClock
from stack.preflight import StartError, UsageError

BEAT = 0.1  # real seconds between two signs of life: no more than this is told twice after a crash
# Real time that a virtual clock stands still at first, which is what its users take to start: so much at least and at
# most, and between them twice what the servers took, which tells how busy the machine is.
STANDS_FOR = timedelta(seconds=4), timedelta(seconds=12)
_REAL = (Pace(1.0, None),)
_HALF = "half"  # of what clock.start holds: a first virtual clock is being written, and nothing has run on it


@dataclass(frozen=True, slots=True)
class Asked:
    """--clock and --pace as given; None where not given. `start` is the product time of an ISO --clock (UTC)."""

    clock: str | None
    pace: str | None
    start: datetime | None
    paces: tuple[Pace, ...]

    @property
    def virtual(self) -> bool:
        return self.start is not None or self.paces != _REAL


def parse(clock: str | None, pace: str | None) -> Asked:
    """Raises UsageError for a value that cannot be."""
    start: datetime | None = None
    if clock is not None and clock != "now":
        try:
            given = datetime.fromisoformat(clock)
            start = given.astimezone(UTC)
        except (ValueError, OverflowError):
            raise UsageError(f"--clock {clock!r}: use now, or a time like 2026-03-02T10:00:00-06:00") from None
        if not 1970 < start.year < 2200:
            raise UsageError(f"--clock {clock!r}: give a time between 1971 and 2199")
        if given.tzinfo is None:
            raise UsageError(f"--clock {clock!r}: say the offset too, as in 2026-03-02T10:00:00-06:00 (or Z for UTC)")
    try:
        paces = parse_pace(pace) if pace is not None else _REAL
    except InvalidClock as error:
        raise UsageError(f"--{error}") from None
    return Asked(clock, pace, start, paces)


class ClockFile:
    """The clock of one data directory for one run. Raises StartError if what is asked does not go with it."""

    def __init__(self, directory: DataDir, asked: Asked, *, virtual_allowed: bool) -> None:
        self._directory = directory
        self._asked = asked
        try:
            kept = json.loads(directory.clock_start.read_text()) if directory.clock_start.exists() else None
            half = kept is not None and _HALF in kept
            if half:  # a start that was stopped at it is made anew, as if it had never been
                kept = None
            self._old = Clock.read(directory.clock) if kept and kept["virtual"] else None
            if self._old is not None and not self._old.virtual:
                raise ValueError("the virtual clock is missing")  # noqa: TRY301
            if kept is None and not half and directory.clock.exists():
                raise ValueError("clock.start is missing")  # noqa: TRY301
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StartError(
                f"the clock kept in {directory.path} cannot be read ({error}): put back clock.json and clock.start, "
                "or use another --data-dir"
            ) from None
        self._kept = kept
        self.pace_changed = self._old is not None and asked.pace not in (None, kept["pace"] if kept else None)
        self._check(virtual_allowed)
        self.virtual = self._old is not None or (kept is None and asked.virtual)

    def _check(self, virtual_allowed: bool) -> None:
        asked, where = self._asked, self._directory.path
        if not virtual_allowed:
            if asked.virtual:
                raise StartError("--clock and --pace need the sandbox carrier: leave them out, or set TEND_CARRIER")
            if self._old is not None:
                raise StartError(f"{where} runs on a virtual clock, which needs the sandbox carrier: use another one")
        if self._kept is None:
            return
        if self._old is None:
            if asked.virtual:
                raise StartError(
                    f"{where} has run on the real clock: leave out --clock and --pace, or use another --data-dir"
                )
        elif asked.clock is not None and _said(asked) != self._kept["clock"]:
            raise StartError(
                f"{where} runs on a clock that was started at {self._kept['clock']}: "
                "leave out --clock to go on, or use another --data-dir"
            )

    def run(self, servers_took: float = 0.0) -> Clock:
        """Lets product time run (a virtual clock: once its users have had time to start) and writes the clock down.

        Called just before its users start, which read it once, so the moment at which it begins is set here.
        `servers_took` is in real seconds.
        """
        now, asked, directory = datetime.now(UTC), self._asked, self._directory
        least, most = STANDS_FOR
        begins = now + min(max(least, timedelta(seconds=2 * servers_took)), most)
        if self._kept is None:
            clock = virtual_clock(begins, asked.start or now, asked.paces) if self.virtual else Clock()
            self._kept = {"virtual": self.virtual, "clock": _said(asked), "pace": asked.pace or "1"}
            directory.clock.unlink(missing_ok=True)
            if clock.virtual:  # a clock.json alone would look like that of a directory that has run
                write_private(directory.clock_start, json.dumps(self._kept | {_HALF: True}, indent=1))
        elif self._old is None:
            return Clock()
        else:
            clock = go_on(self._old, min(self._stopped(), begins), begins)
            if self.pace_changed:
                clock = virtual_clock(begins, clock.product(begins), asked.paces)
                self._kept["pace"] = asked.pace or "1"
        if clock.virtual:
            # In this order: a fresh sign of life beside the old clock would count the time of the stop as run.
            write_private(directory.clock, clock.dump())
            self._beat()
        write_private(directory.clock_start, json.dumps(self._kept, indent=1))
        return clock

    async def keep_alive(self) -> None:
        """Says until cancelled that product time runs, and once more at the end. Does nothing on the real clock."""
        if not self.virtual:
            return
        try:
            while True:
                self._beat()
                await asyncio.sleep(BEAT)
        finally:
            self._beat()

    def _beat(self) -> None:
        now = time.time_ns()
        self._directory.clock_alive.touch()
        os.utime(self._directory.clock_alive, ns=(now, now))

    def _stopped(self) -> datetime:
        """When product time last ran; without a sign of life it never did since the clock was written."""
        assert self._old is not None
        written = self._old.segments[0].real
        try:
            return max(written, datetime.fromtimestamp(self._directory.clock_alive.stat().st_mtime, UTC))
        except FileNotFoundError:
            return written


async def begun(clock: Clock) -> None:
    """Returns once product time runs."""
    for segment in clock.segments[:1]:
        await asyncio.sleep(max(0.0, (segment.real - datetime.now(UTC)).total_seconds()))


def _said(asked: Asked) -> str:
    return "now" if asked.start is None else asked.start.isoformat()
