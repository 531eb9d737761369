"""What a person has said to a lead holds: while it is spoken with, and until it is called as promised."""

from datetime import timedelta

import pytest

from domain import commands, task_commands
from domain import facts as f
from domain.errors import Refused
from domain.lead_state import State
from domain.touches import Channel, Disposition
from tests.domain.lead_story import COORDINATOR, Story, at_the_call, ny, resume
from tests.domain.sequences import BOOK, sequence


def answered_before_the_change() -> tuple[Story, str]:
    """Booked, and a callback is answered; its outcome is not entered yet."""
    story = at_the_call()
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    story.run("2026-03-03 10:00")
    story.tell(f.TaskOpened(task_id="back", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("back")
    story.call_ends("back", Disposition.ANSWERED)
    story.table()
    return story, "back"


@pytest.mark.parametrize("end", [Disposition.NO_ANSWER, Disposition.FAILED])
def test_a_call_again_takes_nothing_back_of_having_spoken(end: Disposition) -> None:
    story = at_the_call()
    task = story.call("call1")
    story.tell(f.CallEnded(task_id=task, touch_id="first", disposition=Disposition.ANSWERED))
    story.tell(f.CallEnded(task_id=task, touch_id="second", disposition=end))
    assert (story.state.tasks[task].living, story.stands()) == (True, State.RESTING)
    assert story.run(timedelta(hours=3)).sent() == []
    story.claims(task)
    story.completes(task, f.Outcome.REACHED)
    assert story.state.tasks[task].disposition is Disposition.ANSWERED


def test_a_promised_callback_can_be_made_though_the_last_call_ended_after_its_task() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.run(timedelta(seconds=1))
    (dial,) = [t.touch_id for t in story.state.touches.values() if t.task_id == task]
    story.completes(task, f.Outcome.CALL_BACK, Disposition.ANSWERED, story.now + timedelta(minutes=10))
    story.tell(f.CallEnded(task_id=task, touch_id=dial, disposition=Disposition.ANSWERED))
    story.run(timedelta(minutes=10))
    (promised,) = [t.id for t in story.state.tasks.values() if t.living]
    story.claims(promised)
    assert task_commands.dial(story.state, promised, COORDINATOR, story.now)


def test_while_a_person_speaks_with_the_lead_no_other_sequence_writes() -> None:
    story, task = answered_before_the_change()
    story.scheduler_says("cancelled")
    assert story.run(timedelta(days=3)).sent() == []
    story.claims(task)
    story.completes(task, f.Outcome.REACHED)
    assert [row[1] for row in story.run(timedelta(hours=1)).sent()] == ["sorry"]


def test_an_enrollment_by_a_person_waits_for_the_outcome_too() -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.tell(*commands.enroll(story.state, BOOK.latest("recovery"), story.now))
    assert story.stands() is State.RESTING
    assert story.run(timedelta(hours=3)).sent() == []


def test_whoever_was_promised_a_call_hears_from_no_machine_before() -> None:
    story, task = answered_before_the_change()
    story.completes(task, f.Outcome.CALL_BACK, callback_at=ny("2026-03-06 15:00"))
    story.scheduler_says("cancelled")
    assert story.run("2026-03-06 15:30").sent() == []
    (promised,) = [t.id for t in story.state.tasks.values() if t.living]
    story.claims(promised)
    story.completes(promised, f.Outcome.REACHED, Disposition.ANSWERED)
    assert [row[1] for row in story.run(timedelta(hours=1)).sent()] == ["sorry"]


def test_two_tasks_make_one_call_at_a_time() -> None:
    story = at_the_call()
    story.tell(f.TaskOpened(task_id="back", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("back")
    story.tell(*task_commands.dial(story.state, "back", COORDINATOR, story.now))
    with pytest.raises(Refused, match="on its way"):
        task_commands.dial(story.state, story.call("call1"), COORDINATOR, story.now)


def test_an_answered_call_that_is_back_in_the_queue_cannot_be_skipped() -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.run("2026-03-02 11:00")
    with pytest.raises(Refused, match="enter what came of it"):
        commands.skip(story.state, BOOK.latest("consultation"), story.now)


@pytest.mark.parametrize("reachable", [True, False])
def test_nobody_is_asked_to_call_a_lead_without_a_phone(reachable: bool) -> None:
    story = Story(ny("2026-03-02 10:00"), phone=reachable)
    story.tell(f.Inquired(source="phone", zones=(), phone=reachable, email=True, repeat=True))
    (asked,) = [t for t in story.state.tasks.values() if t.living]
    assert asked.kind is (f.TaskKind.CALLBACK if reachable else f.TaskKind.REVIEW)


def test_a_sequence_that_begins_while_a_reply_waits_says_itself_when_it_goes_on() -> None:
    rests = {"rest": "until_answered", "resume_after": "2 days"}
    raw = sequence({"key": "a", "after": "30 min", "email": "a"}, replied=rests)
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw)).run("2026-06-02 12:00")
    story.table()
    story.replies()
    story.tell(*commands.enroll(story.state, BOOK.with_(raw).latest("custom"), story.now))
    story.answers()
    assert [r[1] for r in story.run("2026-06-04 11:59").sent()] == ["staff"]
    assert [r[1] for r in story.run("2026-06-04 12:31").sent()] == ["a"]


@pytest.mark.parametrize("event", ["booked", "arrived", "completed"])
def test_what_was_agreed_on_the_phone_has_come_with_the_visit_too(event: str) -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    story.run("2026-03-02 10:45")
    story.scheduler_says(event, ny("2026-03-02 10:35"))
    assert not [t for t in story.state.tasks.values() if t.living]
    assert story.run(timedelta(minutes=1)).stands() is not State.RESTING


@pytest.mark.parametrize("outcome", [f.Outcome.NOT_A_FIT, f.Outcome.NOT_NOW])
def test_nobody_calls_back_who_was_let_go(outcome: f.Outcome) -> None:
    story = at_the_call()
    story.tell(f.TaskOpened(task_id="open", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.tell(f.TaskOpened(task_id="held", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("held")
    story.completes(story.call("call1"), outcome, Disposition.ANSWERED)
    assert story.state.tasks["open"].state is f.TaskState.CANCELLED
    story.tell(*task_commands.release(story.state, "held", COORDINATOR, story.now))
    assert story.state.tasks["held"].state is f.TaskState.CANCELLED


def test_a_call_completed_as_unanswered_that_was_answered_after_all_is_asked_about() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.completes(task, disposition=Disposition.NO_ANSWER)
    story.call_ends(task, Disposition.ANSWERED)
    assert story.stands() is State.RESTING
    (asked,) = [t for t in story.state.tasks.values() if t.living]
    story.completes(asked.id, f.Outcome.REACHED)
    assert story.run("2026-03-02 12:00").sent() == [], "the mail is for those whom the call did not reach"


def promised() -> tuple[Story, str]:
    """Spoken with, and told that it will be called tomorrow."""
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.CALL_BACK, Disposition.ANSWERED, story.now + timedelta(days=1))
    (task,) = [t.id for t in story.state.tasks.values() if t.living]
    story.table()
    return story, task


@pytest.mark.parametrize("held", [False, True], ids=["open", "claimed"])
def test_a_promise_whose_number_cannot_be_called_any_more_is_a_persons_to_keep(held: bool) -> None:
    story, task = promised()
    if held:
        story.claims(task)
    story.tell(f.Suppressed(channels=(Channel.SMS, Channel.VOICE), cause="suppressed", code="21211"))
    if held:
        story.tell(f.TaskReturned(task_id=task))
    (review,) = [t for t in story.state.tasks.values() if t.living]
    assert (review.kind, review.promised) == (f.TaskKind.REVIEW, True)
    assert story.stands() is State.RESTING
    assert story.run(timedelta(days=7)).sent() == []
    story.claims(review.id)
    story.completes(review.id)
    assert story.run(timedelta(minutes=1)).stands() is not State.RESTING


def test_who_wants_no_call_any_more_is_promised_none() -> None:
    story, task = promised()
    story.opts_out()
    assert not story.state.tasks[task].living
    assert [t.kind for t in story.state.tasks.values() if t.living] == []


def test_a_rest_for_a_promised_call_does_not_end_by_resuming_it() -> None:
    story, _ = promised()
    with pytest.raises(Refused, match="a call was promised"):
        resume(story)
