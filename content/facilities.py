"""Facilities: places of care with their zone and hours, and the times that are free there."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from content.yaml_file import read_yaml
from domain.errors import InvalidInput, InvalidSequence

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NOTICE = timedelta(hours=1)  # nobody can come sooner
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_FIELDS = ("name", "zone", "address", "phone", "hours", "slot_minutes")

Hours = tuple[int, int]  # minutes of the day, local: open from, until


@dataclass(frozen=True, slots=True)
class Facility:
    """`hours` from Monday to Sunday, None when closed. `phone` is E.164."""

    key: str
    name: str
    zone: str
    address: str
    phone: str
    hours: tuple[Hours | None, ...]
    slot_minutes: int


@dataclass(frozen=True, slots=True)
class Facilities:
    by_key: Mapping[str, Facility]
    default: str

    def get(self, key: str | None) -> Facility:
        """The facility of that key; the default one if it is unknown or not given."""
        return self.by_key.get(key or self.default) or self.by_key[self.default]

    def check(self, field: str, *keys: str) -> None:
        """Raises InvalidInput, naming `field` and the known keys, if one of `keys` is unknown."""
        if any(key not in self.by_key for key in keys):
            raise InvalidInput(field, f"is no facility of ours; give one of {', '.join(self.by_key)}")


def free_times(
    facility: Facility, now: datetime, taken: Iterable[datetime], days: int = 7, limit: int = 40
) -> list[datetime]:
    """Starts of free slots (UTC), earliest first, from today on for `days` days at the facility. `taken`: starts."""
    slot, zone = timedelta(minutes=facility.slot_minutes), ZoneInfo(facility.zone)
    busy = sorted(at for at in taken if at > now - slot)
    today = now.astimezone(zone).date()
    out: list[datetime] = []
    for day in (today + timedelta(days=n) for n in range(days)):
        hours = facility.hours[day.weekday()]
        if hours is None:
            continue
        # in UTC, so that a change of the clocks neither repeats nor skips a slot
        at, closes = _instant(day, hours[0], zone), _instant(day, hours[1], zone)
        while at + slot <= closes:
            if at >= now + NOTICE and not any(at - slot < other < at + slot for other in busy):
                out.append(at)
                if len(out) == limit:
                    return out
            at += slot
    return out


def _instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    days, rest = divmod(minutes, 24 * 60)
    return datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone).astimezone(UTC)


# --- reading ---------------------------------------------------------------------------------------------------------


def load_facilities(path: Path) -> Facilities:
    """Raises InvalidSequence naming file, facility and remedy."""
    raw = read_yaml(path)
    try:
        return _facilities(raw)
    except InvalidSequence as e:
        raise InvalidSequence(f"{path.name}: {e}") from None


def _facilities(raw: Any) -> Facilities:
    _keys(raw, "", {"default", "facilities"})
    if not isinstance(raw["facilities"], Mapping) or not raw["facilities"]:
        raise InvalidSequence("facilities: at least one facility by its key expected")
    found = {key: _facility(key, one) for key, one in raw["facilities"].items()}
    if raw["default"] not in list(found):
        raise InvalidSequence(f"default: {raw['default']!r} is none of {', '.join(found)}")
    return Facilities(found, raw["default"])


def _facility(key: Any, raw: Any) -> Facility:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidSequence(
            f"facilities: {key!r} must be lower-case letters, digits, _ and -, beginning with a letter"
        )
    _keys(raw, f"{key}: ", set(_FIELDS))
    for field in ("name", "address", "zone", "phone"):
        if not isinstance(raw[field], str) or not raw[field].strip():
            raise InvalidSequence(f"{key}: {field}: text expected" + ("; quote it" if field == "phone" else ""))
    try:
        ZoneInfo(raw["zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSequence(
            f"{key}: zone: {raw['zone']!r} is no time zone; write for instance America/New_York"
        ) from None
    try:
        number = phonenumbers.parse(raw["phone"])
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise InvalidSequence(f"{key}: phone: {raw['phone']!r} is no number; write it as in +12125550100")
    slot = raw["slot_minutes"]
    if type(slot) is not int or not 5 <= slot <= 480:
        raise InvalidSequence(f"{key}: slot_minutes: {slot!r} must be a whole number from 5 to 480")
    hours = raw["hours"]
    _keys(hours, f"{key}: hours: ", set(WEEKDAYS))
    week = tuple(_hours(hours[day], f"{key}: hours: {day}") for day in WEEKDAYS)
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Facility(key, raw["name"].strip(), raw["zone"], raw["address"].strip(), phone, week, slot)


def _hours(raw: Any, where: str) -> Hours | None:
    if raw == "closed":
        return None
    if isinstance(raw, list) and len(raw) == 2 and all(isinstance(t, str) and _TIME.fullmatch(t) for t in raw):
        opens, closes = (int(t[:2]) * 60 + int(t[3:]) for t in raw)
        if opens < closes:
            return opens, closes
    raise InvalidSequence(f"{where}: {raw!r} must be closed or two times, the earlier first, as in ['08:00', '18:00']")


def _keys(raw: Any, where: str, wanted: set[str]) -> None:
    if not isinstance(raw, Mapping):
        raise InvalidSequence(f"{where}a mapping with {', '.join(sorted(wanted))} expected")
    missing, extra = wanted - raw.keys(), raw.keys() - wanted
    if missing or extra:
        word, keys = ("missing", missing) if missing else ("unknown", extra)
        raise InvalidSequence(f"{where}{word} {', '.join(sorted(map(str, keys)))}")
