"""When something was away: the provider, or whoever should have carried the cadence out."""

from datetime import timedelta

import pytest

from domain import commands, task_commands
from domain import facts as f
from domain.errors import Refused
from domain.lead_state import State
from domain.ports import Remedy
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, Story, ny, resume

S = TouchStatus


def put_off(story: Story, until: timedelta) -> None:
    """What the ledger appends when the provider was away at the first text."""
    touch = story.decide()
    story.changes(touch, S.CLAIMED)
    story.changes(touch, S.DELAYED, until=story.now + until, rule="channel.unavailable", reason="away")


def test_after_a_day_without_anybody_at_work_the_steps_keep_their_distances() -> None:
    story = Story(ny("2026-06-02 10:00"))
    story.now += timedelta(hours=26)
    story.run("2026-06-04 12:30")
    assert [r[:3] for r in story.table()[1:] if r[3] in ("sent", "opened") or r[2] == "-"] == [
        ("06-03 12:00", "-", "-"),
        ("06-03 12:00", "confirm", "sms"),
        ("06-03 12:02", "call1", "call"),
        ("06-03 13:00", "bio", "email"),
        ("06-03 16:00", "call2", "call"),
        ("06-04 12:00", "link", "sms"),
    ]
    resumed = [r.fact for r in story.records if isinstance(r.fact, f.Resumed)]
    assert [r.cause for r in resumed] == ["nobody carried out confirm in time"]


def test_an_outage_in_the_middle_moves_only_what_was_still_to_come() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 15:00")
    story.table()
    story.now = ny("2026-06-04 10:00")  # the link was due a day before
    story.run("2026-06-10 12:00")
    assert [r[:2] for r in story.sent()] == [
        ("06-04 10:00", "link"),
        ("06-06 10:00", "edu"),
        ("06-10 10:00", "end"),
    ]


def test_a_few_minutes_late_moves_nothing() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 15:00")
    story.table()
    story.now = ny("2026-06-03 10:14")
    story.run("2026-06-06 12:00")
    assert [r[:2] for r in story.sent()] == [("06-03 10:14", "link"), ("06-05 10:00", "edu")]


def test_a_mail_that_waited_for_a_long_call_moves_nothing() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    story.claims(story.call("call1"))
    story.run("2026-06-02 10:05")
    story.tell(f.TaskClaimed(task_id=story.call("call1"), by_id="x", by_name="x", lease_until=ny("2026-06-02 13:00")))
    story.run("2026-06-02 12:59")
    story.call_ends(story.call("call1"), Disposition.NO_ANSWER)
    story.run("2026-06-02 14:01")
    assert ("06-02 12:59", "bio", "email", "sent") in story.table()
    assert not any(isinstance(r.fact, f.Resumed) for r in story.records)
    assert story.call("call2") and story.state.tasks[story.call("call2")].opened_at == ny("2026-06-02 14:00")


def test_a_provider_away_for_a_moment_sends_nobody_a_second_message() -> None:
    story = Story(ny("2026-06-02 10:00"))
    put_off(story, timedelta(seconds=4))
    story.run("2026-06-02 10:01")
    assert [r[1:3] for r in story.sent()] == [("confirm", "sms")]


def test_a_provider_away_for_longer_is_gone_round_at_once() -> None:
    story = Story(ny("2026-06-02 10:00"))
    put_off(story, timedelta(seconds=64))
    story.run("2026-06-02 10:01")
    assert [r[1:3] for r in story.sent()] == [("confirm", "at_once")]
    story.run("2026-06-02 10:02")
    assert [r[1:3] for r in story.sent()] == [("confirm", "sms")]


def test_a_touch_given_up_is_told_to_a_person() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.FAILED)
    assert [t.kind for t in story.state.tasks.values() if t.living] == [f.TaskKind.REVIEW]


def test_a_review_of_the_unknown_is_done_when_the_carrier_tells() -> None:
    story = Story(ny("2026-06-02 10:00"))
    touch = story.decide()
    for status in (S.CLAIMED, S.UNKNOWN):
        story.changes(touch, status)
    (review,) = story.state.tasks.values()
    assert (review.kind, review.living) == (f.TaskKind.REVIEW, True)
    story.provider_says("confirm", "sms", S.DELIVERED)
    assert not story.state.tasks[review.id].living


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(S.FAILED, Remedy.DROP), (S.FAILED, None), (S.SKIPPED, None), (S.UNDELIVERED, Remedy.SUPPRESS)],
)
def test_an_answer_that_did_not_arrive_is_a_persons_turn_again(status: TouchStatus, remedy: Remedy | None) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.replies()
    story.answers("own")
    if status is S.UNDELIVERED:
        story.run(timedelta(seconds=5))
    story.provider_says("staff", "own", status, remedy=remedy)
    again = [t for t in story.state.tasks.values() if t.living and t.kind is f.TaskKind.REPLY]
    assert len(again) == 1
    story.table()
    story.run(timedelta(days=9))
    assert story.stands() is State.RESTING
    assert story.sent() == []


def test_a_call_whose_end_was_never_told_can_be_dialled_again() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    task = story.call("call1")
    story.claims(task)
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run("2026-06-02 10:04")
    for at, refused in (("2026-06-02 10:30", True), ("2026-06-02 10:40", False)):
        story.tell(f.TaskClaimed(task_id=task, by_id=COORDINATOR.id, by_name="x", lease_until=ny(at)))
        story.run(ny(at) - timedelta(seconds=1))
        if refused:
            with pytest.raises(Refused, match="on its way"):
                task_commands.dial(story.state, task, COORDINATOR, story.now)
        else:
            assert task_commands.dial(story.state, task, COORDINATOR, story.now)


def test_skip_leaves_what_an_earlier_sequence_left_behind() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    left = f.TaskOpened(task_id="left", task_kind=f.TaskKind.REVIEW, due_at=story.now, enrollment=0, step="ask")
    story.tell(left)
    (skipped,) = commands.skip(story.state, story.book.latest("consultation"), story.now)
    assert skipped == f.StepSkipped(enrollment=1, step="call1")


def test_resume_waits_until_it_is_known_which_relative_wrote() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.tell(f.Replied(message_id="m", channel=Channel.SMS, task_id="T", candidates=("lead-2", "lead-1")))
    assert "T" not in story.state.tasks
    with pytest.raises(Refused, match="answer it first"):
        resume(story)


def test_a_night_without_anybody_at_work_does_not_move_the_opening() -> None:
    story = Story(ny("2026-06-02 21:30")).run("2026-06-02 21:31")
    story.now = ny("2026-06-03 09:00")
    story.run("2026-06-03 20:00")
    opened = [r[:3] for r in story.table() if r[3] in ("sent", "opened")]
    assert opened[:3] == [
        ("06-02 21:30", "confirm", "at_once"),
        ("06-03 09:00", "confirm", "sms"),
        ("06-03 09:30", "call1", "call"),  # overdue as well, at a distance
    ]
