"""When a lead may be contacted: open only while it is allowed in every zone the lead can be in.

Federal window 8:00-21:00 at the called party's place: 47 CFR 64.1200(c)(1).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

OPENS, CLOSES = time(8), time(21)
WINDOW = "contact window: 8:00 to 21:00 in every zone the lead can be in"
_SEARCHED = timedelta(days=8)

# Every zone of the 50 states and DC that differs in offset or in daylight saving.
ALL_ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Adak",
    "Pacific/Honolulu",
)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_open(at: datetime, zones: Iterable[str]) -> bool:
    """Whether `at` (UTC) lies within the window in every zone."""
    return all(OPENS <= at.astimezone(_zone(z)).time() < CLOSES for z in zones)


def next_open(at: datetime, zones: Iterable[str]) -> datetime:
    """The first instant from `at` (UTC) on at which every zone's window is open.

    Raises ValueError if there is none within some days: zones so far apart that they share no hour.
    """
    names = tuple(zones)
    moment = at
    while moment - at < _SEARCHED:
        latest = max((_open_in(moment, name) for name in names), default=moment)
        if latest == moment:
            return moment
        moment = latest
    raise ValueError(f"no hour is within the contact window in all of {', '.join(names)}")


def closes(at: datetime, zones: Iterable[str]) -> datetime:
    """When the window next closes in the first of the zones, from `at` (UTC, within the window) on."""
    days = ((at.astimezone(_zone(z)).date(), _zone(z)) for z in zones)
    return min(datetime.combine(day, CLOSES, zone).astimezone(UTC) for day, zone in days)


def _open_in(at: datetime, name: str) -> datetime:
    local = at.astimezone(_zone(name))
    if local.time() < OPENS:
        day = local.date()
    elif local.time() >= CLOSES:
        day = local.date() + timedelta(days=1)
    else:
        return at
    return datetime.combine(day, OPENS, _zone(name)).astimezone(UTC)


def after_repeat(known: tuple[str, ...], given: tuple[str, ...], at: datetime, *, same_number: bool) -> tuple[str, ...]:
    """The zones a lead can be in after a repeat inquiry: wherever either inquiry says.

    One that names no place tells nothing new. A first place narrows what was unknown only where the number is the same:
    another number may be elsewhere.
    """
    if _anywhere(given):
        return known
    if _anywhere(known):
        return given if same_number else known
    both = tuple(dict.fromkeys((*known, *given)))
    try:
        next_open(at, both)
    except ValueError:  # places so far apart that they share no hour: the newest is where the person is now
        return given
    return both


def _anywhere(zones: Iterable[str]) -> bool:
    return set(zones) >= set(ALL_ZONES)
