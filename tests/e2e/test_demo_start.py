"""`tend demo` before anything runs: its clock, whose directory it may remove, and the commands it gives at the end."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from filelock import FileLock

from config.data_dir import DataDir
from content.facilities import load_facilities
from demo.closing import commands
from demo.pace import AFTERWARDS, LASTS, STRETCHES, pace_text, real_time
from demo.run import FACILITIES, MARKER, make_fresh, ten_o_clock
from domain.clock import parse_pace, virtual_clock
from stack.preflight import StartError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-03-03T12:00:00-05:00", "2026-03-04"),  # a Tuesday
        ("2026-03-05T23:59:00-05:00", "2026-03-06"),
        ("2026-03-06T00:01:00-05:00", "2026-03-09"),  # Friday, and the clocks change on Sunday
        ("2026-03-08T12:00:00-05:00", "2026-03-09"),
    ],
)
def test_it_begins_at_ten_on_the_next_weekday(now: str, day: str) -> None:
    facility = load_facilities(FACILITIES).get(None)
    begins = ten_o_clock(facility, datetime.fromisoformat(now).astimezone(UTC))
    there = begins.astimezone(ZoneInfo(facility.zone))
    assert there.strftime("%Y-%m-%d %H:%M") == f"{day} 10:00"
    assert there.weekday() < 5


BEGAN = datetime(2026, 3, 4, 15, tzinfo=UTC)


def test_its_clock_goes_through_all_stretches() -> None:
    paces = parse_pace(pace_text())
    clock = virtual_clock(BEGAN, BEGAN, paces)
    assert clock.product(BEGAN + real_time()) - BEGAN - LASTS < timedelta(seconds=1)
    assert [s.product - BEGAN for s in clock.segments[1:]] == [stretch.until for stretch in STRETCHES]
    assert paces[-1].pace == AFTERWARDS


def test_it_takes_about_a_minute_and_is_slow_while_people_work() -> None:
    assert timedelta(seconds=50) < real_time() < timedelta(seconds=70)
    clock = virtual_clock(BEGAN, BEGAN, parse_pace(pace_text()))

    def lasts(days: int, hours: int, product: timedelta) -> timedelta:
        at = BEGAN + timedelta(days=days, hours=hours, minutes=2)
        return clock.real(at + product) - clock.real(at)

    # a call waits ten minutes for somebody to claim it; the confirmation of a stop may take five
    calls = ((0, 0), (0, 1), (0, 4), (2, 0), (2, 4), (7, 0), (9, 0))
    assert all(lasts(days, hours, timedelta(minutes=10)) > timedelta(seconds=1.4) for days, hours in calls)
    assert lasts(0, 0, timedelta(minutes=5)) == timedelta(seconds=5)


def test_each_command_is_one_line_that_a_shell_can_read(tmp_path: Path) -> None:
    endpoints = {name: f"http://127.0.0.1:{port}" for name, port in (("api", 1), ("temporal_ui", 2), ("sandbox", 3))}
    for what, command in commands(endpoints, tmp_path / "it's a demo"):
        assert "\n" not in command
        assert "'" not in what  # a comment that is pasted with its command must not open a quotation
        done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)


def test_a_demo_directory_is_made_anew(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "demo")
    make_fresh(directory)
    (directory.path / "left.txt").write_text("of the last time")
    make_fresh(directory)
    assert (directory.path / MARKER).exists()
    assert not (directory.path / "left.txt").exists()


def test_a_running_demo_is_left_alone(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "demo")
    make_fresh(directory)
    with FileLock(directory.lock), pytest.raises(StartError, match="another demo is running"):
        make_fresh(directory)
    assert (directory.path / MARKER).exists()


def test_any_other_directory_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("kept")
    done = subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--once", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"tend: --data-dir {tmp_path} is not a demo's directory: give another one, or remove it yourself"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]
