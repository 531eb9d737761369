"""What is over stays over: nobody who has left is written to because a scheduler tidies up."""

from datetime import timedelta

import pytest

from domain import commands, task_commands
from domain import facts as f
from domain.lead_state import Stage, State
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import COORDINATOR, Story, ny


def booked() -> Story:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-02 12:05")
    story.table()
    return story


@pytest.mark.parametrize("event", ["cancelled", "no_show", "arrived", "rescheduled"])
def test_news_of_its_appointment_does_not_bring_back_who_was_disqualified(event: str) -> None:
    story = booked()
    story.tell(*commands.disqualify(story.state, "asks for what is not offered"))
    story.scheduler_says(event, ny("2026-06-12 10:00") if event == "rescheduled" else None)
    story.run(timedelta(days=60))
    assert story.sent() == []
    assert story.stands() is State.FINISHED


@pytest.mark.parametrize("event", ["cancelled", "no_show"])
def test_a_visit_that_is_taken_back_later_recovers_nobody(event: str) -> None:
    story = booked().run("2026-06-10 11:00")
    story.scheduler_says("completed")
    story.table()
    story.run("2026-06-11 11:00")
    story.scheduler_says(event)
    story.run(timedelta(days=60))
    assert story.sent() == []
    assert story.state.exit_reason is f.ExitReason.CONVERTED


def test_who_was_let_go_is_not_brought_back_by_a_new_time_of_an_old_appointment() -> None:
    story = booked()
    story.scheduler_says("cancelled")
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("k")
    story.tell(*task_commands.complete(story.state, "k", COORDINATOR, None, f.Outcome.NOT_NOW, None, None, story.now))
    story.scheduler_says("rescheduled", ny("2026-06-12 10:00"))
    story.run(timedelta(days=30))
    assert story.state.exit_reason is f.ExitReason.STOPPED_BY_STAFF
    assert story.sent() == []


@pytest.mark.parametrize("cancelled", [True, False])
def test_who_was_let_go_and_asked_again_as_another_lead_is_reminded_where_the_appointment_moves(
    cancelled: bool,
) -> None:
    """The lead of that inquiry ends for it; and what becomes of it is followed like any booking's."""
    story = booked()
    if cancelled:
        story.scheduler_says("cancelled")
    story.tell(*commands.disqualify(story.state, "x"))
    moved = {"event": f.BookingEvent.RESCHEDULED, "appointment_id": "A", "elsewhere": True}
    later = story.now + timedelta(minutes=1)
    story.tell(f.AppointmentChanged(**moved, starts_at=ny("2026-06-12 10:00"), occurred_at=later))
    assert [row[1] for row in story.run("2026-06-12 09:00").sent()] == ["confirm", "confirm", "remind_24h", "remind_2h"]
    story.scheduler_says("no_show")
    assert story.run(timedelta(minutes=1)).state.enrollment.sequence == "recovery"  # type: ignore[union-attr]


def test_an_old_visit_that_moves_into_the_past_brings_nobody_back() -> None:
    story = booked()
    story.tell(*commands.disqualify(story.state, "x"))
    moved = {"event": f.BookingEvent.RESCHEDULED, "appointment_id": "A", "elsewhere": True}
    story.tell(f.AppointmentChanged(**moved, starts_at=ny("2026-06-01 10:00"), occurred_at=story.now))
    assert story.stands() is State.FINISHED


def test_a_disqualified_lead_that_books_anew_is_confirmed() -> None:
    story = booked()
    story.tell(*commands.disqualify(story.state, "x"))
    story.scheduler_says("booked", ny("2026-06-20 10:00"), of="B")
    story.run(timedelta(minutes=1))
    assert [row[1:3] for row in story.sent()] == [("confirm", "sms"), ("confirm", "email")]


@pytest.mark.parametrize("event", ["cancelled", "no_show"])
def test_a_booking_of_a_lead_that_was_let_go_counts_though_its_move_is_told_first(event: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.tell(*commands.disqualify(story.state, "x"))
    story.scheduler_says("rescheduled", ny("2026-06-20 10:00"))
    story.scheduler_says("booked", ny("2026-06-19 10:00"), occurred=story.now - timedelta(hours=1))
    assert [row[1] for row in story.run(timedelta(minutes=1)).sent()][-2:] == ["confirm", "confirm"]
    story.scheduler_says(event)
    assert story.run(timedelta(minutes=1)).state.enrollment.sequence == "recovery"  # type: ignore[union-attr]


def test_who_is_disqualified_is_not_called_back() -> None:
    story = Story(ny("2026-06-02 10:00"))
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now, promised=True))
    story.tell(*commands.disqualify(story.state, "x"))
    assert story.state.tasks["k"].state is f.TaskState.CANCELLED


@pytest.mark.parametrize("event", ["cancelled", "no_show"])
def test_a_spoken_not_now_holds_when_the_scheduler_tells_it_after(event: str) -> None:
    story = booked()
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("k")
    story.completes("k", f.Outcome.NOT_NOW)
    story.scheduler_says("rescheduled", ny("2026-06-12 10:00"))  # until then it stands, and is reminded of
    assert [row[1] for row in story.run("2026-06-11 10:01").sent()][-1] == "remind_24h"
    story.scheduler_says(event)
    assert story.run(timedelta(days=30)).sent() == []
    assert story.state.exit_reason is f.ExitReason.STOPPED_BY_STAFF


