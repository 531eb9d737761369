"""Call steps: the work of people, its leases, its outcomes, and what the cadence makes of them."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain import gate, task_commands
from domain.errors import InvalidInput, Refused
from domain.fold import apply
from domain.lead_state import Stage, State
from domain.next_action import Touch
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, LEASE, Story, at_the_call, ny
from tests.domain.sequences import BOOK, sequence


def test_an_answered_call_rests_until_its_outcome_and_then_all_moves_by_the_time_rested() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.run("2026-03-02 10:06")
    story.call_ends(task, Disposition.ANSWERED)
    assert story.stands() is State.RESTING
    assert story.stage() is Stage.CONTACTED
    story.run("2026-03-02 10:16")
    story.completes(task, f.Outcome.REACHED)
    assert story.stage() is Stage.QUALIFIED
    story.run("2026-03-20 10:00")
    assert [r for r in story.table() if r[3] != "missed"] == [
        ("03-02 10:16", "-", "task", "done"),
        ("03-02 10:16", "-", "-", "resumed"),
        ("03-02 11:10", "bio", "email", "skipped: when"),
        ("03-02 14:10", "call2", "call", "opened"),
        ("03-03 10:10", "link", "sms", "sent"),
        ("03-05 10:10", "edu", "email", "sent"),
        ("03-09 11:10", "end", "call", "opened"),
        ("03-09 11:10", "end", "email", "sent"),
        ("03-09 11:20", "-", "-", "finished: exhausted"),
    ]


def test_an_answered_call_without_outcome_never_lets_the_machine_write() -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.run(timedelta(days=365))
    times = ("03-02 10:20", "03-02 11:20", "03-03 11:20")  # given back, and twice more when nobody took it on
    assert story.table() == [(at, "-", "task", "escalated") for at in times]
    task = story.state.tasks[story.call("call1")]
    assert task.state is f.TaskState.OPEN
    assert task.escalation == 3
    story.claims(task.id)  # a year later somebody looks
    story.completes(task.id, f.Outcome.REACHED)
    assert story.run(timedelta(hours=1)).sent() == []


def test_a_call_answered_just_after_its_lease_ran_out_is_not_missed() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.run("2026-03-02 10:22")
    assert story.state.tasks[task].state is f.TaskState.OPEN
    story.call_ends(task, Disposition.ANSWERED)
    story.run(timedelta(days=30))
    assert story.state.tasks[task].state is f.TaskState.OPEN
    assert story.stands() is State.RESTING
    assert story.sent() == []


def test_a_claim_without_outcome_goes_back_escalated_then_is_missed_and_the_cadence_goes_on() -> None:
    story = at_the_call()
    story.run("2026-03-02 12:00")
    assert story.table() == [
        ("03-02 10:20", "-", "task", "escalated"),
        ("03-02 10:30", "-", "task", "missed"),
        ("03-02 10:30", "call1", "call", "missed"),
        ("03-02 11:00", "bio", "email", "sent"),
    ]


def test_a_released_call_has_its_time_in_the_queue_again() -> None:
    story = at_the_call()
    story.run("2026-03-02 10:08")
    story.tell(*task_commands.release(story.state, story.call("call1"), COORDINATOR, story.now))
    story.run("2026-03-02 10:20")
    assert story.table() == [
        ("03-02 10:08", "-", "task", "returned"),
        ("03-02 10:18", "-", "task", "missed"),
        ("03-02 10:18", "call1", "call", "missed"),
    ]


@pytest.mark.parametrize("end", [Disposition.VOICEMAIL, Disposition.BUSY, Disposition.NO_ANSWER, Disposition.FAILED])
def test_a_call_that_reached_nobody_is_done_and_the_bio_goes(end: Disposition) -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), end)
    assert story.state.tasks[story.call("call1")].state is f.TaskState.DONE
    assert story.state.tasks[story.call("call1")].disposition is end
    story.run("2026-03-02 11:00")
    assert story.table()[-1] == ("03-02 11:00", "bio", "email", "sent")


def test_a_repeated_callback_of_a_finished_call_changes_nothing() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.call_ends(task, Disposition.ANSWERED)
    story.completes(task, f.Outcome.REACHED)
    story.decide()
    before = len(story.records)
    story.call_ends(task, Disposition.ANSWERED)
    story.tell(f.TaskClosed(task_id=task, state=f.TaskState.DONE, outcome=f.Outcome.WRONG_NUMBER))
    assert len(story.records) == before + 2  # the two themselves, and nothing that follows
    assert story.stands() is State.ACTIVE
    assert story.state.tasks[task].outcome is f.Outcome.REACHED


def test_a_call_made_by_other_means_is_entered_by_hand() -> None:
    story = at_the_call()
    task = story.call("call1")
    with pytest.raises(InvalidInput, match="disposition"):
        story.completes(task)
    with pytest.raises(InvalidInput, match="outcome"):
        story.completes(task, disposition=Disposition.ANSWERED)
    story.completes(task, f.Outcome.NOT_NOW, Disposition.ANSWERED)
    assert story.state.exit_reason is f.ExitReason.STOPPED_BY_STAFF


def test_call_back_rests_until_the_callback_is_done() -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.completes(story.call("call1"), f.Outcome.CALL_BACK, callback_at=ny("2026-03-02 16:00"))
    callback = next(t for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK)
    assert callback.due_at == ny("2026-03-02 16:00")
    story.run("2026-03-02 16:05")
    assert story.sent() == []
    story.claims(callback.id)
    story.completes(callback.id, f.Outcome.REACHED, Disposition.ANSWERED)
    story.run("2026-03-04 00:00")
    assert [r for r in story.table() if r[1] != "-" and r[3] != "missed"] == [
        ("03-02 17:00", "bio", "email", "skipped: when"),
        ("03-02 20:00", "call2", "call", "opened"),
        ("03-03 16:00", "link", "sms", "sent"),
    ]


def test_who_booked_on_the_phone_is_not_asked_to_book_but_a_person_to_enter_it() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    assert story.stands() is State.RESTING
    story.run("2026-03-10 00:00")
    assert story.sent() == []
    (asked,) = [t for t in story.state.tasks.values() if t.living]
    assert (asked.kind, asked.due_at, asked.escalation) == (f.TaskKind.REVIEW, ny("2026-03-03 10:05"), 3)
    story.completes(asked.id)  # it was a misunderstanding
    assert story.run(timedelta(minutes=1)).stands() is State.ACTIVE


def test_booked_on_the_phone_and_then_in_the_book() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.BOOKED, Disposition.ANSWERED)
    story.run("2026-03-02 10:07")
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    story.run("2026-03-02 10:10")
    assert [r[1:] for r in story.sent()] == [("confirm", "sms", "sent"), ("confirm", "email", "sent")]
    assert not [t for t in story.state.tasks.values() if t.living]


def test_not_a_fit_disqualifies_and_do_not_call_stops_the_phone() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.NOT_A_FIT, Disposition.ANSWERED)
    assert story.state.exit_reason is f.ExitReason.DISQUALIFIED
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.DO_NOT_CALL, Disposition.ANSWERED)
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT
    assert story.state.opted_out == {Channel.SMS, Channel.VOICE}


def test_a_wrong_number_ends_the_phone_and_the_cadence_goes_on_by_email() -> None:
    story = at_the_call()
    story.completes(story.call("call1"), f.Outcome.WRONG_NUMBER, Disposition.ANSWERED)
    story.run("2026-03-20 10:00")
    assert [r[1:] for r in story.table()] == [
        ("-", "task", "done"),
        ("bio", "email", "skipped: when"),
        ("call2", "call", "skipped: stop.address"),
        ("link", "sms", "skipped: stop.address"),
        ("edu", "email", "sent"),
        ("end", "call", "skipped: stop.address"),
        ("end", "email", "sent"),
        ("-", "-", "finished: exhausted"),
    ]


def test_a_wrong_number_with_no_email_is_unreachable() -> None:
    story = Story(ny("2026-03-02 10:00"), email=False).run("2026-03-02 10:05")
    story.claims(story.call("call1"))
    story.completes(story.call("call1"), f.Outcome.WRONG_NUMBER, Disposition.ANSWERED)
    assert story.state.exit_reason is f.ExitReason.UNREACHABLE


def test_missed_calls_can_be_asked_for() -> None:
    raw = sequence(
        {"key": "call1", "after": "0 s", "call": {"script": "c", "claim_within": "5 min"}},
        {"key": "sorry", "after": "0 s", "sms": "sorry", "when": "missed(call1)"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 10:00"), book=BOOK.with_(raw)).run("2026-03-02 11:00")
    assert story.table()[-2:] == [
        ("03-02 10:05", "sorry", "sms", "sent"),
        ("03-02 10:05", "-", "-", "finished: exhausted"),
    ]


def test_an_open_call_is_cancelled_when_the_sequence_ends_and_a_held_one_is_finished_by_its_holder() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:05")
    story.tell(f.Disqualified(reason="moved away"))
    assert story.state.tasks[story.call("call1")].state is f.TaskState.CANCELLED
    held = at_the_call()
    held.tell(f.Disqualified(reason="moved away"))
    assert held.state.tasks[held.call("call1")].state is f.TaskState.CLAIMED


def test_a_held_call_of_an_ended_sequence_does_not_return_to_the_queue() -> None:
    story = at_the_call()
    story.opts_out()
    story.run(timedelta(hours=2))
    assert story.table()[-2:] == [
        ("03-02 10:20", "-", "task", "escalated"),
        ("03-02 10:20", "-", "task", "cancelled"),
    ]


def test_claims_are_one_at_a_time_and_in_time() -> None:
    story = at_the_call()
    task = story.call("call1")
    other = type(COORDINATOR)("k2", "Another", COORDINATOR.role)
    with pytest.raises(Refused, match="claimed by Coordinator"):
        task_commands.claim(story.state, task, other, story.now, LEASE)
    with pytest.raises(Refused, match="claimed by Coordinator"):
        task_commands.complete(story.state, task, other, Disposition.BUSY, None, None, None, story.now)
    story.completes(task, disposition=Disposition.BUSY)
    with pytest.raises(Refused, match="done"):
        task_commands.claim(story.state, task, other, story.now, LEASE)


def test_a_call_is_completed_by_who_claimed_it() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.tell(*task_commands.release(story.state, task, COORDINATOR, story.now))
    with pytest.raises(Refused, match="claim it first"):
        story.completes(task, disposition=Disposition.BUSY)
    story.tell(f.TaskOpened(task_id="back", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    with pytest.raises(Refused, match="claim it first"):
        story.completes("back")
    for one in (task, "back"):
        story.claims(one)
        story.completes(one, disposition=Disposition.BUSY)
        assert story.state.tasks[one].state is f.TaskState.DONE


def test_a_promised_callback_is_not_done_by_a_busy_line() -> None:
    story = at_the_call()
    story.call_ends(story.call("call1"), Disposition.ANSWERED)
    story.completes(story.call("call1"), f.Outcome.CALL_BACK, callback_at=ny("2026-03-02 16:00"))
    story.run("2026-03-02 16:00")
    (promised,) = [t.id for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK]
    for attempt in (1, 2):
        story.claims(promised)
        story.tell(*task_commands.dial(story.state, promised, COORDINATOR, story.now))
        story.run(timedelta(seconds=1))
        with pytest.raises(Refused, match="on its way"):
            task_commands.dial(story.state, promised, COORDINATOR, story.now)
        dials = [t.touch_id for t in story.state.touches.values() if t.task_id == promised]
        assert len(dials) == attempt
        story.tell(f.CallEnded(task_id=promised, touch_id=dials[-1], disposition=Disposition.BUSY))
        assert story.state.tasks[promised].state is f.TaskState.CLAIMED
        story.run(timedelta(minutes=20))  # back in the queue
        assert story.state.tasks[promised].state is f.TaskState.OPEN
    assert story.stands() is State.RESTING
    story.claims(promised)
    story.completes(promised)
    assert story.state.tasks[promised].disposition is Disposition.BUSY


def test_a_dialled_call_goes_even_while_the_lead_rests_and_not_twice() -> None:
    story = at_the_call()
    story.replies()
    story.tell(*task_commands.dial(story.state, story.call("call1"), COORDINATOR, story.now))
    with pytest.raises(Refused, match="on its way"):
        task_commands.dial(story.state, story.call("call1"), COORDINATOR, story.now)
    story.run("2026-03-02 10:06")
    assert [r[1] for r in story.sent()] == ["call1"]


def test_a_dialled_call_does_not_outlive_its_task_nor_wait_for_the_morning() -> None:
    story = at_the_call()
    task = story.call("call1")
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.completes(task, f.Outcome.NOT_NOW, Disposition.ANSWERED)  # reached by other means meanwhile
    story.run(timedelta(days=1))
    assert story.sent() == []
    assert [t.rule for t in story.state.touches.values() if t.task_id == task] == ["task.over"]

    story = Story(ny("2026-03-02 20:50"))
    story.run("2026-03-02 20:55")
    task = story.call("call1")
    story.claims(task)
    story.tell(*task_commands.dial(story.state, task, COORDINATOR, story.now))
    story.now = ny("2026-03-02 21:05")  # nobody carried it out before
    story.run("2026-03-03 12:00")
    assert [t.rule for t in story.state.touches.values() if t.task_id == task] == ["window.federal"]


@pytest.mark.parametrize("leaves", ["released", "its lease ran out", "escalated though the lead had answered"])
def test_a_dialled_call_is_dropped_as_its_task_leaves_the_hand_and_the_next_dials_anew(leaves: str) -> None:
    story = at_the_call()
    task = story.call("call1")
    if leaves == "escalated though the lead had answered":
        story.call_ends(task, Disposition.ANSWERED)
    (dial,) = task_commands.dial(story.state, task, COORDINATOR, story.now)
    full = dial.model_copy(update={"status": TouchStatus.DELAYED, "until": story.now + timedelta(minutes=30)})
    story.tell(dial, full.model_copy(update={"rule": "channel.unavailable", "reason": "all lines are taken"}))
    if leaves == "released":
        story.tell(*task_commands.release(story.state, task, COORDINATOR, story.now))
    else:
        story.run(LEASE)
    waits = story.state.touches[dial.enrollment, dial.step, dial.part]
    assert (story.state.tasks[task].state, waits.status, waits.rule) == (
        f.TaskState.OPEN,
        TouchStatus.SKIPPED,
        "task.over",
    )
    other = type(COORDINATOR)("k2", "Another", COORDINATOR.role, phone="+12025550144")
    story.tell(*task_commands.claim(story.state, task, other, story.now, LEASE))
    story.tell(*task_commands.dial(story.state, task, other, story.now))
    story.run(timedelta(hours=1))
    assert [t.part for t in story.state.touches.values() if t.task_id == task and t.claimed_at is not None] == [
        f"{dial.part.removesuffix('1')}2"
    ]


def test_the_gate_shuts_on_a_call_that_an_earlier_release_left_waiting() -> None:
    story = at_the_call()
    task = story.call("call1")
    (dial,) = task_commands.dial(story.state, task, COORDINATOR, story.now)
    story.tell(dial)
    left = apply(
        story.state, f.Recorded(story.state.last_no + 1, story.now, "an earlier release", f.TaskReturned(task_id=task))
    )
    touch = Touch(dial.enrollment, dial.step, dial.part, Channel.VOICE, dial.touch_id)
    verdict = gate.check(left, BOOK.latest("consultation"), touch, story.now, frozenset(), story.now)
    assert isinstance(verdict, gate.Refused)
    assert verdict.rule == "task.over"


def test_a_callback_lies_in_the_future() -> None:
    story = at_the_call()
    with pytest.raises(InvalidInput, match="callback_at"):
        story.completes(story.call("call1"), f.Outcome.CALL_BACK, Disposition.ANSWERED, story.now)


def test_a_wrong_number_ends_every_call_to_it() -> None:
    story = at_the_call()
    story.tell(f.Inquired(source="phone", zones=(), phone=True, email=True, repeat=True))
    story.completes(story.call("call1"), f.Outcome.WRONG_NUMBER, Disposition.ANSWERED)
    assert not [t for t in story.state.tasks.values() if t.living]


def test_a_call_that_was_answered_after_its_task_was_missed_is_still_asked_about() -> None:
    story = at_the_call()
    story.run("2026-03-02 10:31")
    task = story.call("call1")
    assert story.state.tasks[task].state is f.TaskState.MISSED
    story.call_ends(task, Disposition.ANSWERED)
    assert story.stands() is State.RESTING
    (asked,) = [t for t in story.state.tasks.values() if t.living]
    story.completes(asked.id, f.Outcome.REACHED)
    story.run("2026-03-02 12:00")
    assert story.sent() == [], "the mail is for those whom the call did not reach"
