"""The one clock: product time as a function of real time.

Product time is what cadences, contact windows, appointments and task leases live on. It equals real time unless a
virtual clock is set, which is a list of segments: from `real` on, product time runs from `product` at `pace` product
seconds a real second. All times are aware and in UTC.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from domain.errors import InvalidClock

_DURATION = re.compile(r"(?P<n>\d+(\.\d+)?)(?P<unit>[smhd])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 36500 * 86400.0
MICROSECOND = timedelta(microseconds=1)
# Real. Clocks of two machines that keep time agree within a second; a claim lives 15 s.
APART = timedelta(seconds=10)
# So much before its claim a touch may be dated in its carrier's list: by a clock behind ours, and in whole seconds.
DATED_BEFORE = APART + timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Segment:
    """From `real` (UTC) on, product time runs from `product` at `pace` product seconds a real second."""

    real: datetime
    product: datetime
    pace: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns real into product time and back. With no segments both are the same."""

    segments: tuple[Segment, ...] = ()

    @property
    def virtual(self) -> bool:
        return bool(self.segments)

    def product(self, real: datetime) -> datetime:
        """The product time at a real instant; before the first segment it stands still."""
        if not self.segments:
            return real
        segment = self.segments[0]
        for later in self.segments[1:]:
            if later.real > real:
                break
            segment = later
        passed = max(0.0, (real - segment.real).total_seconds())
        return segment.product + timedelta(seconds=passed * segment.pace)

    def real(self, product: datetime) -> datetime:
        """The first real instant at which product time is `product` or later (rounded up)."""
        if not self.segments:
            return product
        segment = self.segments[0]
        for later in self.segments[1:]:
            if later.product > product:
                break
            segment = later
        passed = max(0.0, (product - segment.product).total_seconds())
        micros = math.ceil(passed / segment.pace * 1_000_000)
        instant = segment.real + timedelta(microseconds=micros)
        while self.product(instant) < product:  # float dust: never early
            instant += MICROSECOND
        return instant

    def now(self) -> datetime:
        return self.product(datetime.now(UTC))

    def at_most(self, real: timedelta) -> timedelta:
        """The most product time that passes in so much real time."""
        return real * max((s.pace for s in self.segments), default=1.0)

    def dump(self) -> str:
        rows = [{"real": s.real.isoformat(), "product": s.product.isoformat(), "pace": s.pace} for s in self.segments]
        return json.dumps({"segments": rows}, indent=1)

    @classmethod
    def load(cls, text: str) -> Self:
        rows = json.loads(text)["segments"]
        return cls(
            tuple(
                Segment(datetime.fromisoformat(r["real"]), datetime.fromisoformat(r["product"]), float(r["pace"]))
                for r in rows
            )
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """The clock kept in a file; the real one if there is none."""
        return cls.load(path.read_text()) if path.exists() else cls()


@dataclass(frozen=True, slots=True)
class Pace:
    """One stretch of a pace: `pace` for `lasts` product seconds (None: for ever)."""

    pace: float
    lasts: float | None


def parse_pace(text: str) -> tuple[Pace, ...]:
    """`"3600"` or `"360:5h,20000"`: the first 5 product hours at 360, the rest at 20000. Raises InvalidClock."""
    out: list[Pace] = []
    parts = [part.strip() for part in text.split(",")]
    for i, part in enumerate(parts):
        pace, _, lasts = part.partition(":")
        last = i == len(parts) - 1
        if last == bool(lasts):
            raise InvalidClock(f"pace {text!r}: every part but the last needs a length, as in 360:5h,20000")
        try:
            value = float(pace)
        except ValueError:
            raise InvalidClock(f"pace {text!r}: {pace!r} is not a number") from None
        if not (0 < value <= 1_000_000):
            raise InvalidClock(f"pace {text!r}: must be above 0 and at most 1000000")
        seconds: float | None = None
        if lasts:
            match = _DURATION.fullmatch(lasts)
            if match is None:
                raise InvalidClock(f"pace {text!r}: {lasts!r} is not a length like 90m, 5h or 2d")
            seconds = float(match["n"]) * _UNITS[match["unit"]]
            if not (0 < seconds <= _LONGEST):
                raise InvalidClock(f"pace {text!r}: {lasts!r} must be above 0 and at most 36500d")
        out.append(Pace(value, seconds))
    return tuple(out)


def virtual_clock(real: datetime, product: datetime, paces: Sequence[Pace]) -> Clock:
    """A clock that shows `product` at `real` and then runs through `paces`."""
    segments: list[Segment] = []
    for pace in paces:
        segments.append(Segment(real, product, pace.pace))
        if pace.lasts is not None:
            real += timedelta(seconds=pace.lasts / pace.pace)
            product += timedelta(seconds=pace.lasts)
    return Clock(tuple(segments))


def go_on(clock: Clock, stopped: datetime, real: datetime) -> Clock:
    """The same virtual clock, having stood still from real `stopped` until real `real`."""
    if not clock.segments:
        return clock
    product = clock.product(stopped)
    running = max((s for s in clock.segments if s.real <= stopped), key=lambda s: s.real, default=clock.segments[0])
    gap = real - stopped
    later = tuple(Segment(s.real + gap, s.product, s.pace) for s in clock.segments if s.real > stopped)
    return Clock((Segment(real, product, running.pace), *later))
