"""Where a lead can be: the time zones that a postal code or a statement leaves open."""

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import zipcodes

from domain.contact_window import ALL_ZONES
from domain.errors import InvalidInput

_ZIP = re.compile(r"([0-9]{5})(?:-?[0-9]{4})?")


def candidate_zones(postal_code: str | None, stated_zone: str | None) -> tuple[str, ...]:
    """IANA zones, never empty: the ZIP's, else the stated one, else all of the 50 states and DC.

    A stated zone that is no place (UTC, as browsers say that tell nothing) leaves all open. Raises InvalidInput for
    one that does not exist.
    """
    stated = (stated_zone or "").strip()
    if stated and not _exists(stated):
        raise InvalidInput("timezone", "not a time zone; write it as in America/New_York")
    match = _ZIP.fullmatch((postal_code or "").strip())
    of_zip = _zones_of_zip(match[1]) if match else ()
    return of_zip or ((stated,) if _is_place(stated) else ALL_ZONES)


def _is_place(zone: str) -> bool:
    return "/" in zone and not zone.startswith("Etc/")


def warm_up() -> None:
    """Unpacks the table of ZIP codes (about 0.4 s, once a process), so that no lead waits for it."""
    _zones_of_zip("10001")


# a look-up scans the table in compiled code (about 0.5 ms); leads of a place share it
@lru_cache(maxsize=4096)
def _zones_of_zip(code: str) -> tuple[str, ...]:
    rows = zipcodes.matching(code)  # type: ignore[no-untyped-call]
    # military and a few other codes have no zone, and the table has slips: only what exists counts
    return tuple(sorted({row["timezone"] for row in rows if row["timezone"] and _exists(row["timezone"])}))


@lru_cache(maxsize=1024)
def _exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name in available_timezones()
