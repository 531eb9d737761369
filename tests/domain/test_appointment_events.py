"""What a scheduler tells of appointments: in any order, repeated, of a second one."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from domain import facts as f
from domain.appointment_fold import appointed
from domain.lead_state import LeadState, Stage
from domain.stored_fact import StoredFact
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
        assert story.stage() is Stage.BOOKED
        story.run("2026-06-30 00:00")
        assert not [r for r in story.sent() if r[1].startswith("remind")]


def test_how_far_a_lead_came_is_the_same_in_whatever_order_it_is_told() -> None:
    told = [("booked", 0), ("arrived", 1), ("completed", 2), ("cancelled", 3), ("rescheduled", 4)]
    for order in permutations(told):
        story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
        for event, minute in order:
            occurred = ny("2026-06-02 11:00") + timedelta(minutes=minute)
            starts = ny("2026-06-10 10:00") if event in ("booked", "rescheduled") else None
            story.scheduler_says(event, starts, occurred=occurred)
        assert story.stage() is Stage.CONVERTED
        assert story.state.appointments["A"].status is f.AppointmentStatus.BOOKED


def test_a_visit_that_is_told_late_finds_a_lost_lead_lost() -> None:
    story = booked("2026-06-09 10:00")
    story.scheduler_says("cancelled", occurred=story.now)
    story.tell(f.Disqualified(reason="moved away"))
    assert story.stage() is Stage.LOST
    story.scheduler_says("arrived", occurred=story.now - timedelta(minutes=5))
    assert story.stage() is Stage.LOST


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


def _at(event: str, minute: int, facility: str | None = None, starts: datetime | None = None) -> f.AppointmentChanged:
    occurred = ny("2026-06-02 11:00") + timedelta(minutes=minute)
    kind = f.BookingEvent(event)
    return f.AppointmentChanged(
        event=kind, appointment_id="A", starts_at=starts, facility=facility, occurred_at=occurred
    )


def test_it_is_at_the_leads_facility_only_as_long_as_no_event_names_a_place() -> None:
    state = LeadState("lead-1", facility="north")
    places = []
    for no, fact in enumerate([_at("cancelled", 2), _at("rescheduled", 3), _at("booked", 1, "south")], 1):
        state = appointed(state, fact, no)
        places.append(state.appointments["A"].facility)
    moved = appointed(replace(state, facility="west"), _at("arrived", 4), 4)
    assert [*places, moved.appointments["A"].facility] == ["north", "north", "south", "south"]


def test_it_is_at_the_facility_that_the_lead_had_when_it_was_first_told_of() -> None:
    state = appointed(LeadState("lead-1", facility="north"), _at("booked", 1), 1)
    state = appointed(replace(state, facility="west"), _at("arrived", 2), 2)
    assert state.appointments["A"].facility == "north"


def test_what_names_the_place_of_its_lead_is_no_news() -> None:
    state = appointed(LeadState("lead-1", facility="north"), _at("booked", 1), 1)
    for no, fact in enumerate([_at("booked", 1, "north"), _at("booked", 2, "north")], 2):
        state = appointed(state, fact, no)
    assert state.appointments["A"].no == 1


def test_a_place_that_an_earlier_release_wrote_for_its_lead_holds_as_it_did() -> None:
    """In version 1 the lead's facility was written into the first event that came, as if it had been told."""
    told = [_at("cancelled", 2, "north"), _at("booked", 1, "south"), _at("rescheduled", 3)]
    state = LeadState("lead-1", facility="north")
    for no, fact in enumerate(told, 1):
        read = StoredFact("appointment", 1, None, StoredFact.of(fact).data).read()
        assert read == fact
        state = appointed(state, fact, no)
    assert state.appointments["A"].facility == "north"


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
