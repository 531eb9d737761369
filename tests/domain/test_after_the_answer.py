"""When a cadence goes on, or ends, after a person has answered a reply."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain.lead_state import State
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import Story, at_noon, going_on, moved, ny, paused, resume
from tests.domain.sequences import BOOK, CONSULTATION, sequence


def ends_with_the_answer() -> Story:
    """10:10 in a sequence that an answered reply ends."""
    raw = sequence({"key": "a", "after": "30 min", "email": "a"}, replied="stop", key="consultation")
    return Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw)).run("2026-06-02 10:10")


def test_a_reply_in_the_two_days_after_an_answer_starts_them_anew() -> None:
    story = at_noon()
    story.replies("m1")
    story.answers("a1")
    story.run("2026-06-03 12:00")
    story.replies("m2")
    story.run("2026-06-03 13:00")
    story.answers("a2")
    assert story.run("2026-06-05 12:59").state.state is State.RESTING
    assert going_on(story) == moved(timedelta(days=3, hours=1))


def test_a_sequence_that_ends_with_the_answer() -> None:
    for exits in ({"rest": "until_answered"}, "stop"):
        raw = {**CONSULTATION, "exits": {"replied": exits}}
        story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw)).run("2026-06-02 12:00")
        story.replies()
        assert story.run(timedelta(days=3)).state.state is State.RESTING
        story.answers()
        story.run(timedelta(minutes=1))
        assert story.state.exit_reason is f.ExitReason.REPLIED


def test_a_pause_that_ends_in_the_two_days_after_an_answer_leaves_them() -> None:
    story = at_noon()
    story.replies()
    story.answers()
    paused(story, "2026-06-03 12:00")
    story.run("2026-06-04 11:59")
    assert story.stands() is State.RESTING
    assert going_on(story) == moved(timedelta(days=2))


@pytest.mark.parametrize("ends", [False, True])
def test_resuming_a_pause_leaves_what_an_answer_has_begun(ends: bool) -> None:
    story = ends_with_the_answer() if ends else at_noon()
    story.tell(f.Paused(reason="x"))
    story.replies()
    story.answers()
    story.run(timedelta(minutes=5))
    resume(story)
    story.run(timedelta(minutes=1))
    assert story.state.exit_reason is (f.ExitReason.REPLIED if ends else None)
    assert story.stands() is (State.FINISHED if ends else State.RESTING)
    if not ends:
        resume(story)  # a second time: the rest too
        assert story.stands() is State.ACTIVE


def test_a_call_answered_in_the_two_days_after_a_reply_does_not_cut_them_short() -> None:
    story = at_noon()
    story.replies()
    story.run("2026-06-02 13:00")
    story.answers()
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("k")
    story.call_ends("k", Disposition.ANSWERED)
    story.completes("k", f.Outcome.REACHED)
    story.run("2026-06-04 12:59")
    assert story.stands() is State.RESTING
    story.run("2026-06-04 13:01")
    assert story.stands() is State.ACTIVE


def test_a_sequence_that_ends_with_the_answer_does_so_under_a_pause_too() -> None:
    story = ends_with_the_answer()
    story.replies()
    story.tell(f.Paused(reason="x", until=ny("2026-06-02 12:00")))
    story.run("2026-06-02 11:00")
    story.answers()
    story.run("2026-06-03 12:00")
    assert story.state.exit_reason is f.ExitReason.REPLIED
    assert [row for row in story.sent() if row[1] != "staff"] == []


def test_a_persons_answer_that_waits_for_the_morning_goes_before_the_machine() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-20 10:00"))
    story.run("2026-06-02 12:05")
    story.tell(f.StepSkipped(enrollment=2, step="outcome"))
    story.replies()
    story.run("2026-06-02 22:00")
    story.answers()  # an SMS, at night; the sequence goes on at once after an answer
    retry = {"enrollment": 2, "step": "confirm", "part": "email.retry1", "channel": Channel.EMAIL}
    story.tell(f.TouchChanged(touch_id="r", **retry, status=TouchStatus.PLANNED, due_at=story.now))
    story.table()
    story.run("2026-06-03 09:00")
    assert next(row[:2] for row in story.sent()) == ("06-03 08:00", "staff")


def test_two_days_after_an_answer_count_from_when_it_has_gone_out() -> None:
    story = at_noon()
    story.replies()
    story.run("2026-06-02 22:00")
    story.answers()
    story.run("2026-06-05 07:59")
    assert story.stands() is State.RESTING
    story.run("2026-06-05 08:01")
    assert story.stands() is State.ACTIVE


def test_a_sequence_that_ends_with_the_answer_does_so_whatever_else_was_waited_for() -> None:
    story = ends_with_the_answer()
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("k")
    story.replies()
    story.call_ends("k", Disposition.ANSWERED)
    story.answers()
    story.completes("k", f.Outcome.REACHED)
    story.run("2026-06-03 12:00")
    assert story.state.exit_reason is f.ExitReason.REPLIED
    assert [row for row in story.sent() if row[1] != "staff"] == []
