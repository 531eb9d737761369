"""The clock of a data directory: kept over restarts, standing still while the stack is down, never swapped."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.data_dir import DataDir, write_private
from domain.clock import Clock, Segment
from stack.clock_file import STANDS_FOR, ClockFile, begun, parse
from stack.preflight import StartError, UsageError
from tests.stack.conftest import Until

START = "2026-03-02T10:00:00-06:00"
PRODUCT = datetime(2026, 3, 2, 16, tzinfo=UTC)


def clock_file(
    directory: DataDir, clock: str | None = None, pace: str | None = None, virtual: bool = True
) -> ClockFile:
    return ClockFile(directory, parse(clock, pace), virtual_allowed=virtual)


def went_down(directory: DataDir, at: datetime) -> None:
    """As if the stack had shown its last sign of life at `at`, real time."""
    directory.clock_alive.touch()
    os.utime(directory.clock_alive, (at.timestamp(), at.timestamp()))


def rewind(directory: DataDir, by: timedelta) -> None:
    """As if the clock had been written `by` ago."""
    clock = Clock.read(directory.clock)
    moved = tuple(type(s)(s.real - by, s.product, s.pace) for s in clock.segments)
    directory.clock.write_text(Clock(moved).dump())


def test_the_real_clock_writes_none(directory: DataDir) -> None:
    assert not clock_file(directory).run().virtual
    assert not directory.clock.exists()
    assert not clock_file(directory, "now", "1").run().virtual


@pytest.mark.parametrize(("clock", "pace"), [(START, None), (None, "60"), ("now", "360:5h,20000")])
def test_a_directory_of_the_real_clock_refuses_a_virtual_one(
    directory: DataDir, clock: str | None, pace: str | None
) -> None:
    clock_file(directory).run()
    with pytest.raises(StartError, match="has run on the real clock"):
        clock_file(directory, clock, pace)
    assert not directory.clock.exists()


def test_a_given_time_and_pace(directory: DataDir) -> None:
    before = datetime.now(UTC)
    clock = clock_file(directory, START, "3600").run()
    assert clock.segments[0].product == PRODUCT
    assert before <= clock.segments[0].real - STANDS_FOR[0] <= datetime.now(UTC)
    assert clock.product(clock.segments[0].real + timedelta(seconds=24)) == PRODUCT + timedelta(days=1)
    assert Clock.read(directory.clock) == clock


def test_a_pace_alone_starts_now(directory: DataDir) -> None:
    before = datetime.now(UTC)
    assert before <= clock_file(directory, None, "10").run().segments[0].product <= datetime.now(UTC)


def test_product_time_stands_still_while_the_stack_is_down(directory: DataDir) -> None:
    clock_file(directory, START, "3600").run()
    rewind(directory, timedelta(hours=2))
    began = Clock.read(directory.clock).segments[0].real
    went_down(directory, began + timedelta(seconds=24))
    clock = clock_file(directory).run()
    assert clock.segments[0].product == PRODUCT + timedelta(days=1)
    assert abs(datetime.now(UTC) - clock.segments[0].real) < timedelta(minutes=1)
    assert clock.segments[0].pace == 3600


def test_product_time_stands_still_while_its_users_start(directory: DataDir) -> None:
    for _ in range(3):  # however often it is stopped before it ran
        before = datetime.now(UTC)
        clock = clock_file(directory, START, "3600:1d,7").run()
        assert clock.segments[0].real >= before + STANDS_FOR[0]
        assert clock.product(clock.segments[0].real) == PRODUCT
        assert clock.segments[1].real - clock.segments[0].real == timedelta(seconds=24)
        went_down(directory, before)


def test_it_stands_longer_on_a_busy_machine_but_not_for_ever(directory: DataDir) -> None:
    began = datetime.now(UTC)
    for took, least in ((4.0, timedelta(seconds=8)), (1000.0, STANDS_FOR[1])):
        assert least <= clock_file(directory, START).run(took).segments[0].real - began <= least + timedelta(minutes=1)


async def test_it_is_told_when_product_time_runs() -> None:
    now = datetime.now(UTC)
    soon, ago = now + timedelta(seconds=0.01), now - timedelta(days=1)
    for real in (soon, ago):
        await begun(Clock((Segment(real, PRODUCT, 60.0),)))
        assert datetime.now(UTC) >= real
    await begun(Clock())


def test_a_crash_before_the_first_sign_of_life_lets_no_time_pass(directory: DataDir) -> None:
    clock_file(directory, START, "3600:1d,7").run()
    rewind(directory, timedelta(hours=2))
    went_down(directory, datetime.now(UTC) - timedelta(hours=3))
    clock = clock_file(directory).run()
    assert [(s.product, s.pace) for s in clock.segments] == [(PRODUCT, 3600), (PRODUCT + timedelta(days=1), 7)]
    directory.clock_alive.unlink()
    rewind(directory, timedelta(hours=2))
    assert clock_file(directory).run().segments[0].product == PRODUCT


def test_a_new_pace_holds_from_now_and_product_time_goes_on(directory: DataDir) -> None:
    clock_file(directory, START, "3600").run()
    rewind(directory, timedelta(hours=2))
    went_down(directory, Clock.read(directory.clock).segments[0].real + timedelta(seconds=24))
    clock = clock_file(directory, None, "7:1h,1").run()
    assert [(s.product, s.pace) for s in clock.segments] == [
        (PRODUCT + timedelta(days=1), 7),
        (PRODUCT + timedelta(days=1, hours=1), 1),
    ]


def test_the_same_command_line_goes_on_where_its_pace_was(directory: DataDir) -> None:
    clock_file(directory, START, "3600:1d,7").run()
    rewind(directory, timedelta(hours=2))
    went_down(directory, Clock.read(directory.clock).segments[0].real + timedelta(seconds=25))
    clock = clock_file(directory, START, "3600:1d,7").run()
    assert [(s.product, s.pace) for s in clock.segments] == [(PRODUCT + timedelta(days=1, seconds=7), 7)]


def test_another_clock_is_refused_and_the_same_instant_is_not(directory: DataDir) -> None:
    clock_file(directory, START).run()
    clock_file(directory, "2026-03-02T16:00:00Z").run()
    for other in ("now", "2026-03-03T10:00:00-06:00"):
        with pytest.raises(StartError, match="started at 2026-03-02T16:00:00"):
            clock_file(directory, other)


def test_virtual_clocks_need_the_sandbox_carrier(directory: DataDir) -> None:
    with pytest.raises(StartError, match="need the sandbox carrier"):
        clock_file(directory, None, "60", virtual=False)
    clock_file(directory, START).run()
    with pytest.raises(StartError, match="needs the sandbox carrier"):
        clock_file(directory, virtual=False)


def test_a_damaged_clock_is_told_and_kept(directory: DataDir) -> None:
    clock_file(directory, START).run()
    directory.clock.write_text("{")
    with pytest.raises(StartError, match="cannot be read"):
        clock_file(directory)
    assert directory.clock.read_text() == "{"
    directory.clock.unlink()
    with pytest.raises(StartError, match="cannot be read"):
        clock_file(directory)


@pytest.mark.parametrize(
    ("clock", "pace", "said"),
    [
        ("tomorrow", None, "--clock 'tomorrow': use now"),
        ("2026-03-02T10:00:00", None, "say the offset"),
        ("0001-01-01T00:00:00+14:00", None, "use now"),
        (None, "fast", "--pace 'fast': 'fast' is not a number"),
        (None, "0", "must be above 0"),
        (None, "360:5h", "every part but the last"),
    ],
)
def test_values_that_cannot_be(clock: str | None, pace: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(clock, pace)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_signs_of_life_until_the_end(directory: DataDir, until: Until) -> None:
    found = clock_file(directory, START)
    found.run()
    went_down(directory, datetime(2020, 1, 1, tzinfo=UTC))
    task = asyncio.create_task(found.keep_alive())
    await until(lambda: directory.clock_alive.stat().st_mtime > 1_700_000_000, "a sign of life")
    went_down(directory, datetime(2020, 1, 1, tzinfo=UTC))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert directory.clock_alive.stat().st_mtime > 1_700_000_000


def test_a_clock_without_what_it_was_started_with_is_refused(directory: DataDir) -> None:
    clock_file(directory, START, "60").run()
    directory.clock_start.unlink()
    with pytest.raises(StartError, match=r"clock\.start is missing"):
        clock_file(directory)


@pytest.mark.parametrize("written", [0, 1, 2], ids=["nothing", "what it starts with", "the clock too"])
@pytest.mark.parametrize("anew", [(START, "60"), ("2026-05-04T08:00:00-06:00", None), (None, None)], ids=str)
def test_a_first_start_that_was_stopped_while_its_clock_was_written_is_made_anew(
    directory: DataDir, monkeypatch: pytest.MonkeyPatch, written: int, anew: tuple[str | None, str | None]
) -> None:
    files: list[Path] = []

    def write(path: Path, text: str) -> None:
        if len(files) == written:
            raise KeyboardInterrupt
        write_private(path, text)
        files.append(path)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("stack.clock_file.write_private", write)
        clock_file(directory, START, "60").run()
    before = datetime.now(UTC)
    clock = clock_file(directory, *anew).run()
    assert Clock.read(directory.clock) == clock, "nothing is left of the other one"
    if anew[0] is None:
        assert not clock.virtual
    else:
        (segment,) = clock.segments
        assert segment.product == datetime.fromisoformat(anew[0])
        assert segment.real >= before + STANDS_FOR[0]
    with pytest.raises(StartError, match=r"has run on the real clock|runs on a clock that was started at"):
        clock_file(directory, "2026-06-01T08:00:00Z")
    assert clock_file(directory).virtual == clock.virtual
