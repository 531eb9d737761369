"""Times as the providers write them, and product time for the personas."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from domain.clock import Clock

GLANCE = 10.0  # real seconds after which a sleeper looks at the clock's file again: it may have been set anew


def iso(at: datetime) -> str:
    """UTC with milliseconds; of fixed width, so it sorts as text."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def rfc2822(at: str | None) -> str | None:
    """An `iso` time as Twilio's JSON and callbacks write it."""
    return None if at is None else format_datetime(datetime.fromisoformat(at))


class ProductTime:
    """The one clock, read from its file again whenever that changed. Times are aware and in UTC."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp = -1
        self._clock = Clock()

    def clock(self) -> Clock:
        if self._path is not None:
            stamp = self._path.stat().st_mtime_ns if self._path.exists() else -1
            if stamp != self._stamp:
                self._clock = Clock.read(self._path)
                self._stamp = stamp
        return self._clock

    def now(self) -> datetime:
        return self.clock().now()

    async def sleep(self, seconds: float) -> None:
        """Waits product seconds from now."""
        await self.until(self.now() + timedelta(seconds=seconds))

    async def until(self, product: datetime) -> None:
        """Waits until product time is `product`."""
        while (left := (self.clock().real(product) - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - time
            await asyncio.sleep(min(left, GLANCE))
