"""A call of which nobody knows whether it was made, or whether it is over: who has its task, and who may dial."""

from datetime import timedelta

import pytest

from domain import desk, task_commands
from domain import facts as f
from domain.access import Actor, Role
from domain.errors import Refused
from domain.lead_state import Touch
from domain.patience import PATIENCE
from domain.signals import WITNESS
from domain.touches import Disposition, TouchStatus
from domain.unknown import review_id
from tests.domain.lead_story import COORDINATOR, LEASE, NEW_YORK, Story, at_the_call

COLLEAGUE = Actor("k2", "Colleague", Role.COORDINATOR, phone="+12025550144")
MANAGER = Actor("k3", "Manager", Role.MANAGER, phone="+12025550145")
MINUTE = timedelta(minutes=1)


def in_a_call(story: Story, *, unknown: bool = False) -> str:
    """The key was pressed just now; the task. `unknown`: nobody heard what came of it, and a first look was in vain."""
    task = story.call("call1")
    if unknown:
        story.slow = TouchStatus.UNKNOWN, None
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(timedelta(0))
    story.lands()
    assert its_touch(story).status is (TouchStatus.UNKNOWN if unknown else TouchStatus.ACCEPTED)
    return task


def its_touch(story: Story) -> Touch:
    return next(t for t in story.state.touches.values() if t.task_id is not None)


def who_dials(story: Story, task: str, actor: Actor = COORDINATOR) -> str:
    try:
        return task_commands.dial(story.state, task, actor, story.now)[0].part
    except Refused as error:
        return error.reason


def test_whose_call_may_never_have_been_dials_again_after_half_an_hour_and_has_a_lease_for_it() -> None:
    story = at_the_call()
    task = in_a_call(story, unknown=True)
    again = (story.now + PATIENCE.call).isoformat(timespec="seconds")
    story.run(PATIENCE.call - MINUTE)
    assert who_dials(story, task) == (
        f"nobody knows whether the last call to this lead was made: it can be dialled again at {again}, "
        "or once its review is complete"
    )
    story.run(LEASE)
    assert who_dials(story, task).endswith(".2")
    story.run(2 * MINUTE)
    assert story.state.tasks[task].state is f.TaskState.OPEN  # nobody did


def test_who_has_looked_up_that_no_call_was_made_dials_at_once() -> None:
    story = at_the_call()
    task = in_a_call(story, unknown=True)
    story.run(timedelta(seconds=10))
    assert "nobody knows" in who_dials(story, task)
    story.completes(review_id(story.state.lead_id, its_touch(story).touch_id))
    assert who_dials(story, task).endswith(".2")


@pytest.mark.parametrize("how", ["in the list", "by a callback"])
def test_a_call_that_was_unknown_for_a_moment_keeps_its_task_while_they_talk(how: str) -> None:
    story = at_the_call()
    task = in_a_call(story, unknown=True)
    began, touch = story.now, its_touch(story)
    story.run(timedelta(seconds=1))
    if how == "in the list":
        story.listed.add(touch.touch_id)
        story.run(MINUTE)
    else:
        story.tell(f.TouchChanged.of(touch, TouchStatus.ACCEPTED, rule=WITNESS))
    assert its_touch(story).status is TouchStatus.ACCEPTED
    assert story.state.tasks[task].lease_until == began + desk.TALKS
    story.run(began + desk.TALKS - MINUTE)
    assert story.state.tasks[task].state is f.TaskState.CLAIMED
    story.tell(f.CallEnded(task_id=task, touch_id=touch.touch_id, disposition=Disposition.ANSWERED))
    assert story.state.tasks[task].lease_until == story.now + LEASE


def test_what_comes_late_of_an_earlier_call_takes_no_time_from_who_has_the_task_now() -> None:
    story = at_the_call()
    task = in_a_call(story, unknown=True)
    touch = its_touch(story)
    story.run(PATIENCE.call + LEASE + MINUTE)
    story.tell(*task_commands.claim(story.state, task, COLLEAGUE, story.now, 2 * desk.TALKS))
    until = story.now + 2 * desk.TALKS
    story.tell(f.TouchChanged.of(touch, TouchStatus.ACCEPTED, rule=WITNESS))
    assert story.state.tasks[task].lease_until == until


def test_the_end_of_an_earlier_call_takes_no_time_from_the_next_one() -> None:
    story = at_the_call()
    task = in_a_call(story, unknown=True)
    first = its_touch(story)
    story.run(PATIENCE.call)
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(timedelta(0))
    until = story.now + desk.TALKS
    assert story.state.tasks[task].lease_until == until
    story.tell(f.TouchChanged.of(first, TouchStatus.UNDELIVERED, rule=WITNESS))
    story.tell(f.CallEnded(task_id=task, touch_id=first.touch_id, disposition=Disposition.ANSWERED))
    assert story.state.tasks[task].lease_until == until


