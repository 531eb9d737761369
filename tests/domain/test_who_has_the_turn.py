"""What a person has the turn with outlives the run it came in; what is merely to be found out keeps nobody waiting."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain import task_commands
from domain.consequences import task_id
from domain.lead_state import State
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, Story, at_the_call, booked, ny
from tests.domain.sequences import BOOK, sequence

WHO = task_id("lead-1", "who", "m")


def somebody_writes(story: Story, first: str) -> None:
    """From a phone that two leads share; whose the task is comes first."""
    candidates = ("lead-1", "lead-2") if first == "lead-1" else ("lead-2", "lead-1")
    story.tell(f.Replied(message_id="m", channel=Channel.SMS, task_id=WHO, candidates=candidates))


@pytest.mark.parametrize("first", ["lead-1", "lead-2"], ids=["own", "relatives"])
def test_who_had_finished_is_not_written_to_before_somebody_said_who_wrote(first: str) -> None:
    story = booked("2026-06-04 10:00").run("2026-06-08 12:00")
    for task in [t.id for t in story.state.tasks.values() if t.living]:
        story.completes(task)
    story.run(timedelta(hours=1))
    assert story.state.exit_reason is not None
    somebody_writes(story, first)
    story.table()
    story.scheduler_says("no_show", of="A", occurred=ny("2026-06-04 10:30"))
    assert story.stands() is State.RESTING
    assert story.run(timedelta(hours=3)).sent() == []
    story.tell(f.TaskClosed(task_id=WHO, state=f.TaskState.DONE, reason="a person said who wrote"))
    assert story.run(timedelta(days=1)).sent() != []


@pytest.mark.parametrize("first", ["lead-1", "lead-2"], ids=["own", "relatives"])
def test_a_run_around_another_appointment_waits_for_who_wrote(first: str) -> None:
    story = booked("2026-06-04 10:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"), of="B")
    story.run("2026-06-04 09:00")
    somebody_writes(story, first)
    story.run("2026-06-04 12:00").table()
    story.scheduler_says("completed", of="A")
    assert story.run("2026-06-04 18:00").sent() == []
    story.tell(f.TaskClosed(task_id=WHO, state=f.TaskState.DONE, reason="a person said who wrote"))
    assert story.run("2026-06-10 09:00").sent() != []


def test_a_booking_on_a_call_that_was_answered_late_is_confirmed() -> None:
    """What came of that call is still to be entered: the appointment is, for one."""
    story = at_the_call()
    task = story.call("call1")
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(timedelta(seconds=1))
    (dial,) = [t.touch_id for t in story.state.touches.values() if t.task_id == task]
    story.run(timedelta(hours=1)).table()
    story.tell(f.CallEnded(task_id=task, touch_id=dial, disposition=Disposition.ANSWERED))
    assert story.stands() is State.RESTING
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    assert "confirm" in {step for _, step, *_ in story.run("2026-03-12 10:30").sent()}


def test_an_unknown_text_of_the_run_before_keeps_no_appointment_from_being_confirmed() -> None:
    custom = sequence({"key": "a", "after": "0 s", "sms": "a", "if_unknown": "hold"}, booked="booked")
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(custom), sequence="custom")
    story.slow = (TouchStatus.UNKNOWN, None)
    story.run(timedelta(minutes=1))
    story.run(timedelta(minutes=1)).table()
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    assert "confirm" in {step for _, step, *_ in story.run("2026-06-10 11:00").sent()}
