"""What time it is for an activity."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from domain.clock import APART
from domain.errors import ClocksApart

Wall = Callable[[], datetime]


def wall() -> datetime:
    return datetime.now(UTC)


class Watch:
    """Real time since the activity began. Raises ClocksApart.

    A process that was frozen once it had the work begins later, by its own clock, than Temporal says. Where Temporal's
    clock is far ahead, its timers ring too early: then nothing is done until they agree.
    """

    def __init__(self, ours: Wall = wall) -> None:
        started, now = activity.info().started_time, ours()
        if started - now > APART:
            raise ClocksApart("Temporal", started - now)
        self._began, self._at = max(started, now), time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=time.monotonic() - self._at)
