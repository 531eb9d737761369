"""Dialling rings the coordinator's own line first; what that comes to, and what it is not."""

from datetime import timedelta

import pytest

from domain import desk, task_commands
from domain import facts as f
from domain.errors import Refused
from domain.lead_state import Touch
from domain.next_action import Wait
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, LEASE, Story, at_the_call, ny


def dialled(story: Story) -> str:
    """A call that was dialled, by somebody who does not press the key at once; its task."""
    story.at_the_desk, task = False, story.call("call1")
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(timedelta(0))
    return task


def its_touch(story: Story) -> Touch:
    return next(t for t in story.state.touches.values() if t.task_id is not None)


def test_nobody_dials_without_a_line_of_their_own() -> None:
    story = at_the_call()
    nobody = type(COORDINATOR)(COORDINATOR.id, COORDINATOR.name, COORDINATOR.role)
    with pytest.raises(Refused, match="tend keys create --phone"):
        task_commands.dial(story.state, story.call("call1"), nobody, story.now)


def test_while_the_line_rings_nothing_is_claimed_and_the_key_claims_it() -> None:
    story = at_the_call()
    task = dialled(story)
    touch = its_touch(story)
    assert (touch.status, touch.rule, touch.claimed_at) == (TouchStatus.DELAYED, desk.RINGS, None)
    assert story.decide() == Wait(story.now + desk.WAITS, "next: call1", None)
    with pytest.raises(Refused, match="on its way"):
        task_commands.dial(story.state, task, COORDINATOR, story.now)
    story.now += timedelta(seconds=20)
    story.presses_1()
    assert its_touch(story).status is TouchStatus.ACCEPTED


def test_a_silent_line_fails_the_call_in_time_and_leaves_the_task_with_its_holder() -> None:
    story = at_the_call()
    task = dialled(story)
    story.run(desk.WAITS)
    touch = its_touch(story)
    assert (touch.status, touch.rule) == (TouchStatus.FAILED, "desk.no_answer")
    held = story.state.tasks[task]
    assert (held.state, held.disposition, held.ended) == (
        f.TaskState.CLAIMED,
        Disposition.FAILED,
        frozenset({touch.touch_id}),
    )
    assert task_commands.dial(story.state, task, COORDINATOR, story.now)[0].part.endswith(".2")


def test_a_call_that_never_left_the_desk_can_be_missed_and_the_cadence_goes_on() -> None:
    story = at_the_call()
    task = dialled(story)
    story.run("2026-03-02 12:00")
    assert story.state.tasks[task].state is f.TaskState.MISSED
    assert ("03-02 11:00", "bio", "email", "sent") in story.table()


def test_a_call_that_reached_the_carrier_and_failed_ends_its_task_as_ever() -> None:
    story = at_the_call()
    task = dialled(story)
    story.presses_1()
    story.tell(f.CallEnded(task_id=task, touch_id=its_touch(story).touch_id, disposition=Disposition.FAILED))
    assert story.state.tasks[task].state is f.TaskState.DONE


def test_no_lease_runs_out_while_the_line_rings_and_the_key_makes_it_count_anew() -> None:
    story = at_the_call()
    story.run("2026-03-02 10:19:30")
    task = dialled(story)
    story.run("2026-03-02 10:20:30")  # the lease would have ended at 10:20
    assert story.state.tasks[task].state is f.TaskState.CLAIMED
    story.presses_1()
    assert its_touch(story).status is TouchStatus.ACCEPTED
    assert story.state.tasks[task].lease_until == ny("2026-03-02 10:20:30") + desk.TALKS


def test_a_lease_that_was_over_ends_with_the_silent_line() -> None:
    story = at_the_call()
    story.run("2026-03-02 10:19:30")
    task = dialled(story)
    story.run("2026-03-02 10:21:30")
    assert story.state.tasks[task].state is f.TaskState.OPEN
    assert story.state.tasks[task].claim_by is not None


def test_no_lease_runs_out_while_they_talk_and_there_is_time_for_what_came_of_it() -> None:
    story = at_the_call()
    task = dialled(story)
    story.presses_1()
    story.run(timedelta(minutes=45))
    story.tell(f.CallEnded(task_id=task, touch_id=its_touch(story).touch_id, disposition=Disposition.ANSWERED))
    assert story.state.tasks[task].lease_until == story.now + LEASE
    story.run(LEASE - timedelta(minutes=1))
    assert story.state.tasks[task].state is f.TaskState.CLAIMED
    story.completes(task, f.Outcome.REACHED)
    assert story.state.tasks[task].state is f.TaskState.DONE


def test_a_call_whose_end_was_never_told_holds_its_task_no_longer_than_a_call_lasts() -> None:
    story = at_the_call()
    task = dialled(story)
    story.presses_1()
    story.run(desk.TALKS - timedelta(minutes=1))
    assert story.state.tasks[task].state is f.TaskState.CLAIMED
    story.run(timedelta(minutes=2))
    assert story.state.tasks[task].state is f.TaskState.OPEN


def test_who_claims_once_more_in_the_middle_of_a_call_keeps_the_task_as_long() -> None:
    story = at_the_call()
    task = dialled(story)
    story.presses_1()
    story.tell(*task_commands.claim(story.state, task, COORDINATOR, story.now, LEASE))
    story.run(timedelta(minutes=40))
    assert story.state.tasks[task].state is f.TaskState.CLAIMED


@pytest.mark.parametrize("channels", [(Channel.VOICE,), (Channel.SMS,)])
def test_a_stop_while_the_line_rings_dials_nobody(channels: tuple[Channel, ...]) -> None:
    story = at_the_call()
    dialled(story)
    story.opts_out(*channels)
    story.presses_1()
    touch = its_touch(story)
    assert (touch.status, touch.rule) == (TouchStatus.SKIPPED, "stop.opted_out")
    assert touch.claimed_at is None


def test_the_window_that_closes_while_the_line_rings_dials_nobody() -> None:
    story = Story(ny("2026-03-02 20:50")).run("2026-03-02 20:55")
    story.claims(story.call("call1"))
    story.run("2026-03-02 20:59:30")
    dialled(story)
    story.now = ny("2026-03-02 21:00:10")
    story.presses_1()
    assert its_touch(story).rule == "window.federal"


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        (Disposition.ANSWERED, "desk.no_key"),
        (Disposition.BUSY, "desk.busy"),
        (Disposition.NO_ANSWER, "desk.no_answer"),
        (Disposition.FAILED, "desk.failed"),
    ],
)
def test_each_end_of_the_coordinators_call_has_its_rule(how: Disposition, rule: str) -> None:
    story = at_the_call()
    dialled(story)
    story.tell(desk.ended(its_touch(story), how))
    assert (its_touch(story).status, its_touch(story).rule) == (TouchStatus.FAILED, rule)
