"""`tend demo` before anything runs: when its clock starts, and whose directory it may remove."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from filelock import FileLock

from config.data_dir import DataDir
from content.facilities import load_facilities
from demo.run import FACILITIES, MARKER, PACE, make_fresh, ten_o_clock
from domain.clock import parse_pace
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


def test_its_pace_is_one_that_the_clock_knows() -> None:
    assert parse_pace(PACE)


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
