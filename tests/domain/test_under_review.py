"""Stopped for review by a restore: beside a person's pause, over a rest, and over an end of the sequence."""

from datetime import timedelta
from typing import Any

import pytest

from domain import commands
from domain import facts as f
from domain.errors import Refused
from domain.lead_state import Hold, State
from domain.restored import review_unread, stop_as_unread, stop_for_review
from domain.standing import PUT_BACK, standing
from tests.domain.lead_story import Story, at_noon, going_on, moved, paused, resume
from tests.domain.sequences import BOOK


def reviewed(story: Story) -> str:
    """The task that asks what it had."""
    facts = stop_for_review(story.state, story.now, 1, 0, story.now)
    story.tell(*facts)
    return next(fact.task_id for fact in facts if isinstance(fact, f.TaskOpened))


def looked_at(story: Story, task: str) -> None:
    story.tell(f.TaskClosed(task_id=task, state=f.TaskState.DONE))


def why(story: Story) -> tuple[State, str | None]:
    stands = standing(story.state, BOOK.latest("consultation"), story.now)
    return stands.state, stands.reason


def of_resumes(story: Story) -> list[str]:
    return [r.fact.of for r in story.records if isinstance(r.fact, f.Resumed)]


@pytest.mark.parametrize("first", [paused, reviewed], ids=["paused first", "under review first"])
def test_a_persons_pause_stands_beside_it_and_each_is_resumed_by_itself(first: Any) -> None:
    story = at_noon()
    first(story)
    story.run(timedelta(hours=1))
    (reviewed if first is paused else paused)(story)
    assert why(story) == (State.PAUSED, f"{PUT_BACK}; and paused by a person")
    story.run(timedelta(hours=1))
    with pytest.raises(Refused, match="a pause stands under the review and goes on after it"):
        resume(story, "catch_up")
    resume(story)
    assert why(story) == (State.PAUSED, "paused by a person")
    story.run(timedelta(days=5) - timedelta(hours=2))
    resume(story)
    assert of_resumes(story) == ["review", "all"]
    assert going_on(story) == moved(by=timedelta(days=5))  # the whole time counts as held


def test_the_end_of_a_pause_does_not_end_it() -> None:
    story = at_noon()
    paused(story, "2026-06-03 12:00")
    reviewed(story)
    paused(story, "2026-06-04 12:00")  # nor that of one that is put in its place
    story.run("2026-06-07 12:00")
    assert (why(story)[0], story.sent()) == (State.PAUSED, [])
    assert standing(story.state, None, story.now).at is None
    resume(story)  # the pause would have ended meanwhile
    assert (of_resumes(story), story.state.hold_spans) == (["all"], ())
    assert going_on(story) == moved(by=timedelta(days=5))


def test_a_pause_that_is_over_is_not_said_to_hold_it() -> None:
    story = at_noon()
    paused(story, "2026-06-03 12:00")
    reviewed(story)
    story.run("2026-06-03 13:00")
    assert why(story) == (State.PAUSED, PUT_BACK)


def test_a_pause_that_has_not_ended_yet_ends_in_its_time() -> None:
    story = at_noon()
    paused(story, "2026-06-07 12:00")
    reviewed(story)
    resume(story)
    assert going_on(story) == moved(by=timedelta(days=5))
    assert of_resumes(story) == ["review", "all"]


def test_nobody_knows_when_what_it_holds_will_go() -> None:
    story = at_noon()
    reviewed(story)
    to_come = standing(story.state, BOOK.latest("consultation"), story.now).to_come
    assert [step.at for step in to_come] == [None] * len(to_come) != []


def test_a_rest_goes_on_after_it() -> None:
    story = at_noon()
    task = story.replies()
    rest = story.state.rest
    reviewed(story)
    with pytest.raises(Refused, match="a rest stands under the review"):
        resume(story, "skip_expired")
    resume(story)
    assert of_resumes(story) == ["review"]
    assert rest is not None
    assert (story.stands(), story.state.rest) == (State.RESTING, rest)
    assert task in rest.waits


