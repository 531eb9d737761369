"""Somebody asks again while a person has the turn: what that person has in hand is not taken from them."""

from datetime import timedelta

import pytest

from domain import commands, task_commands
from domain import facts as f
from domain.lead_state import State
from domain.touches import Disposition
from tests.domain.lead_story import COORDINATOR, NEW_YORK, Story, at_noon
from tests.domain.sequences import BOOK, sequence


def asks_again(story: Story) -> None:
    story.tell(f.Inquired(source="web_form", zones=(NEW_YORK,), phone=True, email=True, repeat=True))


def callbacks(story: Story) -> list[str]:
    return [t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK and t.living]


def test_of_callbacks_for_who_asks_again_the_newest_is_enough() -> None:
    story = at_noon()
    asks_again(story)
    (first,) = callbacks(story)
    story.run(timedelta(minutes=1))
    asks_again(story)
    assert len(callbacks(story)) == 1
    assert callbacks(story) != [first]


@pytest.mark.parametrize("when", ["answered", "on_the_line"])
def test_a_call_that_was_answered_or_still_rings_keeps_its_task(when: str) -> None:
    """Its lease is over, so nobody holds it; and nobody has entered what came of it."""
    story = at_noon()
    asks_again(story)
    (task,) = callbacks(story)
    story.claims(task)
    if when == "answered":
        story.call_ends(task, Disposition.ANSWERED)
    else:
        story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
        story.run(timedelta(seconds=1))
    story.tell(f.TaskReturned(task_id=task, escalated=True))
    story.table()
    asks_again(story)
    assert story.state.tasks[task].living
    if when == "on_the_line":
        story.call_ends(task, Disposition.ANSWERED)
    assert story.stands() is State.RESTING
    assert story.run(timedelta(days=2)).sent() == []


def test_what_was_agreed_on_the_phone_with_who_had_finished_is_entered_too() -> None:
    story = at_noon()
    asks_again(story)
    (task,) = callbacks(story)
    story.run(timedelta(days=20))
    assert story.state.exit_reason is not None
    story.claims(task)
    story.completes(task, f.Outcome.BOOKED, Disposition.ANSWERED)
    (review,) = [t for t in story.state.tasks.values() if t.living]
    assert "booked on the phone" in str(review.reason)


def test_a_skip_leaves_what_else_a_step_asks_of_people() -> None:
    """It lies open for days beside the steps that follow: shown as next is the text."""
    custom = sequence(
        {"key": "look", "after": "0 s", "task": {"kind": "review", "script": "outcome_missing"}},
        {"key": "text", "after": "1 h", "sms": "a"},
    )
    story = Story(at_noon().now, book=BOOK.with_(custom), sequence="custom").run(timedelta(minutes=1))
    (task,) = story.state.tasks.values()
    (skipped,) = commands.skip(story.state, story.book.get("custom", 1), story.now)
    assert isinstance(skipped, f.StepSkipped)
    assert skipped.step == "text"
    assert task.living
