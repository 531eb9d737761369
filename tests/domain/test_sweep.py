"""Who stands still: what there was to do a while ago, and nothing has happened since."""

from datetime import timedelta

from domain import facts as f
from domain.sweep import Missed, needs_workflow, stands_still
from tests.domain.lead_story import Story, ny

TEN = ny("2026-03-03 10:00")
MINUTE = timedelta(minutes=1)


def seen(story: Story, after: timedelta) -> Missed | None:
    enrollment = story.state.enrollment
    assert enrollment is not None
    return stands_still(story.state, story.book.get(enrollment.sequence, enrollment.version), TEN + after)


def test_a_lead_that_asked_and_got_nothing() -> None:
    story = Story(TEN)
    assert seen(story, -MINUTE) is None  # it had not asked yet
    assert seen(story, MINUTE) is Missed.OVERDUE


def test_one_that_waits_for_its_time_does_not_stand_still() -> None:
    story = Story(TEN)
    story.run(until=TEN + MINUTE)
    assert seen(story, MINUTE) is None
    assert seen(story, 3 * MINUTE) is Missed.OVERDUE  # the call after two minutes


def test_a_task_whose_time_has_passed() -> None:
    story = Story(TEN)
    story.run(until=TEN + 3 * MINUTE)
    assert seen(story, 11 * MINUTE) is None
    assert seen(story, 13 * MINUTE) is Missed.TASK


def test_one_that_was_paused_may_rest_for_ever() -> None:
    story = Story(TEN)
    story.run(until=TEN + MINUTE)
    story.tell(f.Paused(reason="test"))
    assert seen(story, timedelta(days=400)) is None


def test_a_finished_lead_needs_no_workflow_but_for_a_task_with_a_time() -> None:
    story = Story(TEN)
    story.run(until=TEN + MINUTE)
    enrollment = story.state.enrollment
    assert enrollment is not None
    sequence = story.book.get(enrollment.sequence, enrollment.version)
    assert needs_workflow(story.state, sequence, story.now)
    story.tell(f.Disqualified(reason="test"))
    assert not needs_workflow(story.state, sequence, story.now)
    assert seen(story, timedelta(days=1)) is None
    story.tell(f.TaskOpened(task_id="t1", task_kind=f.TaskKind.REVIEW, due_at=story.now))
    assert needs_workflow(story.state, sequence, story.now)
