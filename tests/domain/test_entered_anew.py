"""Mails of what is entered anew while a copy is held: what would have gone out, had it been told in time."""

from typing import Any

import pytest

from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK, sequence
from tests.domain.test_perhaps_mailed import again, mailed, unknown

RECOVERY = sequence(
    {"key": "after", "after": "30 min", "email": "recovery_email"},
    {"key": "later", "after": "1 day", "of": "after", "email": "recovery_email"},
    {"key": "text", "after": "9 days", "sms": "a"},
    key="recovery",
)
PREPARE = sequence(
    {"key": "prepare", "before": "24 h", "of": "appointment", "email": "prepare"},
    {"key": "then", "after": "10 min", "of": "prepare", "email": "prepare"},
    {"key": "last", "before": "1 h", "of": "appointment", "email": "prepare"},
    key="booked",
)
BOOKED_SOON = sequence({"key": "soon", "after": "30 min", "email": "prepare"}, key="booked")


def booked_before_the_copy(own: dict[str, Any]) -> Story:
    """At nine, for the twelfth; the copy is of ten."""
    story = Story(ny("2026-03-02 08:00"), book=BOOK.with_(own))
    story.run("2026-03-02 09:00").scheduler_says("booked", ny("2026-03-12 10:00"))
    return story.run("2026-03-02 10:00")


@pytest.mark.parametrize(
    ("occurred", "noticed", "mails"),
    [
        ("2026-03-02 12:00", "2026-03-02 12:20", []),  # it would go at half past
        ("2026-03-02 12:00", "2026-03-02 12:40", ["after/email"]),
        ("2026-03-02 12:00", "2026-03-03 12:40", ["after/email", "later/email"]),
        ("2026-03-02 09:30", "2026-03-02 10:20", []),  # told after the copy, or it would know
        ("2026-03-02 09:30", "2026-03-02 10:40", ["after/email"]),
        ("2026-03-02 12:41", "2026-03-02 12:40", []),  # it occurred since
    ],
)
def test_the_mails_of_a_sequence_that_is_begun_anew_count_as_if_it_had_begun_in_time(
    occurred: str, noticed: str, mails: list[str]
) -> None:
    copied = booked_before_the_copy(RECOVERY)

    def entered(story: Story) -> None:
        story.scheduler_says("cancelled", occurred=ny(occurred))
        assert story.state.enrollment is not None
        assert story.state.enrollment.sequence == "recovery"

    assert unknown(copied, noticed, entered=entered) == mails
    told = again(copied)
    if told.now <= ny(occurred) <= ny(noticed):
        told.run(ny(occurred))
        entered(told)
        assert mailed(told, ny(noticed)) == mails


def test_they_do_though_the_event_is_told_once_more_since() -> None:
    """As when somebody edits the entry."""
    copied = Story(ny("2026-03-02 08:00"), book=BOOK.with_(BOOKED_SOON)).run("2026-03-02 10:00")

    def entered(story: Story) -> None:
        for occurred in (ny("2026-03-02 12:00"), story.now):
            story.scheduler_says("booked", ny("2026-03-12 10:00"), occurred=occurred)
        story.scheduler_says("rescheduled", ny("2026-03-13 10:00"), occurred=ny("2026-03-02 12:50"))

    assert unknown(copied, "2026-03-02 13:00", entered=entered) == ["soon/email"]


@pytest.mark.parametrize(
    ("occurred", "starts", "mails"),
    [
        ("2026-03-02 12:00", "2026-03-03 11:00", ["prepare/email", "then/email"]),  # due two hours before the notice
        ("2026-03-02 12:00", "2026-03-03 12:55", ["prepare/email"]),
        ("2026-03-02 12:00", "2026-03-03 14:00", []),
        ("2026-03-02 13:01", "2026-03-03 11:00", []),  # moved since
    ],
)
def test_reminders_of_an_appointment_that_was_moved_count_by_its_time_as_it_is_now(
    occurred: str, starts: str, mails: list[str]
) -> None:
    copied = booked_before_the_copy(PREPARE)

    def entered(story: Story) -> None:
        story.scheduler_says("rescheduled", ny(starts), occurred=ny(occurred))

    assert unknown(copied, "2026-03-02 13:00", entered=entered) == mails
