"""How much a sender may take on: limits that hold over all workers. Times are real; None: no limit."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.priority import Priority
from domain.touches import Channel

# T-Mobile counts a 10DLC sender's day from midnight of Pacific time.
_DAY_IN: Final = ZoneInfo("America/Los_Angeles")
# Of a day's limit imports leave so much to those who have just asked.
_IMPORTS_MAY_USE = 0.8
CALLS_FULL_FOR = timedelta(seconds=5)  # until it is looked again whether a line is free
DAY_FULL_FOR = timedelta(seconds=15)  # until it is known what became of those who have the day's last places
# After the provider's "too many requests" its channel's touches come back one after the other, so far apart.
_APART = 0.2
_APART_JUST_ASKED = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """`per_second` and `per_day` by channel; `calls`: at one time."""

    per_second: dict[Channel, float] = field(default_factory=dict)
    per_day: dict[Channel, int] = field(default_factory=dict)
    calls: int | None = None


def day_of(now: datetime) -> str:
    """The day that a touch counts for, as a date."""
    return now.astimezone(_DAY_IN).date().isoformat()


def next_day(now: datetime) -> datetime:
    """When the next one begins."""
    tomorrow = now.astimezone(_DAY_IN).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=_DAY_IN)


def share_of_day(limit: int, priority: Priority) -> int:
    """Of any limit imports get at least one."""
    return max(1, int(limit * _IMPORTS_MAY_USE)) if priority is Priority.IMPORTED else limit


def comes_back(until: datetime, place: int, priority: Priority, per_second: float | None) -> datetime:
    """When the touch at this place of those that wait for the provider goes again."""
    apart = 1 / per_second if per_second else _APART
    if priority <= Priority.INQUIRY:
        apart = min(apart, _APART_JUST_ASKED)
    return until + timedelta(seconds=place * apart)
