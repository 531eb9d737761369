"""What is logged of an exception: its types and places, and none of its words."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from config.quiet_log import ROOT, TypesAndPlaces

SECRET = "+15550100"


def wrapped() -> None:
    try:
        int(SECRET + "x")
    except ValueError as error:
        raise RuntimeError(f"could not write to {SECRET}") from error


def as_logged(call: object) -> str:
    log = logging.getLogger("tests.quiet")
    record = None
    try:
        assert callable(call)
        call()
    except Exception as error:
        record = log.makeRecord(
            log.name, logging.ERROR, __file__, 1, "failed", (), (type(error), error, error.__traceback__)
        )
    assert record is not None
    return TypesAndPlaces("%(levelname)s: %(message)s").format(record)


def test_an_exception_is_told_by_types_and_places_of_the_whole_chain() -> None:
    said = as_logged(wrapped).splitlines()
    assert said[0] == "ERROR: failed"
    assert said[1].startswith("  RuntimeError: tests/config/test_quiet_log.py:")
    assert " in as_logged > tests/config/test_quiet_log.py:" in said[1]
    assert said[1].endswith(" in wrapped")
    assert said[2].startswith("  ValueError: ")
    assert len(said) == 3


def test_none_of_its_words_is_written() -> None:
    assert SECRET not in as_logged(wrapped)


def test_a_cause_that_was_told_away_is_not_asked_for() -> None:
    def told_away() -> None:
        try:
            int(SECRET + "x")
        except ValueError:
            raise RuntimeError from None

    assert "ValueError" not in as_logged(told_away)


def test_what_was_being_done_meanwhile_is_told() -> None:
    def meanwhile() -> None:
        try:
            int("x")
        except ValueError:
            Path("/no/such/place").read_bytes()

    assert "ValueError" in as_logged(meanwhile)
    assert "FileNotFoundError" in as_logged(meanwhile)


def test_an_error_in_a_library_shows_where_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> None:
        pytest.fail("words")

    try:
        call()
    except BaseException as error:
        said = TypesAndPlaces().formatException((type(error), error, error.__traceback__))
    assert "_pytest/outcomes.py:" in said


def test_a_group_tells_of_each_of_its_own() -> None:
    def together() -> None:
        raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])

    said = as_logged(together)
    assert "ExceptionGroup" in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert SECRET not in said


_DIES = f"""
import asyncio, gc, sys, threading
from config.quiet_log import write_quietly
write_quietly()
def fails(): raise ValueError("{SECRET}")
thread = threading.Thread(target=fails); thread.start(); thread.join()
async def main():
    async def fails_too(): fails()
    task = asyncio.create_task(fails_too())
    while not task.done(): await asyncio.sleep(0)
    del task; gc.collect()
asyncio.run(main())
class Left:
    def __del__(self): fails()
left = Left(); del left; gc.collect()
fails()
"""


def test_neither_a_thread_nor_a_task_nor_the_process_ends_with_words() -> None:
    done = subprocess.run([sys.executable, "-c", _DIES], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr
    for told in ("a thread ended by", "Task exception was never retrieved", "an error in vain", "ended by"):
        assert told in done.stderr
    assert done.stderr.count("  ValueError: ") == 4
