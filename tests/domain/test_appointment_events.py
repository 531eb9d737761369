"""What a scheduler tells of appointments: in any order, repeated, of a second one."""

from datetime import timedelta
from itertools import permutations

import pytest

from domain import facts as f
from domain.lead_state import Stage
from tests.domain.lead_story import Story, booked, ny


def test_events_of_one_appointment_end_the_same_in_whatever_order_they_come() -> None:
    told = [
        ("booked", "2026-06-10 10:00", "2026-06-02 11:50"),
        ("rescheduled", "2026-06-11 10:00", "2026-06-02 11:51"),
        ("cancelled", None, "2026-06-02 11:52"),
    ]
    for order in permutations(told):
        story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
        for event, starts, occurred in order:
            story.scheduler_says(event, ny(starts) if starts else None, occurred=ny(occurred))
        (appointment,) = story.state.appointments.values()
        assert appointment.status is f.AppointmentStatus.CANCELLED
        assert story.state.booked() is None
        story.run("2026-06-30 00:00")
        assert not [r for r in story.sent() if r[1].startswith("remind")]


def test_events_of_one_instant_end_the_same_in_whatever_order_they_come() -> None:
    for order in permutations(["booked", "cancelled"]):
        story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
        for event in order:
            story.scheduler_says(event, ny("2026-06-10 10:00"), occurred=ny("2026-06-02 11:00"))
        assert story.state.appointments["A"].status is f.AppointmentStatus.CANCELLED


@pytest.mark.parametrize("late_one_first", [False, True])
def test_of_two_new_times_of_one_instant_the_later_holds_and_the_other_is_no_news(late_one_first: bool) -> None:
    """A scheduler that tells whole seconds moved it twice within one."""
    story = booked("2026-06-09 10:00")
    story.table()
    for starts in sorted(["2026-06-10 10:00", "2026-06-11 10:00"], reverse=late_one_first):
        story.scheduler_says("rescheduled", ny(starts), occurred=ny("2026-06-02 12:00"))
        story.run(timedelta(minutes=1))
    assert story.state.appointments["A"].starts_at == ny("2026-06-11 10:00")
    confirmed = [r for r in story.sent() if r[1:3] == ("confirm", "sms")]
    assert len(confirmed) == (1 if late_one_first else 2)
    story.run("2026-06-11 09:00")
    assert [r[:2] for r in story.sent()] == [("06-10 10:00", "remind_24h"), ("06-11 08:00", "remind_2h")]


def test_of_two_that_are_at_one_time_the_place_decides_and_an_event_without_one_leaves_it() -> None:
    for order in permutations(["north", "south", None]):
        story = Story(ny("2026-06-02 10:00"))
        for place in order:
            starts = ny("2026-06-10 10:00")
            story.scheduler_says("booked", starts, occurred=ny("2026-06-02 11:00"), facility=place)
        assert story.state.appointments["A"].facility == "south", order


def test_the_time_of_what_was_cancelled_is_the_one_it_had_last() -> None:
    """A cancellation names no time; what it leaves open follows no order of arrival either."""
    told = [
        ("booked", "2026-06-10 10:00", "2026-06-02 11:50"),
        ("rescheduled", "2026-06-11 10:00", "2026-06-02 11:51"),
        ("rescheduled", "2026-06-12 10:00", "2026-06-02 11:51"),
        ("cancelled", None, "2026-06-02 11:51"),
    ]
    for order in permutations(told):
        story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
        for event, starts, occurred in order:
            story.scheduler_says(event, ny(starts) if starts else None, occurred=ny(occurred))
        appointment = story.state.appointments["A"]
        assert (appointment.status, appointment.starts_at) == (f.AppointmentStatus.CANCELLED, ny("2026-06-12 10:00"))


def test_a_booking_told_again_with_its_place_confirms_once() -> None:
    """The same instant: it is told more fully, not changed."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    for place in (None, "north"):
        story.scheduler_says("booked", ny("2026-06-10 10:00"), occurred=ny("2026-06-02 11:00"), facility=place)
        story.run(timedelta(minutes=1))
    assert [r[1:3] for r in story.sent()] == [("confirm", "sms"), ("confirm", "email")]
    assert story.state.appointments["A"].facility == "north"


def test_a_cancellation_that_comes_before_its_booking_ends_as_if_it_came_after() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    story.scheduler_says("cancelled", occurred=ny("2026-06-02 11:30"))
    story.scheduler_says("booked", ny("2026-06-10 10:00"), occurred=ny("2026-06-02 11:00"))
    story.run("2026-06-03 11:00")
    assert story.state.appointments["A"].starts_at == ny("2026-06-10 10:00")  # filled in
    assert [r[1:] for r in story.sent()] == [("sorry", "sms", "sent")]


@pytest.mark.parametrize("later", [timedelta(0), timedelta(minutes=3)])
def test_a_repeated_booking_confirms_once(later: timedelta) -> None:
    """Told again as it was, or again with a newer time of telling."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    for n in range(3):
        story.scheduler_says("booked", ny("2026-06-10 10:00"), occurred=ny("2026-06-02 11:00") + n * later)
        story.run(timedelta(minutes=1))
    assert [r[1:] for r in story.table()] == [
        ("-", "-", "enrolled booked"),
        ("confirm", "sms", "sent"),
        ("confirm", "email", "sent"),
    ]


def test_a_repeated_cancellation_recovers_once() -> None:
    story = booked()
    story.table()
    for _ in range(3):
        story.scheduler_says("cancelled")
        story.run(timedelta(hours=2))
    assert [r[1:] for r in story.table()] == [("-", "-", "enrolled recovery"), ("sorry", "sms", "sent")]


def test_a_second_appointment_leaves_the_first_alone_and_takes_over_when_that_is_given_up() -> None:
    story = booked()
    story.table()
    story.scheduler_says("booked", ny("2026-06-15 10:00"), of="B")
    story.run("2026-06-03 12:00")
    assert story.table() == []
    story.scheduler_says("cancelled", of="A")
    story.run("2026-06-15 09:00")
    assert [r[1:] for r in story.table()] == [
        ("-", "-", "enrolled booked"),
        ("confirm", "sms", "sent"),
        ("confirm", "email", "sent"),
        ("remind_24h", "sms", "sent"),
        ("remind_2h", "sms", "sent"),
    ]


def test_what_becomes_of_the_second_appointment_leaves_the_first_alone() -> None:
    story = booked()
    story.table()
    story.scheduler_says("booked", ny("2026-06-15 10:00"), of="B")
    story.scheduler_says("cancelled", of="B")
    story.run("2026-06-10 09:00")
    assert [r[1] for r in story.sent()] == ["remind_24h", "remind_2h"]


def test_a_new_appointment_after_the_first_is_over_is_confirmed() -> None:
    story = booked().run("2026-06-10 11:00")
    story.scheduler_says("completed")
    story.table()
    story.run("2026-06-10 12:00")
    story.scheduler_says("booked", ny("2026-06-20 10:00"), of="B")
    story.run("2026-06-10 13:00")
    assert [r[1:3] for r in story.sent()] == [("confirm", "sms"), ("confirm", "email")]
    assert story.stage() is Stage.CONVERTED
