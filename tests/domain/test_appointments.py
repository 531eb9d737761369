"""Bookings and what becomes of them: the cadence ends, reminders turn on the appointment, events come in any order."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain import commands
from domain import facts as f
from domain.consequences import enroll
from domain.errors import Refused
from domain.foretell import upcoming
from domain.lead_state import Stage, State
from domain.next_action import Wait
from tests.domain.lead_story import NEW_YORK, Row, Story, booked, ny, resume
from tests.domain.sequences import BOOK

LOS_ANGELES = "America/Los_Angeles"


def steps(story: Story) -> list[Row]:
    return [r for r in story.table() if r[1] not in ("-", "call1", "call2")]


def test_a_booking_ends_the_cadence_and_its_reminders_come_to_the_minute() -> None:
    story = booked()
    assert story.stage() is Stage.BOOKED
    assert story.state.enrollment is not None
    assert story.state.enrollment.appointment_id == "A"
    story.table()
    story.run("2026-06-10 09:00")
    assert story.table() == [
        ("06-09 10:00", "remind_24h", "sms", "sent"),
        ("06-10 08:00", "remind_2h", "sms", "sent"),
    ]
    story.scheduler_says("arrived")
    assert story.stage() is Stage.SHOWN
    story.run("2026-06-10 11:00")
    story.scheduler_says("completed")
    assert story.stage() is Stage.CONVERTED
    assert story.state.exit_reason is f.ExitReason.CONVERTED
    story.run(timedelta(days=300))
    assert story.sent() == []


@pytest.mark.parametrize(
    ("starts", "day_before", "hours_before"),
    [
        # the clocks go forward on 8 March 2026 at 2:00: 24 hours before 10:00 are 9:00 the day before
        ("2026-03-08 10:00", "03-07 09:00", "03-08 08:00"),
        ("2026-03-09 10:00", "03-08 10:00", "03-09 08:00"),
        # and back on 1 November
        ("2026-11-01 11:00", "10-31 12:00", "11-01 09:00"),
    ],
)
def test_reminders_are_exact_in_the_facilitys_zone_over_a_change_of_clocks(
    starts: str, day_before: str, hours_before: str
) -> None:
    at = datetime.fromisoformat(starts).replace(tzinfo=ZoneInfo(LOS_ANGELES))
    story = Story(at.astimezone(ny("2026-01-01 00:00").tzinfo) - timedelta(days=5), zones=(LOS_ANGELES,))
    story.scheduler_says("booked", at)
    story.run(at - timedelta(minutes=1))
    assert [r[:2] for r in story.sent(LOS_ANGELES) if r[1] != "confirm"] == [
        (day_before, "remind_24h"),
        (hours_before, "remind_2h"),
    ]


def test_booked_for_today_skips_what_lies_behind_and_says_so() -> None:
    story = booked("2026-06-02 16:00")
    story.run("2026-06-02 15:00")
    assert [r for r in steps(story) if r[1].startswith("remind")] == [
        ("06-02 12:00", "remind_24h", "sms", "skipped: late.booked_after"),
        ("06-02 14:00", "remind_2h", "sms", "sent"),
    ]
    reason = story.state.touches[(2, "remind_24h", "sms")].reason
    assert reason == "its time had passed when the appointment was booked"


def test_a_reminder_before_the_window_waits_for_it_or_is_of_no_use() -> None:
    story = booked("2026-06-10 09:00")
    story.table()
    story.run("2026-06-10 09:00")
    assert story.table() == [
        ("06-09 09:00", "remind_24h", "sms", "sent"),
        ("06-10 07:00", "remind_2h", "sms", "waits until 06-10 08:00"),
        ("06-10 08:00", "remind_2h", "sms", "sent"),
    ]
    story = booked("2026-06-10 08:00")
    story.table()
    story.run("2026-06-10 09:00")
    assert story.table()[-1] == ("06-10 06:00", "remind_2h", "sms", "skipped: late.appointment")


def test_a_booking_at_night_for_the_opening_is_confirmed_by_email_and_not_by_a_text_too_late() -> None:
    story = booked("2026-06-03 08:00", at="2026-06-02 22:00")
    story.run("2026-06-03 09:00")
    assert [r[1:] for r in steps(story) if r[1] == "confirm"][-2:] == [
        ("confirm", "sms", "skipped: late.appointment"),
        ("confirm", "email", "sent"),
    ]


def test_a_booking_at_night_for_later_confirms_by_text_in_the_morning() -> None:
    story = booked("2026-06-05 08:00", at="2026-06-02 22:00")
    story.run("2026-06-03 09:00")
    assert ("06-03 08:00", "confirm", "sms", "sent") in story.table()


def test_one_text_at_the_opening_tells_of_an_appointment_that_is_soon() -> None:
    story = booked("2026-06-03 09:00", at="2026-06-02 22:00")
    story.run("2026-06-03 09:00")
    assert [r for r in steps(story) if r[2] == "sms"][-2:] == [
        ("06-03 08:00", "confirm", "sms", "sent"),
        ("06-03 08:00", "remind_2h", "sms", "skipped: late.superseded"),
    ]


def test_a_reschedule_moves_the_reminders_and_confirms_anew() -> None:
    story = booked()
    story.run("2026-06-09 12:00")
    story.table()
    story.scheduler_says("rescheduled", ny("2026-06-12 15:00"))
    story.run("2026-06-12 14:00")
    assert story.table() == [
        ("06-09 12:00", "-", "-", "enrolled booked"),
        ("06-09 12:00", "confirm", "sms", "sent"),
        ("06-09 12:00", "confirm", "email", "sent"),
        ("06-11 15:00", "remind_24h", "sms", "sent"),
        ("06-12 13:00", "remind_2h", "sms", "sent"),
    ]


@pytest.mark.parametrize("event", ["cancelled", "no_show"])
def test_cancellation_and_no_show_lead_to_recovery(event: str) -> None:
    story = booked()
    story.run("2026-06-10 10:30")
    story.table()
    story.scheduler_says(event)
    story.run("2026-06-20 00:00")
    assert story.table() == [
        ("06-10 10:30", "-", "-", "enrolled recovery"),
        ("06-10 11:00", "sorry", "sms", "sent"),
        ("06-11 10:30", "call", "call", "opened"),
        ("06-11 10:40", "-", "task", "missed"),
        ("06-11 10:40", "call", "call", "missed"),
        ("06-13 10:30", "again", "email", "sent"),
        ("06-13 10:30", "-", "-", "finished: exhausted"),
    ]


def test_from_recovery_back_to_booked() -> None:
    story = booked().run("2026-06-09 12:00")
    story.scheduler_says("cancelled")
    story.run("2026-06-09 12:10")
    story.table()
    story.scheduler_says("rescheduled", ny("2026-06-12 15:00"))
    story.run("2026-06-11 16:00")
    assert [r[1:] for r in story.sent()] == [
        ("confirm", "sms", "sent"),
        ("confirm", "email", "sent"),
        ("remind_24h", "sms", "sent"),
    ]


def test_nobody_says_what_became_of_it_so_a_person_is_asked() -> None:
    story = booked().run("2026-06-13 09:59")
    story.table()
    story.run("2026-06-20 10:00")
    assert story.table() == [
        ("06-13 10:00", "outcome", "wait", "missed"),
        ("06-13 10:00", "ask_outcome", "review", "opened"),
        ("06-13 10:00", "-", "-", "finished: exhausted"),
        ("06-13 10:15", "-", "task", "escalated"),
        ("06-13 11:15", "-", "task", "escalated"),
        ("06-14 11:15", "-", "task", "escalated"),
    ]
    assert story.stage() is Stage.BOOKED  # not lost: nobody knows
    story.scheduler_says("no_show", occurred=ny("2026-06-10 10:30"))
    assert story.run("2026-06-20 11:00").state.enrollment.sequence == "recovery"  # type: ignore[union-attr]


def test_an_outcome_that_comes_in_time_asks_nobody() -> None:
    story = booked().run("2026-06-10 10:01")
    story.scheduler_says("arrived")
    story.run("2026-06-20 10:00")
    assert [r[1:] for r in story.table()][-3:] == [
        ("outcome", "wait", "skipped: wait"),
        ("ask_outcome", "task", "skipped: when"),
        ("-", "-", "finished: exhausted"),
    ]
    assert not [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW]
    assert story.stage() is Stage.SHOWN


def test_reminders_do_not_move_with_a_pause_and_the_late_ones_say_why_they_are_left_out() -> None:
    story = booked().run("2026-06-09 09:00")
    story.table()
    story.tell(f.Paused(reason="x"))
    story.run("2026-06-10 09:00")
    resume(story)
    story.run("2026-06-10 10:00")
    assert story.table() == [
        ("06-10 09:00", "-", "-", "resumed"),
        ("06-10 09:00", "remind_24h", "sms", "skipped: late.superseded"),
        ("06-10 09:00", "remind_2h", "sms", "sent"),
    ]
    story = booked().run("2026-06-09 09:00")
    story.tell(f.Paused(reason="x"))
    story.table()
    story.run("2026-06-10 10:00")
    resume(story)
    story.run("2026-06-10 10:01")
    assert [r[3] for r in story.table()][1:] == ["skipped: late.appointment"] * 2


def test_a_pause_over_a_part_of_the_time_leaves_reminders_where_they_are() -> None:
    story = booked()
    story.tell(f.Paused(reason="x", until=ny("2026-06-05 12:00")))
    story.table()
    story.run("2026-06-10 09:00")
    assert [r[:2] for r in story.sent()] == [("06-09 10:00", "remind_24h"), ("06-10 08:00", "remind_2h")]


def test_a_reply_holds_the_reminders_until_it_is_answered() -> None:
    story = booked().run("2026-06-09 09:00")
    story.replies()
    story.run("2026-06-09 11:00")
    assert not [r for r in story.sent() if r[1].startswith("remind")]
    story.answers()
    story.run("2026-06-09 11:01")
    assert [r[:2] for r in story.sent()] == [("06-09 11:00", "staff"), ("06-09 11:00", "remind_24h")]


def test_a_lead_that_books_while_its_reply_waits_is_confirmed_once_it_is_answered() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.replies()
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.table()
    story.run("2026-06-02 13:00")
    assert story.stands() is State.RESTING
    assert story.sent() == []
    story.answers()
    story.run("2026-06-02 13:01")
    assert [r[1:3] for r in story.sent()] == [("staff", "a1"), ("confirm", "sms"), ("confirm", "email")]


def test_a_booking_without_a_time_is_confirmed_and_its_reminders_wait_for_one() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("rescheduled")
    story.run("2026-06-02 12:01")
    assert story.decide() == Wait(None, "remind_24h waits for the appointment's time")
    assert all(u.at is None for u in upcoming(story.state, BOOK.latest("booked"), story.now))
    story.scheduler_says("rescheduled", ny("2026-06-10 10:00"))
    story.run("2026-06-09 10:00")
    assert story.sent(NEW_YORK)[-1][:2] == ("06-09 10:00", "remind_24h")


def test_the_cadence_refuses_at_the_gate_while_an_appointment_stands() -> None:
    story = booked()
    with pytest.raises(Refused, match="an appointment stands"):
        commands.enroll(story.state, BOOK.latest("consultation"), story.now)
    story.tell(enroll(story.state, BOOK.latest("consultation"), "however it came there"))
    story.run("2026-06-02 12:01")
    assert story.table()[-1] == ("06-02 12:00:01", "confirm", "sms", "skipped: booking.stands")


def test_an_appointment_that_has_begun_bars_no_later_cadence() -> None:
    story = booked()
    stands = story.state.booked()
    assert stands is not None and stands.starts_at is not None
    story.run(stands.starts_at + timedelta(days=5))  # nobody told what became of it
    story.table()
    story.tell(*commands.enroll(story.state, BOOK.latest("consultation"), story.now))
    story.run(timedelta(minutes=1))
    assert ("confirm", "sms", "sent") in [row[1:] for row in story.table()]
    with pytest.raises(Refused, match="appointment to come"):
        commands.enroll(story.state, BOOK.latest("booked"), story.now)


def test_enrolling_in_a_sequence_around_an_appointment_needs_one() -> None:
    story = Story(ny("2026-06-02 10:00"))
    with pytest.raises(Refused, match="needs a booked appointment"):
        commands.enroll(story.state, BOOK.latest("booked"), story.now)


def test_disqualified_while_booked_ends_the_reminders() -> None:
    story = booked()
    story.table()
    story.tell(f.Disqualified(reason="x"))
    story.run("2026-06-12 00:00")
    assert story.table() == [("06-02 12:00:01", "-", "-", "finished: disqualified")]


def test_a_lost_lead_that_books_is_not_lost() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-20 12:00")
    assert story.stage() is Stage.LOST
    story.scheduler_says("booked", ny("2026-06-25 10:00"))
    assert story.stage() is Stage.BOOKED
    assert story.stands() is State.ACTIVE
