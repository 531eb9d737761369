"""The one clock: real into product time and back, paces, and standing still."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import Clock, Pace, Segment, go_on, parse_pace, virtual_clock
from domain.errors import InvalidClock

REAL = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRODUCT = datetime(2026, 6, 1, 14, tzinfo=UTC)
DEMO = virtual_clock(REAL, PRODUCT, parse_pace("360:5h,20000"))

paces = st.floats(min_value=0.01, max_value=1_000_000, allow_nan=False)
clocks = st.lists(st.tuples(paces, st.floats(min_value=1, max_value=1e6)), max_size=3).flatmap(
    lambda stretches: paces.map(
        lambda last: virtual_clock(REAL, PRODUCT, [*(Pace(p, lasts) for p, lasts in stretches), Pace(last, None)])
    )
)
seconds = st.floats(min_value=0, max_value=3e4, allow_nan=False)


def fastest(clock: Clock) -> float:
    return max(s.pace for s in clock.segments)


def test_the_real_clock_is_real() -> None:
    clock = Clock()
    assert not clock.virtual
    assert clock.product(REAL) == clock.real(REAL) == REAL
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert go_on(clock, REAL, REAL + timedelta(days=1)) is clock


def test_the_demo_is_slow_for_five_hours_and_fast_after() -> None:
    assert DEMO.product(REAL) == PRODUCT
    assert DEMO.product(REAL + timedelta(seconds=50)) == PRODUCT + timedelta(hours=5)
    assert DEMO.product(REAL + timedelta(seconds=51)) == PRODUCT + timedelta(hours=5, seconds=20000)
    assert DEMO.real(PRODUCT + timedelta(hours=5)) == REAL + timedelta(seconds=50)
    assert DEMO.product(REAL - timedelta(hours=1)) == PRODUCT  # before it began it stands still
    assert DEMO.real(PRODUCT - timedelta(hours=1)) == REAL


def test_a_week_passes_in_half_a_minute() -> None:
    clock = virtual_clock(REAL, PRODUCT, parse_pace("20160"))
    assert clock.real(PRODUCT + timedelta(days=7)) - REAL == timedelta(seconds=30)


@given(clocks, seconds)
def test_real_is_never_early_and_the_first_microsecond_that_is_not(clock: Clock, passed: float) -> None:
    due = PRODUCT + timedelta(seconds=passed)
    at = clock.real(due)
    assert clock.product(at) >= due
    assert clock.product(at) - due <= timedelta(microseconds=2 + 2 * fastest(clock))
    earlier = at - timedelta(microseconds=2)
    assert clock.product(earlier) <= due


@given(clocks, seconds, seconds)
def test_product_time_never_goes_back(clock: Clock, a: float, b: float) -> None:
    first, second = sorted((REAL + timedelta(seconds=a), REAL + timedelta(seconds=b)))
    assert clock.product(first) <= clock.product(second)


@given(clocks, seconds)
def test_there_and_back(clock: Clock, passed: float) -> None:
    at = REAL + timedelta(seconds=passed)
    back = clock.real(clock.product(at))
    slowest = min(s.pace for s in clock.segments)
    assert abs((back - at).total_seconds()) <= 2e-6 + 1e-6 / slowest


@given(clocks, seconds, seconds, seconds)
def test_it_goes_on_as_if_the_time_away_had_not_been(clock: Clock, stopped: float, away: float, more: float) -> None:
    stop = REAL + timedelta(seconds=stopped)
    start = stop + timedelta(seconds=away)
    after = go_on(clock, stop, start)
    dust = timedelta(microseconds=2 + 2 * fastest(clock))
    assert after.product(start) == clock.product(stop)
    assert after.product(stop) == clock.product(stop)  # while it was away it stood still
    later = timedelta(seconds=more)
    assert abs(after.product(start + later) - clock.product(stop + later)) <= dust


def test_it_is_kept_in_a_file_to_the_microsecond(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    assert Clock.read(path) == Clock()
    odd = Clock((Segment(REAL + timedelta(microseconds=1), PRODUCT - timedelta(microseconds=7), 0.1), *DEMO.segments))
    path.write_text(odd.dump())
    assert Clock.read(path) == odd


def test_paces_are_read() -> None:
    assert parse_pace("3600") == (Pace(3600, None),)
    assert parse_pace(" 360:90m , 0.5 ") == (Pace(360, 5400), Pace(0.5, None))
    assert parse_pace("1:30s,2:2d,3") == (Pace(1, 30), Pace(2, 172800), Pace(3, None))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a number"),
        ("fast", "is not a number"),
        ("0", "above 0"),
        ("-1", "above 0"),
        ("nan", "above 0"),
        ("inf", "at most 1000000"),
        ("1000001", "at most 1000000"),
        ("360:5h", "every part but the last needs a length"),
        ("360,20000", "every part but the last needs a length"),
        ("360:5,20000", "is not a length like 90m, 5h or 2d"),
        ("360:5 h,20000", "is not a length"),
        ("360:0h,20000", "above 0"),
        ("360:999999999999d,1", "at most 36500d"),
        ("360:5h,", "is not a number"),
    ],
)
def test_a_pace_that_cannot_be_says_why(text: str, says: str) -> None:
    with pytest.raises(InvalidClock, match=says):
        parse_pace(text)
