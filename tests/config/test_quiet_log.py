"""What is logged of an exception: its types and places, and none of its words."""

import logging
from pathlib import Path

import pytest

from config.quiet_log import TypesAndPlaces

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