@pytest.mark.parametrize("of", ["review", "pause"])
def test_asked_twice_to_go_on_only_what_was_meant_ends(of: Hold) -> None:
    story = at_noon()
    paused(story)
    reviewed(story)
    if of == "pause":
        with pytest.raises(Refused, match="cannot resume the pause: the review is what holds it now"):
            resume(story, of="pause")
    resume(story, of="review")
    with pytest.raises(Refused, match="cannot resume the review: the pause is what holds it now"):
        resume(story, of="review")
    resume(story, of="pause")
    with pytest.raises(Refused, match="neither paused nor resting"):
        resume(story, of=of)


def test_what_it_holds_is_shown_in_the_order_in_which_it_is_left_out() -> None:
    story = at_noon()
    story.scheduler_says("booked", story.now + timedelta(days=7))
    reviewed(story)
    booked = story.book.latest("booked")
    shown = [(step.step, step.at) for step in standing(story.state, booked, story.now).to_come]
    assert {at is None for _, at in shown} == {True, False}
    for step in list(dict(shown))[:-1]:  # another is refused; the last asks people what became of it
        story.tell(*commands.skip(story.state, booked, story.now, step))


def test_the_end_of_a_review_that_does_not_stand_ends_nothing() -> None:
    story = at_noon()
    paused(story)
    story.tell(f.Resumed(cause="x", of="review"))
    assert story.state.hold == "pause"


def test_a_pause_that_is_over_ends_with_it_over_a_rest() -> None:
    story = at_noon()
    paused(story, "2026-06-02 13:00")
    story.replies()
    reviewed(story)
    story.run("2026-06-02 14:00")
    resume(story, of="review")
    assert (of_resumes(story), story.state.hold, story.state.pause) == (["review"], "rest", None)


def test_a_task_that_is_done_ends_nothing_and_another_asks_for_the_resume() -> None:
    story = at_noon()
    looked_at(story, reviewed(story))
    story.run(timedelta(days=1))
    assert (story.stands(), story.sent()) == (State.PAUSED, [])
    (asked,) = (task for task in story.state.tasks.values() if task.living and task.kind is f.TaskKind.REVIEW)
    assert (asked.reason or "").startswith("a review after a restore was done without a resume")
    resume(story)
    looked_at(story, asked.id)
    assert [task for task in story.state.tasks.values() if task.living and task.kind is f.TaskKind.REVIEW] == []


@pytest.mark.parametrize("looked", ["after it", "never"])
def test_it_holds_what_begins_after_an_end_until_somebody_has_looked(looked: str) -> None:
    story = at_noon()
    task = reviewed(story)
    story.tell(f.Finished(exit_reason=f.ExitReason.EXHAUSTED))
    if looked == "after it":
        looked_at(story, task)
    assert story.stands() is State.FINISHED
    story.scheduler_says("booked", story.now + timedelta(days=7))
    story.run(timedelta(days=8))
    assert (story.state.review is not None, bool(story.sent())) == (looked == "never", looked != "never")


def test_a_finished_lead_that_could_not_be_compared_is_held_when_it_begins_anew() -> None:
    story = at_noon()
    story.tell(f.Finished(exit_reason=f.ExitReason.EXHAUSTED))
    story.tell(*stop_as_unread(story.state, review_unread("lead-1", story.now, story.now)))
    assert (story.stands(), why(story)[1]) == (State.FINISHED, "finished: exhausted")
    story.scheduler_says("booked", story.now + timedelta(days=7))
    story.run(timedelta(days=1))
    assert (story.stands(), story.sent()) == (State.PAUSED, [])
    resume(story)
    story.run(timedelta(days=1))
    assert story.sent()


def test_of_two_each_is_asked_for() -> None:
    story = at_noon()
    first = reviewed(story)
    story.run(timedelta(minutes=1))
    second = reviewed(story)
    story.tell(f.Finished(exit_reason=f.ExitReason.EXHAUSTED))
    looked_at(story, first)
    assert story.state.review is not None
    looked_at(story, second)
    assert story.state.review is None


def test_who_was_resumed_is_not_stopped_again_for_the_same_restore() -> None:
    story = at_noon()
    noticed = story.now
    story.tell(*stop_for_review(story.state, noticed, 1, 0, story.now))
    resume(story)
    assert stop_for_review(story.state, noticed, 1, 0, story.now) == []
