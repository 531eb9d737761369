"""Which of the person's other leads end for an event of a booking: those that asked until a time, or none."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain import commands
from domain import facts as f
from domain.appointment_reactions import VISIT, ends_who_asked_by
from domain.consequences import sequence_of
from tests.domain.lead_story import Story, booked, ny

ASKED, BEGAN, NOW, AHEAD = map(ny, ("2026-06-02 10:00", "2026-06-02 11:59", "2026-06-02 12:00", "2026-06-05 10:00"))


def told(story: Story, event: str, **more: Any) -> datetime | None:
    """What is answered for an event of a scheduler, given now."""
    known = story.state.last_no
    given: dict[str, Any] = {"appointment_id": "A", "occurred_at": story.now} | more
    story.tell(f.AppointmentChanged(event=f.BookingEvent(event), **given))
    new, appointment = [r for r in story.records if r.no > known], story.state.appointments[given["appointment_id"]]
    return ends_who_asked_by(story.state, sequence_of(story.state, story.book), new, appointment, story.now, bool(new))


@pytest.mark.parametrize(
    ("event", "starts_at", "by"),
    [
        ("booked", AHEAD, AHEAD),
        ("booked", BEGAN, BEGAN + VISIT),
        ("arrived", None, NOW + VISIT),
        ("arrived", AHEAD, NOW + VISIT),
        ("completed", BEGAN, BEGAN + VISIT),
        ("cancelled", BEGAN, None),
        ("no_show", BEGAN, None),
    ],
)
def test_a_first_event_ends_those_who_asked_until_the_person_comes(
    event: str, starts_at: datetime | None, by: datetime | None
) -> None:
    story = Story(ASKED).run("2026-06-02 12:00")
    assert told(story, event, starts_at=starts_at) == by


def test_what_a_lead_that_goes_on_around_its_booking_hears_ends_the_others() -> None:
    story = booked("2026-06-10 10:00")
    assert told(story, "cancelled", appointment_id="B") == ny("2026-06-10 10:00"), "another stands"
    story.run("2026-06-10 10:15")
    assert told(story, "no_show", appointment_id="B") is None, "none stands to which the person comes"
    assert told(story, "arrived") == ny("2026-06-10 10:00") + VISIT
    story.run("2026-06-10 11:00")
    assert told(story, "completed") == ny("2026-06-10 10:00") + VISIT


def test_what_came_of_a_visit_and_is_entered_days_later_ends_nobody_who_asked_since() -> None:
    story = booked("2026-06-10 10:00")
    story.run("2026-06-17 09:00")
    assert told(story, "completed") == ny("2026-06-10 10:00") + VISIT


def test_what_reaches_a_lead_that_is_over_and_stays_so_ends_none() -> None:
    story = booked("2026-06-10 10:00")
    story.tell(*commands.disqualify(story.state, "x"))
    assert told(story, "arrived") is None
    assert told(story, "completed", occurred_at=story.now + timedelta(minutes=1)) is None
