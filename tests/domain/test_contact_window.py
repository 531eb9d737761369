"""The contact window: open only where it is allowed in every zone the lead can be in."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contact_window import ALL_ZONES, CLOSES, OPENS, is_open, next_open

moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
places = st.sets(st.sampled_from(ALL_ZONES), min_size=1).map(lambda s: tuple(sorted(s)))


@given(moments, places)
def test_the_next_opening_is_open_and_stays_what_it_is(at: datetime, zones: tuple[str, ...]) -> None:
    opens = next_open(at, zones)
    assert is_open(opens, zones)
    assert opens >= at
    assert next_open(opens, zones) == opens
    assert opens - at < timedelta(hours=24)


@given(moments, places)
def test_nothing_before_it_is_open(at: datetime, zones: tuple[str, ...]) -> None:
    opens = next_open(at, zones)
    if opens == at:
        return
    assert not is_open(at, zones)
    assert not is_open(opens - timedelta(microseconds=1), zones)
    probe = at
    while probe < opens:
        assert not is_open(probe, zones)
        probe += timedelta(minutes=15)


@given(moments, places)
def test_open_means_between_eight_and_nine_in_every_zone(at: datetime, zones: tuple[str, ...]) -> None:
    assert is_open(at, zones) == all(OPENS <= at.astimezone(ZoneInfo(z)).time() < CLOSES for z in zones)


@given(moments, places, places)
def test_more_places_never_open_sooner(at: datetime, some: tuple[str, ...], more: tuple[str, ...]) -> None:
    assert next_open(at, (*some, *more)) >= next_open(at, some)


@given(moments, places)
def test_the_zone_in_which_a_time_is_said_is_no_matter(at: datetime, zones: tuple[str, ...]) -> None:
    elsewhere = at.astimezone(ZoneInfo("Asia/Kolkata"))
    assert next_open(elsewhere, zones) == next_open(at, zones)


def test_all_zones_stand_for_the_50_states_and_dc() -> None:
    """Each further zone of the country keeps the hours of one of these."""
    others = {
        "America/Detroit": "America/New_York",
        "America/Indiana/Indianapolis": "America/New_York",
        "America/Indiana/Tell_City": "America/Chicago",
        "America/Menominee": "America/Chicago",
        "America/Boise": "America/Denver",
        "America/Juneau": "America/Anchorage",
        "America/Nome": "America/Anchorage",
    }
    hour = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(365 * 4):
        hour += timedelta(hours=6)
        for name, stands_for in others.items():
            assert hour.astimezone(ZoneInfo(name)).utcoffset() == hour.astimezone(ZoneInfo(stands_for)).utcoffset()


def test_no_place_is_no_limit() -> None:
    assert next_open(datetime(2026, 1, 1, 3, tzinfo=UTC), ()) == datetime(2026, 1, 1, 3, tzinfo=UTC)


def test_zones_that_share_no_hour_are_an_error_and_not_a_search_without_end() -> None:
    with pytest.raises(ValueError, match="no hour"):
        next_open(datetime(2026, 1, 1, tzinfo=UTC), ("Etc/GMT-8", "Etc/GMT", "Etc/GMT+8"))
