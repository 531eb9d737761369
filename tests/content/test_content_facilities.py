"""Facilities and the times that are free there, across both changes of the clocks."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from content.facilities import Facilities, Facility, free_times, load_facilities
from domain.errors import InvalidInput, InvalidSequence

SHIPPED = Path(__file__).parents[2] / "config" / "facilities.yaml"
ZONE = ZoneInfo("America/New_York")
DAY_AND_NIGHT = ((0, 24 * 60),) * 7


def local(text: str) -> datetime:
    """A wall-clock time in New York, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


def walls(times: list[datetime]) -> list[str]:
    return [t.astimezone(ZONE).strftime("%a %H:%M") for t in times]


@pytest.fixture
def facilities() -> Facilities:
    return load_facilities(SHIPPED)


@pytest.fixture
def main(facilities: Facilities) -> Facility:
    return facilities.get("main")


def always_open(slot_minutes: int = 30) -> Facility:
    return Facility("x", "X", "America/New_York", "1 Test Road", "+12125550100", DAY_AND_NIGHT, slot_minutes)


def test_the_demo_facility(main: Facility) -> None:
    assert (main.name, main.zone, main.phone) == ("Main Street Clinic", "America/New_York", "+12125550100")
    assert main.hours == (*((8 * 60, 18 * 60),) * 5, (9 * 60, 13 * 60), None)


def test_an_unknown_facility_is_the_default(facilities: Facilities, main: Facility) -> None:
    assert facilities.get(None) is facilities.get("") is facilities.get("elsewhere") is main


def test_within_opening_hours_and_not_before_an_hour_from_now(main: Facility) -> None:
    now = local("2026-03-05T15:10")  # a Thursday
    found = free_times(main, now, [], days=4, limit=1000)
    assert walls(found)[:6] == ["Thu 16:30", "Thu 17:00", "Thu 17:30", "Fri 08:00", "Fri 08:30", "Fri 09:00"]
    assert Counter(w[:3] for w in walls(found)) == {"Thu": 3, "Fri": 20, "Sat": 8}  # Sunday is closed
    assert walls(found)[-1] == "Sat 12:30"  # the last one ends when the door closes
    assert all(t.tzinfo is UTC for t in found)


def test_exactly_an_hour_from_now_is_free(main: Facility) -> None:
    assert walls(free_times(main, local("2026-03-05T15:00"), []))[0] == "Thu 16:00"


def test_the_limit(main: Facility) -> None:
    now = local("2026-03-05T07:00")
    assert len(free_times(main, now, [])) == 40
    assert len(free_times(main, now, [], limit=3)) == 3


def test_taken_times_are_left_out_and_so_is_what_overlaps_them(main: Facility) -> None:
    now = local("2026-03-05T06:00")
    taken = [local("2026-03-05T09:00"), local("2026-03-05T10:15")]
    found = walls(free_times(main, now, iter(taken), days=1))
    assert "Thu 08:30" in found and "Thu 09:30" in found and "Thu 11:00" in found
    assert not {"Thu 09:00", "Thu 10:00", "Thu 10:30"} & set(found)


def test_nothing_free(main: Facility) -> None:
    assert free_times(main, local("2026-03-08T12:00"), [], days=1) == []  # a Sunday


@pytest.mark.parametrize(
    ("monday", "offset"),
    [("2026-03-09T08:00", -4), ("2026-11-02T08:00", -5)],  # after the clocks went forward, and back
)
def test_doors_open_at_eight_by_the_wall_on_both_sides_of_a_change(main: Facility, monday: str, offset: int) -> None:
    now = local(monday) - timedelta(days=4)
    found = free_times(main, now, [], limit=1000)
    assert {w[4:] for w in walls(found) if w.startswith("Fri")} == {w[4:] for w in walls(found) if w.startswith("Mon")}
    first = next(t for t in found if t.astimezone(ZONE).strftime("%a") == "Mon")
    assert first == local(monday) and first.hour == 8 - offset