@pytest.mark.parametrize("late", [Disposition.VOICEMAIL, Disposition.NO_ANSWER, Disposition.FAILED])
@pytest.mark.parametrize("second", [TouchStatus.PLANNED, TouchStatus.ACCEPTED, TouchStatus.UNKNOWN])
def test_the_end_of_an_earlier_call_closes_no_task_whose_holder_calls_again(
    late: Disposition, second: TouchStatus
) -> None:
    story = at_the_call()
    task = in_a_call(story)
    first = its_touch(story)
    story.tell(f.TouchChanged.of(first, TouchStatus.DELIVERED))  # picked up; how, is told later
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    if second is not TouchStatus.PLANNED:
        story.slow = (second, None) if second is TouchStatus.UNKNOWN else None
        story.run(timedelta(0))
        story.lands()
    again = next(t for t in story.state.touches.values() if t.task_id == task and t.part.endswith(".2"))
    assert again.status is second
    story.tell(f.CallEnded(task_id=task, touch_id=first.touch_id, disposition=late))
    assert story.state.tasks[task].state is f.TaskState.CLAIMED
    story.tell(f.CallEnded(task_id=task, touch_id=again.touch_id, disposition=Disposition.BUSY))
    assert story.state.tasks[task].state is (
        f.TaskState.DONE if second is not TouchStatus.PLANNED else f.TaskState.CLAIMED
    )


def test_a_call_whose_end_was_lost_keeps_no_later_one_from_ending_the_lease() -> None:
    story = at_the_call()
    task = in_a_call(story)
    story.run(PATIENCE.call + MINUTE)
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(MINUTE)
    second = next(t for t in story.state.touches.values() if t.task_id is not None and t.part.endswith(".2"))
    story.tell(f.TouchChanged.of(second, TouchStatus.DELIVERED))
    story.tell(f.CallEnded(task_id=task, touch_id=second.touch_id, disposition=Disposition.ANSWERED))
    assert story.state.tasks[task].lease_until == story.now + LEASE


def test_a_completed_task_lets_a_colleague_dial_half_an_hour_after_the_key() -> None:
    story = at_the_call()
    task = in_a_call(story)
    sooner = story.now + PATIENCE.call
    story.run(5 * MINUTE)
    story.tell(f.Inquired(source="web_form", zones=(NEW_YORK,), phone=True, email=True, repeat=True))
    other = next(t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK)
    story.tell(*task_commands.claim(story.state, other, COLLEAGUE, story.now, desk.TALKS))
    story.completes(task, disposition=Disposition.NO_ANSWER)
    said = "a call to this lead is already on its way; if nothing is heard of it, it can be dialled again at "
    assert who_dials(story, other, COLLEAGUE) == said + sooner.isoformat(timespec="seconds")
    story.run(sooner)
    assert who_dials(story, other, COLLEAGUE).endswith(".1")


def test_nobody_else_dials_a_lead_who_may_be_talking_for_two_hours() -> None:
    story = at_the_call()
    task = in_a_call(story)
    began = story.now
    story.run(5 * MINUTE)
    story.tell(f.Inquired(source="web_form", zones=(NEW_YORK,), phone=True, email=True, repeat=True))
    other = next(t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK)
    story.tell(*task_commands.claim(story.state, other, COLLEAGUE, story.now, 2 * desk.TALKS))
    sooner, again = ((began + until).isoformat(timespec="seconds") for until in (PATIENCE.call, desk.TALKS))
    told = f"a call to this lead is already on its way; if nothing is heard of it, it can be dialled again at {again}, "
    told += "or{} once the task of that call is completed"
    assert who_dials(story, other, COLLEAGUE) == told.format(f" from {sooner} on,")
    story.run(began + PATIENCE.call + MINUTE)
    said = told.format("")
    assert who_dials(story, other, COLLEAGUE) == said
    assert who_dials(story, task, MANAGER) == said
    assert who_dials(story, task).endswith(".2")  # who has it in hand has hung up
    story.tell(*task_commands.release(story.state, other, COLLEAGUE, story.now))
    story.claims(other)
    assert who_dials(story, other) == said  # perhaps not who talks: keys are shared
    story.tell(*task_commands.release(story.state, other, COORDINATOR, story.now))
    story.tell(*task_commands.claim(story.state, other, COLLEAGUE, story.now, LEASE))
    story.completes(task, disposition=Disposition.NO_ANSWER)
    assert who_dials(story, other, COLLEAGUE).endswith(".1")
