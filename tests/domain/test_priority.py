"""What goes first where work waits."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain import task_commands
from domain.next_action import OpenTask, Touch, Wait
from domain.priority import IMPORTS, Priority, of_inquiry, of_work
from domain.sources import SOURCE_CHANNELS
from tests.domain.lead_story import COORDINATOR, Story, ny


def touch_of(story: Story) -> Touch:
    action = story.decide()
    do = action.then if isinstance(action, Wait) else action
    assert isinstance(do, Touch)
    return do


def test_who_has_just_asked_comes_before_lists() -> None:
    assert IMPORTS < SOURCE_CHANNELS
    assert {of_inquiry(s) for s in SOURCE_CHANNELS - IMPORTS} == {Priority.INQUIRY}
    assert {of_inquiry(s) for s in IMPORTS} == {Priority.IMPORTED}


def test_the_first_hour_of_an_inquiry_comes_before_the_rest_of_its_cadence() -> None:
    story = Story(ny("2026-06-02 10:00"))
    assert of_work(story.state, touch_of(story), story.now) is Priority.INQUIRY
    story.run("2026-06-02 15:00")
    link = touch_of(story)
    assert (link.step, of_work(story.state, link, ny("2026-06-03 10:00"))) == ("link", Priority.CADENCE)


@pytest.mark.parametrize("source", sorted(IMPORTS))
def test_an_imported_lead_that_asks_itself_is_an_inquiry(source: str) -> None:
    story = Story(ny("2026-06-02 10:00"), source=source)
    assert of_work(story.state, touch_of(story), story.now) is Priority.IMPORTED
    assert of_work(story.state, OpenTask(1, "call1", "call"), story.now) is Priority.IMPORTED
    story.tell(f.Inquired(source="phone", zones=(), phone=True, email=True, repeat=True))
    assert of_work(story.state, touch_of(story), story.now) is Priority.INQUIRY


@pytest.mark.parametrize("source", ["web_form", "csv"])
def test_what_a_person_asked_for_comes_first(source: str) -> None:
    story = Story(ny("2026-06-02 10:00"), source=source).run("2026-06-02 10:03")
    story.replies()
    story.answers("own")
    assert of_work(story.state, touch_of(story), story.now + timedelta(days=1)) is Priority.PERSON


def test_a_dialled_call_comes_first() -> None:
    story = Story(ny("2026-06-02 10:00"), source="csv").run("2026-06-02 10:03")
    task = story.call("call1")
    story.claims(task)
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    assert of_work(story.state, touch_of(story), story.now) is Priority.PERSON
