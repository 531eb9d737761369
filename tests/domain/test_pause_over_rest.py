"""A pause over a rest: it ends first, and the rest goes on as it was, whatever that waits for."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args

import pytest

from domain import facts as f
from domain.commands import Mode
from domain.consequences import BOOKING_EXPECTED, task_id
from domain.errors import Refused
from domain.lead_state import State
from domain.touches import Disposition, TouchStatus
from tests.domain.lead_story import Story, at_noon, at_the_call, going_on, moved, ny, paused, resume
from tests.domain.sequences import BOOK, sequence


def reply_waits() -> tuple[Story, str]:
    story = at_noon()
    return story, story.replies()


def outcome_waits() -> tuple[Story, str]:
    """Spoken with on the phone, and nobody has entered yet what came of it."""
    story = at_the_call()
    task = story.call("call1")
    story.call_ends(task, Disposition.ANSWERED)
    return story, task


def booking_waits() -> tuple[Story, str]:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    return story, task_id(story.state.lead_id, BOOKING_EXPECTED)


def held_by_its_step() -> tuple[Story, str]:
    """`if_unknown: hold`, and a person finds out."""
    step = {"key": "first", "sms": "hello", "after": "1h", "if_unknown": "hold"}
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(sequence(step, key="consultation")))
    story.slow = (TouchStatus.UNKNOWN, None)
    story.run("2026-06-02 12:00")
    story.lands()
    story.run(timedelta(minutes=1))
    return story, next(t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW)


@pytest.mark.parametrize("waits", [reply_waits, outcome_waits, booking_waits, held_by_its_step])
def test_a_pause_ends_over_a_rest_that_waits_and_the_rest_goes_on(waits: Callable[[], tuple[Story, str]]) -> None:
    story, task = waits()
    rest = story.state.rest
    assert rest is not None
    assert task in rest.waits
    paused(story)
    story.table()
    with pytest.raises(Refused, match="a rest stands under the pause"):
        resume(story, "catch_up")
    resume(story)
    assert [(x.of, x.mode) for r in story.records if isinstance(x := r.fact, f.Resumed)] == [("pause", "shift")]
    assert (story.stands(), story.state.pause, story.state.rest) == (State.RESTING, None, rest)
    story.run(timedelta(days=3))
    assert (story.stands(), story.sent()) == (State.RESTING, [])
    for mode in get_args(Mode):  # the rest alone still waits
        with pytest.raises(Refused, match=r"answer it first|what came of the call|is awaited|find out and complete"):
            resume(story, mode)


def test_what_waited_under_a_pause_is_answered_after_it_and_the_cadence_goes_on() -> None:
    story, _ = reply_waits()
    paused(story)
    story.run("2026-06-02 13:00")
    resume(story)
    story.run("2026-06-03 12:00")
    story.answers()
    story.run("2026-06-03 13:00")
    resume(story)
    assert going_on(story) == moved(timedelta(hours=25))


@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_rest_that_has_run_out_under_a_pause_ends_with_it_in_its_mode(mode: Mode) -> None:
    story = at_noon()
    story.replies()
    story.answers()
    story.run(timedelta(seconds=1))
    rest = story.state.rest
    assert rest is not None
    assert rest.until is not None
    paused(story)
    story.run(rest.until - timedelta(minutes=1))
    if mode != "shift":
        with pytest.raises(Refused, match="a rest stands under the pause"):
            resume(story, mode)
    story.run(timedelta(days=3))
    resume(story, mode)
    assert (story.stands(), story.state.pause, story.state.rest) == (State.ACTIVE, None, None)
    assert [x.mode for r in story.records if isinstance(x := r.fact, f.Resumed)] == [mode]
    skipped = [t for t in story.state.touches.values() if t.rule == "resume.expired"]
    assert bool(skipped) == (mode == "skip_expired")
