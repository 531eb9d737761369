"""What may still arrive after a stop is named, and nothing else: what a person asked for goes on unless refused."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain import commands, desk, task_commands
from domain import facts as f
from domain.lead_state import STOP, Touch
from domain.schedule import asked_for, in_flight
from domain.touches import Channel, TouchStatus
from tests.domain.lead_story import COORDINATOR, Story, at_noon, at_the_call, ny, paused
from tests.domain.test_desk import dialled, its_touch

SMS, VOICE, EMAIL = Channel.SMS, Channel.VOICE, Channel.EMAIL


def disqualified(story: Story) -> None:
    story.tell(*commands.disqualify(story.state, "elsewhere"))


def booked(story: Story) -> None:
    story.scheduler_says("booked", story.now + timedelta(days=8))


def opted_out(*channels: Channel) -> Callable[[Story], None]:
    return lambda story: story.opts_out(*channels, confirmed=SMS in channels)


def wrote(story: Story, channel: Channel) -> Touch:
    """Of the story, whose workflow is away: the words wait."""
    story.tell(*commands.message(story.state, channel, "own", story.now))
    return next(t for t in story.state.touches.values() if t.message_id == "own")


@pytest.mark.parametrize(
    ("channel", "stop", "goes"),
    [
        (SMS, paused, True),
        (EMAIL, paused, True),
        (SMS, disqualified, True),
        (EMAIL, disqualified, True),
        (SMS, booked, True),
        (EMAIL, booked, True),
        (SMS, opted_out(EMAIL), True),
        (EMAIL, opted_out(EMAIL), False),
        (SMS, opted_out(SMS), False),
        (EMAIL, opted_out(SMS), True),
        (SMS, opted_out(VOICE), False),
        (SMS, opted_out(SMS, VOICE, EMAIL), False),
        (EMAIL, opted_out(SMS, VOICE, EMAIL), False),
    ],
)
@pytest.mark.parametrize("begins", ["2026-06-02 12:00", "2026-06-02 22:00"])  # by night the words wait for the morning
def test_own_words_are_named_as_they_still_go(
    channel: Channel, stop: Callable[[Story], None], goes: bool, begins: str
) -> None:
    story = at_noon().run(begins)
    words = wrote(story, channel)
    stop(story)
    assert in_flight(story.state, story.now) == ([words.touch_id] if goes else [])
    story.run(timedelta(days=1))
    went = story.state.touches[words.enrollment, words.step, words.part].status
    assert went is (TouchStatus.ACCEPTED if goes else TouchStatus.SKIPPED)
    assert in_flight(story.state, story.now) == []


def test_words_that_a_window_put_off_are_named_once_more() -> None:
    story = at_noon().run("2026-06-02 22:00")
    words = wrote(story, SMS)
    paused(story.run(timedelta(minutes=1)))
    assert story.state.touches[words.enrollment, words.step, words.part].status is TouchStatus.DELAYED
    assert in_flight(story.state, story.now) == [words.touch_id]


@pytest.mark.parametrize(
    ("stop", "goes"),
    [
        (paused, True),
        (disqualified, True),
        (booked, True),
        (opted_out(EMAIL), True),
        (opted_out(VOICE), False),
        (opted_out(SMS), False),
        (opted_out(SMS, VOICE, EMAIL), False),
    ],
)
@pytest.mark.parametrize("rings", [True, False], ids=["rings", "planned"])
def test_a_call_whose_lead_is_not_dialled_yet_is_named_as_it_still_goes(
    stop: Callable[[Story], None], goes: bool, rings: bool
) -> None:
    story = at_the_call()
    if rings:
        dialled(story)
    else:
        story.tell(*task_commands.dial(story.state, story.call("call1"), COORDINATOR, story.now))
    stop(story)
    assert in_flight(story.state, story.now) == ([its_touch(story).touch_id] if goes else [])
    if rings:
        story.presses_1()
    else:
        story.run(timedelta(seconds=1))
    assert its_touch(story).status is (TouchStatus.ACCEPTED if goes else TouchStatus.SKIPPED)


def test_a_line_that_rang_in_vain_dials_nobody_and_is_not_named() -> None:
    story = at_the_call()
    dialled(story)
    story.now += desk.WAITS - timedelta(seconds=1)
    assert asked_for(story.state, story.now) == [its_touch(story)]
    story.now += timedelta(seconds=1)
    assert asked_for(story.state, story.now) == [], "though nobody has written it down yet"


def test_a_call_whose_task_was_given_back_is_not_named() -> None:
    story = at_the_call()
    task = dialled(story)
    story.tell(*task_commands.release(story.state, task, COORDINATOR, story.now))
    assert in_flight(story.state, story.now) == []
    assert its_touch(story).rule == "task.over"


def test_own_words_are_named_once_when_they_are_claimed() -> None:
    story = at_noon()
    words = wrote(story, SMS)
    story.changes(story.decide(), TouchStatus.CLAIMED)
    assert in_flight(story.state, story.now) == [words.touch_id]


def test_the_confirmation_of_a_stop_is_no_doing_of_a_person() -> None:
    story = at_noon()
    story.tell(
        f.TouchChanged(
            touch_id="c", enrollment=1, step=STOP, part="m", channel=SMS, status=TouchStatus.PLANNED, due_at=story.now
        )
    )
    assert in_flight(story.state, story.now) == []


def test_what_is_claimed_or_unknown_is_named_whatever_is_shut_and_nothing_of_the_cadence_that_waits() -> None:
    story = Story(ny("2026-06-02 10:00"))
    action = story.decide()
    assert in_flight(story.state, story.now) == []
    story.changes(action, TouchStatus.CLAIMED)
    (claimed,) = [t.touch_id for t in story.state.touches.values()]
    words = wrote(story, EMAIL)
    assert in_flight(story.state, story.now) == [claimed, words.touch_id]
    story.opts_out()
    assert in_flight(story.state, story.now) == [claimed]
    story.changes(action, TouchStatus.UNKNOWN)
    assert in_flight(story.state, story.now) == [claimed]
    story.changes(action, TouchStatus.ACCEPTED)
    assert in_flight(story.state, story.now) == []


def test_a_touch_of_the_cadence_that_was_put_off_is_not_named() -> None:
    story = Story(ny("2026-06-02 22:00")).run("2026-06-02 22:30")
    assert any(t.status is TouchStatus.DELAYED for t in story.state.touches.values())
    story.tell(f.Paused(reason="on holiday"))
    assert in_flight(story.state, story.now) == []