def test_the_hour_that_is_skipped_has_no_slot() -> None:
    found = free_times(always_open(), local("2026-03-07T23:30"), [], days=2, limit=1000)
    night = [w for w in walls(found) if w.startswith("Sun")]
    assert night[:5] == ["Sun 00:30", "Sun 01:00", "Sun 01:30", "Sun 03:00", "Sun 03:30"]
    assert len(night) == 45  # 23 hours, less the first half hour
    assert all(b - a == timedelta(minutes=30) for a, b in pairwise(found))


def test_the_hour_that_comes_twice_has_each_slot_once_per_hour() -> None:
    found = free_times(always_open(), local("2026-10-31T23:00"), [], days=2, limit=1000)
    night = [w for w in walls(found) if w.startswith("Sun")]
    assert night[:7] == [
        "Sun 00:00",
        "Sun 00:30",
        "Sun 01:00",
        "Sun 01:30",
        "Sun 01:00",
        "Sun 01:30",
        "Sun 02:00",
    ]
    assert len(night) == 50 and len(set(found)) == len(found)


def test_a_taken_first_one_o_clock_leaves_the_second_free() -> None:
    first = local("2026-11-01T01:00")  # fold 0: the earlier of the two
    found = free_times(always_open(), local("2026-10-31T23:00"), [first], days=2, limit=1000)
    assert first not in found and first + timedelta(hours=1) in found


TIMES = "must be closed or two times, the earlier first, as in ['08:00', '18:00']"
GOOD = """\
default: main
facilities:
  main:
    name: Main
    zone: America/New_York
    address: 1 Test Road
    phone: "+12125550100"
    slot_minutes: 30
    hours: {mon: ["08:00", "24:00"], tue: closed, wed: closed, thu: closed, fri: closed, sat: closed, sun: closed}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("default: main", "default: other", "default: 'other' is none of main"),
        ("default: main\n", "", "missing default"),
        (
            "  main:\n",
            "  Main:\n",
            "facilities: 'Main' must be lower-case letters, digits, _ and -, beginning with a letter",
        ),
        (
            "America/New_York",
            "Springfield",
            "main: zone: 'Springfield' is no time zone; write for instance America/New_York",
        ),
        ('"+12125550100"', "+12125550100", "main: phone: text expected; quote it"),
        ('"+12125550100"', "555-0100", "main: phone: '555-0100' is no number; write it as in +12125550100"),
        ("name: Main", "name: 7", "main: name: text expected"),
        ("slot_minutes: 30", "slot_minutes: 0", "main: slot_minutes: 0 must be a whole number from 5 to 480"),
        ("slot_minutes: 30", "slot_minutes: true", "main: slot_minutes: True must be a whole number from 5 to 480"),
        (
            '["08:00", "24:00"]',
            "[18:00, 08:00]",
            f"main: hours: mon: ['18:00', '08:00'] {TIMES}",
        ),
        (
            "tue: closed",
            "tue: shut",
            f"main: hours: tue: 'shut' {TIMES}",
        ),
        (", sun: closed", "", "main: hours: missing sun"),
        ("slot_minutes: 30", "slot: 30", "main: missing slot_minutes"),
        ("slot_minutes: 30", "slot_minutes: 30\n    fax: none", "main: unknown fax"),
    ],
)
def test_a_bad_file_is_refused_with_place_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "facilities.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InvalidSequence) as e:
        load_facilities(path)
    assert str(e.value) == f"facilities.yaml: {message}"


def test_open_until_midnight_and_times_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "facilities.yaml"
    path.write_text(GOOD.replace('["08:00", "24:00"]', "[18:00, 24:00]"))
    facility = load_facilities(path).get(None)
    assert facility.hours[0] == (18 * 60, 24 * 60)
    assert walls(free_times(facility, local("2026-03-02T06:00"), []))[-1] == "Mon 23:30"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidSequence, match=r"^facilities.yaml: cannot be read \(No such file or directory\)$"):
        load_facilities(tmp_path / "facilities.yaml")


def test_an_unknown_facility_is_refused_with_the_known_ones() -> None:
    known = load_facilities(SHIPPED)
    known.check("facility", "main")
    known.check("facility")
    with pytest.raises(InvalidInput, match="facility: is no facility of ours; give one of main") as refused:
        known.check("facility", "main", "downtown-typo")
    assert refused.value.field == "facility"
    assert "typo" not in str(refused.value)