def test_old_news_of_a_scheduler_is_for_a_person() -> None:
    story = booked().run("2026-12-10 10:00")
    story.table()
    story.scheduler_says("cancelled", occurred=ny("2026-06-03 10:00"))
    assert story.run(timedelta(days=3)).sent() == []
    assert [t.reason for t in story.state.tasks.values() if t.living][-1] == (
        "the scheduler told it weeks later: cancelled. Write or call?"
    )


def test_old_news_of_an_earlier_visit_leaves_a_cadence_alone() -> None:
    story = Story(ny("2026-06-20 10:00")).run("2026-06-20 10:30")
    story.scheduler_says("cancelled", occurred=ny("2026-06-01 10:00"))
    story.run("2026-06-22 10:00")
    assert ("06-21 10:00", "link", "sms", "sent") in story.table()


def test_an_old_lead_is_not_recovered_while_another_of_the_person_is_contacted() -> None:
    story = booked().run("2026-06-20 10:00")
    occurred = {"appointment_id": "A", "occurred_at": story.now}
    story.table()
    story.tell(f.AppointmentChanged(event=f.BookingEvent.NO_SHOW, **occurred, elsewhere=True))
    assert story.run(timedelta(days=3)).sent() == []
    assert story.state.exit_reason is f.ExitReason.EXHAUSTED


@pytest.mark.parametrize("how", ["disqualify", f.Outcome.NOT_A_FIT, f.Outcome.NOT_NOW])
def test_what_a_person_decides_after_the_end_holds(how: str) -> None:
    story = booked().run("2026-06-20 10:00")
    assert story.state.exit_reason is f.ExitReason.EXHAUSTED
    (asked,) = [t.id for t in story.state.tasks.values() if t.living and t.kind is f.TaskKind.REVIEW]
    if isinstance(how, f.Outcome):
        story.claims(asked)
        story.completes(asked, how)
    else:
        story.tell(*commands.disqualify(story.state, "x"))
    story.table()
    story.scheduler_says("no_show")
    story.run(timedelta(days=30))
    assert story.sent() == []
    story.scheduler_says("booked", story.now + timedelta(days=5), of="B")
    assert story.stands() is State.ACTIVE, "a new booking counts"


@pytest.mark.parametrize("outcome", [f.Outcome.NOT_NOW, f.Outcome.CALL_BACK])
def test_what_is_said_on_a_callback_leaves_the_appointment_its_reminders(outcome: f.Outcome) -> None:
    story = booked()
    story.tell(f.TaskOpened(task_id="k", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.claims("k")
    story.tell(*task_commands.complete(story.state, "k", COORDINATOR, None, outcome, None, None, story.now))
    story.run("2026-06-10 09:00")
    assert [row[1] for row in story.sent()] == ["remind_24h", "remind_2h"]


def test_who_cannot_be_reached_but_is_expected_is_still_asked_about() -> None:
    story = booked()
    story.tell(f.Suppressed(channels=tuple(Channel), cause="suppressed"))
    assert story.state.exit_reason is None
    story.run("2026-06-14 10:00")
    assert any(row[1:] == ("ask_outcome", "review", "opened") for row in story.table())
    assert story.stage() is Stage.BOOKED


def test_a_touch_whose_sequence_is_over_says_so() -> None:
    story = Story(ny("2026-06-02 20:00")).run("2026-06-02 23:00")  # call1's window has closed by its second call
    story.tell(f.Enrolled(enrollment=2, sequence="recovery", version=1, cause="x"))
    story.run(timedelta(days=30))
    waiting = [t for t in story.state.touches.values() if t.status in (TouchStatus.PLANNED, TouchStatus.DELAYED)]
    assert waiting == []


def test_a_stop_reaches_a_lead_with_any_number_of_open_tasks() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    for number in range(500):
        story.tell(f.TaskOpened(task_id=f"k{number}", task_kind=f.TaskKind.CALLBACK, due_at=story.now))
    story.opts_out()
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT
    assert not any(task.living for task in story.state.tasks.values() if task.kind is f.TaskKind.CALLBACK)


def test_of_many_inquiries_one_callback_is_open_and_it_is_the_newest() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    for _ in range(300):
        asked = story.tell(f.Inquired(source="web_form", zones=(), phone=True, email=True, repeat=True))
    callbacks = [t for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK]
    assert len(callbacks) == 300
    assert [t.state for t in callbacks if t.living] == [f.TaskState.OPEN]
    assert callbacks[-1].living
    assert asked.no < story.state.last_no


def test_a_call_that_a_window_put_off_is_settled_by_the_person_who_made_it() -> None:
    story = Story(ny("2026-06-02 23:00")).run("2026-06-03 08:00")
    task = story.call("call1")
    assert story.state.touches[1, "call1", "call"].status is TouchStatus.DELAYED
    story.claims(task)
    story.completes(task, f.Outcome.REACHED, Disposition.ANSWERED)
    touch = story.state.touches[1, "call1", "call"]
    assert (touch.status, touch.rule) == (TouchStatus.SKIPPED, "call.by_a_person")
    story.run("2026-06-03 13:00")
    assert story.state.tasks[story.call("call2")].opened_at == ny("2026-06-03 11:58"), "later calls keep their distance"
