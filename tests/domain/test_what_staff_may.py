"""What a command of a person refuses, by the ids and states that are handed in; and who keeps a task in hand."""

from datetime import timedelta

import pytest

from domain import commands, task_commands
from domain import facts as f
from domain.access import Actor, Role
from domain.consequences import BOOKING_EXPECTED, task_id
from domain.errors import InvalidInput, Refused
from domain.touches import Channel, Disposition
from tests.domain.lead_story import COORDINATOR, Story, at_noon, at_the_call
from tests.domain.sequences import BOOK

WHO = task_id("lead-1", "who", "m")


def _somebody_wrote() -> Story:
    story = at_noon()
    candidates = (story.state.lead_id, "lead-2")
    story.tell(f.Replied(message_id="m", channel=Channel.SMS, task_id=WHO, candidates=candidates))
    return story


def _said(story: Story, wrote: str | None) -> list[f.Fact]:
    return task_commands.complete(story.state, WHO, COORDINATOR, None, None, None, None, story.now, wrote)


@pytest.mark.parametrize("wrote", [None, "", "lead-3"])
def test_whose_reply_it_is_must_be_one_of_those_it_may_be_from(wrote: str | None) -> None:
    with pytest.raises(InvalidInput, match="lead_id: say which of the candidates wrote"):
        _said(_somebody_wrote(), wrote)


@pytest.mark.parametrize("wrote", ["lead-1", "lead-2"])
def test_a_reply_is_given_to_a_candidate(wrote: str) -> None:
    (done,) = _said(_somebody_wrote(), wrote)
    assert isinstance(done, f.TaskClosed)


def test_who_is_contacted_as_another_lead_is_not_enrolled_in_a_finished_one() -> None:
    story, sequence = at_noon(), BOOK.latest("recovery")
    assert commands.enroll(story.state, sequence, story.now, "lead-2"), "a living one has its own story"
    story.tell(*commands.disqualify(story.state, "x"))
    with pytest.raises(Refused, match="contacted as lead lead-2") as refused:
        commands.enroll(story.state, sequence, story.now, "lead-2", "lead-3")
    assert refused.value.state == story.state.state
    assert commands.enroll(story.state, sequence, story.now)


@pytest.mark.parametrize("to", [None, Actor("k", "form", Role.INTAKE)])
def test_a_lead_is_given_to_nobody_who_cannot_see_it(to: Actor | None) -> None:
    with pytest.raises(InvalidInput, match="to: no key in use that sees leads"):
        commands.assign(to)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.INTAKE])
def test_a_lead_is_given_to_whoever_sees_it(role: Role) -> None:
    assert commands.assign(Actor("k", "desk", role)) == [f.Assigned(key_id="k", name="desk")]


def _booked_again(story: Story) -> None:
    """On a call that the lead asked for meanwhile."""
    story.tell(f.Inquired(source="x", zones=(), phone=True, email=True, repeat=True))
    callback = next(t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK and t.living)
    story.claims(callback)
    story.completes(callback, f.Outcome.BOOKED, Disposition.ANSWERED)


def test_a_second_booking_on_the_phone_leaves_the_task_to_who_is_at_it() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    expected = task_id(story.state.lead_id, BOOKING_EXPECTED)
    story.tell(f.TaskEscalated(task_id=expected))
    story.claims(expected)
    before = story.state.tasks[expected]
    story.run(timedelta(minutes=1))
    _booked_again(story)
    assert story.state.tasks[expected] == before
    assert before.claimed_by == COORDINATOR.id
    assert before.escalation == 1
    assert story.state.rest is not None
    assert expected in story.state.rest.waits


def test_a_booking_on_the_phone_after_an_entered_one_is_asked_for_anew() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    expected = task_id(story.state.lead_id, BOOKING_EXPECTED)
    story.completes(expected)
    story.run(timedelta(minutes=1))
    _booked_again(story)
    assert story.state.tasks[expected].state is f.TaskState.OPEN
