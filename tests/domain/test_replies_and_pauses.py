"""A person's turn: replies, pauses, and both at once. What is left of the plan moves by exactly the time rested."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain import commands
from domain import facts as f
from domain.errors import InvalidInput, Refused
from domain.lead_state import State
from domain.touches import Channel, Disposition
from tests.domain.lead_story import Story, at_noon, going_on, moved, ny, paused, resume
from tests.domain.sequences import BOOK, CONSULTATION, sequence


def test_undisturbed() -> None:
    assert going_on(at_noon()) == moved(timedelta(0))


def test_an_answered_reply_goes_on_two_days_later_moved_by_exactly_the_time_rested() -> None:
    story = at_noon()
    story.replies()
    assert story.stands() is State.RESTING
    story.run("2026-06-02 13:30")
    story.answers()
    assert story.run("2026-06-04 13:29").sent() == [("06-02 13:30", "staff", "a1", "sent")]
    assert story.stands() is State.RESTING
    assert going_on(story) == moved(timedelta(days=2, hours=1, minutes=30))


def test_a_reply_never_answered_is_never_written_over() -> None:
    story = at_noon()
    story.replies()
    story.run(timedelta(days=365))
    assert story.table() == [
        ("06-02 12:00", "-", "reply", "opened"),
        ("06-02 12:30", "-", "task", "escalated"),  # a quarter of an hour after it was due
        ("06-02 13:30", "-", "task", "escalated"),
        ("06-03 13:30", "-", "task", "escalated"),
    ]
    assert story.stands() is State.RESTING


def test_a_second_reply_before_the_answer_waits_for_both() -> None:
    story = at_noon()
    first = story.replies("m1")
    story.run("2026-06-02 12:20")
    second = story.replies("m2")
    story.run("2026-06-02 12:30")
    story.completes(first)
    assert story.run("2026-06-05 12:30").sent() == []
    story.completes(second)
    assert going_on(story) == moved(timedelta(days=5, minutes=30))


def test_a_reply_while_a_touch_waits_for_the_window() -> None:
    story = Story(ny("2026-06-02 22:00")).run("2026-06-02 22:30")
    story.replies()
    story.run("2026-06-03 08:30")
    assert [r for r in story.sent() if r[2] == "sms"] == []
    story.answers()
    story.run("2026-06-06 00:00")
    # its own time was before the reply: it goes as the rest ends, 2 days after the answer
    assert ("06-05 08:30", "confirm", "sms", "sent") in story.table()


def test_a_sequence_without_an_exit_for_replies_still_rests_until_the_answer() -> None:
    raw = {**CONSULTATION, "exits": {}}
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw)).run("2026-06-02 12:00")
    story.table()
    story.replies()
    story.run("2026-06-02 12:45")
    story.answers()
    assert going_on(story) == moved(timedelta(minutes=45))


def test_a_reply_can_lead_into_another_sequence_once_it_is_answered() -> None:
    raw = sequence({"key": "a", "after": "30 min", "email": "a"}, replied="recovery", key="consultation")
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw))
    story.run("2026-06-02 10:10")
    story.replies()
    story.run("2026-06-02 12:00")
    story.answers()
    story.run("2026-06-02 13:00")
    assert story.table()[1:] == [
        ("06-02 10:10", "-", "reply", "opened"),
        ("06-02 10:10", "-", "-", "enrolled recovery"),
        ("06-02 10:40", "-", "task", "escalated"),
        ("06-02 11:40", "-", "task", "escalated"),
        ("06-02 12:00", "staff", "a1", "planned"),
        ("06-02 12:00", "-", "task", "done"),
        ("06-02 12:00", "staff", "a1", "sent"),
        ("06-02 12:00", "-", "-", "resumed"),
        ("06-02 12:30", "sorry", "sms", "sent"),
    ]


def test_a_reply_of_one_of_several_leads_rests_them_all_until_a_person_says_whose_it_is() -> None:
    """`ours` holds the review task; `relative` only waits for it."""
    ours, relative = at_noon(), at_noon()
    relative.state = replace(relative.state, lead_id="lead-2")
    reply = f.Replied(message_id="m", channel=Channel.SMS, task_id="T", candidates=("lead-1", "lead-2"))
    for story in (ours, relative):
        story.tell(reply)
        story.run("2026-06-02 12:30")
        assert story.sent() == []
        story.tell(f.TaskClosed(task_id="T", state=f.TaskState.DONE))
        assert going_on(story) == moved(timedelta(minutes=30))
    assert ours.state.tasks["T"].kind is f.TaskKind.REVIEW
    assert "T" not in relative.state.tasks


def test_a_pause_without_end_holds_everything_until_somebody_resumes() -> None:
    story = at_noon()
    paused(story)
    story.run(timedelta(days=100))
    assert story.table() == []
    assert story.stands() is State.PAUSED
    resume(story)
    assert going_on(story) == moved(timedelta(days=100))


def test_a_pause_with_an_end_goes_on_by_itself_moved_by_its_length() -> None:
    story = at_noon()
    paused(story, "2026-06-03 15:00")
    story.run("2026-06-03 14:59")
    assert story.stands() is State.PAUSED
    assert going_on(story) == moved(timedelta(days=1, hours=3))


def test_a_pause_can_be_made_longer_and_ends_once() -> None:
    story = at_noon()
    paused(story, "2026-06-02 13:00")
    story.run("2026-06-02 12:30")
    paused(story, "2026-06-03 12:00")
    assert going_on(story) == moved(timedelta(days=1))


def test_two_pauses_one_after_the_other_add_up() -> None:
    story = at_noon()
    for end in ("2026-06-02 12:30", "2026-06-02 13:30"):
        paused(story, end)
        story.run(end)
        story.run(timedelta(minutes=30))
    assert going_on(story) == moved(timedelta(hours=1))


def test_a_pause_that_ends_while_a_reply_waits_does_not_let_the_machine_write() -> None:
    story = at_noon()
    paused(story, "2026-06-02 13:00")
    story.run("2026-06-02 12:30")
    story.replies()
    story.run(timedelta(days=30))
    assert story.stands() is State.RESTING
    assert story.sent() == []
    story.answers()
    assert going_on(story) == moved(timedelta(days=32, minutes=30))  # from the pause to two days after the answer


def test_a_rest_that_ends_under_a_pause_waits_for_its_end() -> None:
    story = at_noon()
    story.replies()
    story.answers()
    story.run("2026-06-03 12:00")
    paused(story)
    story.run("2026-06-06 12:00")
    assert story.stands() is State.PAUSED
    resume(story)
    assert going_on(story) == moved(timedelta(days=4))  # once, not twice


def test_a_person_may_cut_the_two_days_short() -> None:
    story = at_noon()
    story.replies()
    story.answers()
    story.run("2026-06-02 13:00")
    resume(story)
    assert going_on(story) == moved(timedelta(hours=1))


def test_resume_is_refused_while_a_reply_waits_and_when_there_is_nothing_to_resume() -> None:
    story = at_noon()
    with pytest.raises(Refused, match="neither paused nor resting"):
        resume(story)
    story.replies()
    with pytest.raises(Refused, match="answer it first"):
        resume(story)
    story.tell(f.Resumed(cause="whoever says so"))  # even as a fact it lets nobody write over the reply
    assert story.run(timedelta(days=3)).state.state is State.RESTING


def test_commands_on_a_finished_lead_are_refused_with_its_state() -> None:
    story = at_noon().run("2026-06-20 12:00")
    story.tell(*commands.disqualify(story.state, "x"))  # this can be said of it still, once
    for command in (lambda: paused(story), lambda: resume(story), lambda: commands.disqualify(story.state, "x")):
        with pytest.raises(Refused) as e:
            command()
        assert e.value.state == "finished"
    assert story.state.exit_reason is f.ExitReason.EXHAUSTED


def test_a_pause_must_end_in_the_future() -> None:
    with pytest.raises(InvalidInput, match="until"):
        paused(at_noon(), "2026-06-02 12:00")


def test_a_pause_holds_an_open_call_in_the_queue_and_misses_it_in_time() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:05")
    paused(story)
    story.run("2026-06-02 12:00")
    assert story.state.tasks[story.call("call1")].state is f.TaskState.MISSED
    story.table()
    resume(story)
    story.run("2026-06-02 12:56")
    assert [r[:2] for r in story.sent()] == [("06-02 12:55", "bio")]


def test_a_reply_while_a_call_is_answered_waits_for_both() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:05")
    story.claims(story.call("call1"))
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.replies()
    story.completes(story.call("call1"), f.Outcome.REACHED)
    story.run("2026-06-03 10:05")
    assert story.stands() is State.RESTING
    story.answers()
    story.run("2026-06-05 10:06")
    assert story.stands() is State.ACTIVE


def test_a_persons_own_message_goes_out_while_the_lead_rests_is_paused_or_finished() -> None:
    for prepare in (lambda s: s.replies(), paused, lambda s: s.run("2026-06-20 12:00")):
        story = at_noon()
        prepare(story)
        story.table()
        story.answers("own")
        story.run(timedelta(minutes=1))
        assert [r[1:] for r in story.sent()] == [("staff", "own", "sent")]
