"""Nobody knows whether a touch went out: it is looked for, never sent again unless its step says so."""

from datetime import timedelta

import pytest

from domain import commands
from domain import facts as f
from domain.errors import InvalidSequence, Refused
from domain.lead_state import State, Task
from domain.next_action import Touch
from domain.ports import Unseen
from domain.sequence import IfUnknown, parse_sequence, warnings
from domain.signals import WITNESS, signal_of
from domain.touches import Channel, TouchStatus, touch_id
from domain.unknown import still_unknown
from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK, sequence

S = TouchStatus
FIRST = (1, "first", "sms")


def story_with(policy: str | None = None, channel: str = "sms") -> Story:
    """Two texts an hour apart, of which the first is asked about."""
    step = {"key": "first", "after": "0 s", channel: "a", **({"if_unknown": policy} if policy else {})}
    book = BOOK.with_(sequence(step, {"key": "second", "after": "1 h", "sms": "b"}, key="consultation", replied="stop"))
    return Story(ny("2026-06-02 10:00"), book=book)


def loses(story: Story) -> Story:
    """The answer to the request that is due now never comes."""
    story.slow = (S.UNKNOWN, None)
    story.run(timedelta(0))
    story.lands()
    return story


def reviews(story: Story) -> list[Task]:
    return [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW and t.reason and "unknown" in t.reason]


def looks(story: Story) -> list[float]:
    """Seconds from the loss to each look in vain."""
    facts = [r for r in story.records if isinstance(r.fact, f.TouchChanged) and r.fact.status is S.UNKNOWN]
    return [(r.at - facts[0].at).total_seconds() for r in facts[1:]]


def test_it_is_looked_for_ever_more_seldom_while_the_sequence_goes_on() -> None:
    story = loses(story_with()).run(timedelta(hours=8))
    assert looks(story) == [5, 20, 50, 110, 230, 530, 1430, 5030, 19_430]
    assert story.state.touches[FIRST].look_at is None
    assert [row[:2] for row in story.sent()] == [("06-02 11:00", "second")]


def test_a_person_is_asked_once_the_first_look_was_in_vain() -> None:
    story = loses(story_with())
    assert reviews(story) == []
    story.run(timedelta(seconds=5))
    assert [t.living for t in reviews(story)] == [True]
    story.run(timedelta(hours=8))
    assert len(reviews(story)) == 1


def test_what_a_look_finds_was_sent_and_nobody_is_asked() -> None:
    story = loses(story_with())
    story.listed = {touch_id("lead-1", 1, "first", "sms")}
    story.run(timedelta(seconds=6))
    assert story.state.touches[FIRST].status is S.ACCEPTED
    assert story.state.tasks == {}
    story.run(timedelta(hours=8))
    assert looks(story) == []


def test_what_is_found_later_closes_the_review() -> None:
    story = loses(story_with()).run(timedelta(seconds=30))
    story.listed = {touch_id("lead-1", 1, "first", "sms")}
    story.run(timedelta(seconds=30))
    assert story.state.touches[FIRST].status is S.ACCEPTED
    assert [t.living for t in reviews(story)] == [False]


def test_a_callback_ends_the_looking_and_wakes_the_workflow() -> None:
    story = loses(story_with())
    told = f.TouchChanged.of(story.state.touches[FIRST], S.DELIVERED, rule=WITNESS)
    story.tell(told)
    assert signal_of(told) == "touch_updated"
    assert signal_of(told.model_copy(update={"rule": None})) is None
    story.run(timedelta(minutes=30))
    assert looks(story) == []


def test_a_mail_has_no_list_and_a_person_is_asked_after_a_minute() -> None:
    story = loses(story_with(channel="email")).run(timedelta(seconds=59))
    assert reviews(story) == []
    story.run(timedelta(hours=1))
    assert looks(story) == [60, 540]
    assert len(reviews(story)) == 1
    assert story.state.touches[1, "first", "email"].look_at is None


@pytest.mark.parametrize("ended", ["paused", "resting", "finished"])
def test_it_is_looked_for_whatever_the_lead_does(ended: str) -> None:
    story = loses(story_with())
    match ended:
        case "paused":
            story.tell(f.Paused(reason="x"))
        case "resting":
            story.tell(f.Rested(cause="x", until=story.now + timedelta(days=1), resume_after=0.0))
        case _:
            story.opts_out(Channel.SMS, Channel.VOICE)
    assert story.stands() is not State.ACTIVE
    story.run(timedelta(hours=6))
    assert len(looks(story)) == 9
    assert story.sent() == []


@pytest.mark.parametrize("ended", ["paused", "finished"])
def test_a_claim_that_nobody_settled_is_looked_for_whatever_the_lead_does(ended: str) -> None:
    story = story_with()
    action = story.decide()
    story.changes(action, S.CLAIMED)
    story.tell(f.Paused(reason="x") if ended == "paused" else f.Disqualified(reason="x"))
    assert story.decide() == action
    story.run(timedelta(seconds=1))
    assert story.state.touches[FIRST].looks == 1


