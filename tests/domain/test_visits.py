"""Who is there already is reminded of nothing and offered nothing, booked or not."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain.lead_state import Stage, State
from tests.domain.lead_story import Story, ny


def booked(starts: str) -> Story:
    """Asked at ten, booked two hours later; the confirmation is out."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny(starts))
    story.run(timedelta(seconds=1))
    return story


def test_who_has_come_is_reminded_of_nothing_and_offered_nothing() -> None:
    story = booked("2026-06-10 15:00")
    story.run("2026-06-10 12:00")
    story.table()
    story.scheduler_says("arrived")  # three hours before the time
    story.run("2026-06-20 12:00")
    assert [r for r in story.table() if r[1].startswith("remind")] == [
        ("06-10 13:00", "remind_2h", "sms", "skipped: late.appointment")
    ]

    story = booked("2026-06-10 10:00")
    story.run("2026-06-10 10:20")
    story.scheduler_says("no_show")
    story.run(timedelta(minutes=10))
    assert story.state.enrollment is not None
    assert story.state.enrollment.sequence == "recovery"
    story.table()
    story.scheduler_says("arrived")  # late, but there
    story.run("2026-06-20 12:00")
    assert story.sent() == [], "nobody at the desk is told that they were missed, nor that their time is set"
    story.scheduler_says("completed")
    assert (story.stage(), story.state.exit_reason) == (Stage.CONVERTED, f.ExitReason.CONVERTED)


@pytest.mark.parametrize("events", [("arrived", "completed"), ("arrived",), ("completed",)])
def test_a_visit_that_nobody_had_booked_ends_the_cadence(events: tuple[str, ...]) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    for event in events:
        story.scheduler_says(event, of="walk-in")
        story.run(timedelta(minutes=1))
    story.run("2026-07-02 12:00")
    assert story.sent() == []
    assert story.state.state is State.FINISHED
    assert story.stage() is (Stage.CONVERTED if "completed" in events else Stage.SHOWN)


def test_a_booking_told_after_its_time_is_confirmed_to_nobody() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-01 10:00"))
    story.run(timedelta(minutes=1))
    confirmed = {t.part: t.rule for (n, step, _), t in story.state.touches.items() if n == 2 and step == "confirm"}
    assert confirmed == {"sms": "late.appointment", "email": "late.appointment"}


@pytest.mark.parametrize("event", ["no_show", "cancelled"])
def test_an_older_booking_that_comes_after_its_end_changes_nothing(event: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says(event, ny("2026-06-02 11:00"), occurred=ny("2026-06-02 11:30"))
    story.scheduler_says("booked", ny("2026-06-02 11:00"), occurred=ny("2026-06-01 11:00"))
    assert story.state.enrollment is not None
    assert story.state.enrollment.sequence == "recovery"


@pytest.mark.parametrize("how", ["pause", "reply"])
def test_a_confirmation_that_was_held_until_its_appointment_had_begun_is_not_sent(how: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    if how == "pause":
        story.tell(f.Paused(reason="x", until=ny("2026-06-04 12:00")))
    else:
        story.replies()
    story.scheduler_says("booked", ny("2026-06-03 10:00"))
    story.table()
    story.run("2026-06-04 11:00")
    if how == "reply":
        story.answers()
    story.run("2026-06-05 12:00")
    assert [row for row in story.sent() if row[1] not in ("staff", "confirm")] == []
    assert {t.rule for (n, _, _), t in story.state.touches.items() if n == 2 and t.channel and t.step != "staff"} == {
        "late.appointment"
    }


def test_a_reminder_that_has_gone_out_takes_the_place_of_a_confirmation_that_was_held() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.tell(f.Paused(reason="x", until=ny("2026-06-04 12:00")))
    story.scheduler_says("booked", ny("2026-06-05 10:00"))
    story.table()
    story.run("2026-06-05 09:00")
    assert [row[1:3] for row in story.sent()] == [
        ("remind_24h", "sms"),
        ("confirm", "email"),
        ("remind_2h", "sms"),
    ]