# --- what its step says -----------------------------------------------------------------------------------------------


def test_hold_waits_for_a_person_and_then_the_steps_keep_their_distances() -> None:
    story = loses(story_with("hold"))
    assert [t.living for t in reviews(story)] == [True]
    assert story.stands() is State.RESTING
    story.run(timedelta(hours=3))
    assert story.sent() == []
    with pytest.raises(Refused, match="unknown whether sms of step first went out; find out"):
        commands.resume(story.state, None, story.now, "shift")
    story.tell(f.TaskClosed(task_id=reviews(story)[0].id, state=f.TaskState.DONE))
    story.run("2026-06-02 15:00")
    assert [row[:2] for row in story.sent()] == [("06-02 14:00", "second")]


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_hold_holds_where_a_killed_worker_left_a_claim(channel: str) -> None:
    story = story_with("hold", channel)
    story.changes(story.decide(), S.CLAIMED)
    claimed = story.state.touches[1, "first", channel]
    assert claimed.status is S.CLAIMED
    more = still_unknown(claimed, Channel(channel), lambda real: story.now + real, Unseen("not there"))
    story.tell(f.TouchChanged.of(claimed, S.UNKNOWN, rule="carrier.unknown", reason="not there", **more))
    assert story.state.state is State.RESTING and len(reviews(story)) == 1


@pytest.mark.parametrize("status", [S.DELIVERED, S.UNDELIVERED, S.FAILED])
def test_hold_ends_when_the_carrier_tells(status: TouchStatus) -> None:
    story = loses(story_with("hold")).run(timedelta(minutes=10))
    story.tell(f.TouchChanged.of(story.state.touches[FIRST], status, rule=WITNESS))
    story.run(timedelta(hours=2))
    assert story.state.rest is None
    assert [row[:2] for row in story.sent()] == [("06-02 11:10", "second")]


def test_resend_sends_it_once_more_after_the_last_look_and_no_third_time() -> None:
    story = loses(story_with("resend")).run(timedelta(seconds=529))
    story.slow = (S.UNKNOWN, None)
    story.run(timedelta(seconds=2))
    story.lands()
    assert story.in_flight is None
    assert story.state.touches[1, "first", "sms.retry1"].status is S.UNKNOWN
    story.run(timedelta(days=2))
    assert [row[1:3] for row in story.sent()] == [("second", "sms")]
    assert len(reviews(story)) == 2


def test_resend_of_the_last_step_comes_before_the_end() -> None:
    book = BOOK.with_(
        sequence({"key": "first", "after": "0 s", "sms": "a", "if_unknown": "resend"}, key="consultation")
    )
    story = loses(Story(ny("2026-06-02 10:00"), book=book)).run(timedelta(hours=8))
    assert [row[:3] for row in story.sent()] == [("06-02 10:08:50", "first", "sms.retry1")]
    assert story.stands() is State.FINISHED


def test_resend_sends_nothing_more_once_its_sequence_is_over() -> None:
    story = loses(story_with("resend"))
    story.tell(f.Disqualified(reason="x"))
    story.run(timedelta(days=2))
    assert story.sent() == []


def test_a_touch_outside_any_sequence_goes_on() -> None:
    story = story_with("hold").run("2026-06-02 10:01")
    story.replies()
    story.answers("own")
    loses(story)
    assert story.state.touches[1, "staff", "own"].status is S.UNKNOWN
    assert reviews(story) == []
    story.run(timedelta(seconds=5))
    assert len(reviews(story)) == 1


@pytest.mark.parametrize("policy", IfUnknown)
def test_a_sequence_says_what_to_do(policy: str) -> None:
    parsed = parse_sequence(sequence({"key": "a", "after": "0 s", "sms": "x", "if_unknown": str(policy)}))
    assert parsed.steps[0].if_unknown is IfUnknown(policy)
    assert bool(warnings(parsed)) == (policy is IfUnknown.RESEND)
    assert all("twice" in text and "step a" in text for text in warnings(parsed))


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"sms": "x", "if_unknown": "retry"}, "if_unknown takes hold, go_on, resend"),
        ({"sms": "x", "if_unknown": ["hold"]}, "if_unknown takes hold, go_on, resend"),
        ({"call": {"script": "x"}, "if_unknown": "hold"}, "if_unknown is for a step that sends an sms or email"),
    ],
)
def test_what_it_cannot_say(step: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidSequence, match=says):
        parse_sequence(sequence({"key": "a", "after": "0 s", **step}))


def test_the_look_is_what_the_workflow_waits_for() -> None:
    story = loses(story_with())
    action = story.decide()
    assert getattr(action, "then", None) == Touch(1, "first", "sms", Channel.SMS, touch_id("lead-1", 1, "first", "sms"))
    assert getattr(action, "until", None) == story.now + timedelta(seconds=5)
