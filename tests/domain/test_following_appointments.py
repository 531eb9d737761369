"""One appointment after the other: the second is confirmed and reminded of when the first is over."""

from datetime import timedelta
from itertools import permutations

import pytest

from domain import facts as f
from domain.lead_state import Stage, State
from tests.domain.lead_story import Row, Story, ny


def two_booked() -> Story:
    """One on the 10th, another on the 15th, both booked by the 2nd."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-02 12:05")
    story.scheduler_says("booked", ny("2026-06-15 10:00"), of="B")
    story.run("2026-06-10 10:30")
    story.table()
    return story


def of_the_second(story: Story) -> list[Row]:
    return [row for row in story.sent() if row[1] != "staff"]


@pytest.mark.parametrize("events", [("completed",), ("arrived",), ("arrived", "completed"), ()])
def test_the_second_is_reminded_of_whatever_became_of_the_first(events: tuple[str, ...]) -> None:
    story = two_booked()
    for event in events:
        story.scheduler_says(event)
        story.run(timedelta(minutes=20))
    story.run("2026-06-15 09:00")
    assert [row[:3] for row in of_the_second(story)][-2:] == [
        ("06-14 10:00", "remind_24h", "sms"),
        ("06-15 08:00", "remind_2h", "sms"),
    ]
    assert story.state.anchor() is not None
    assert story.state.anchor().id == "B"  # type: ignore[union-attr]
    story.scheduler_says("completed", of="B")
    assert (story.stands(), story.stage()) == (State.FINISHED, Stage.CONVERTED)
    story.run(timedelta(days=90))
    assert story.sent() == []


def test_a_first_one_of_which_nobody_tells_is_asked_for_soon_if_another_comes() -> None:
    story = two_booked()
    story.run("2026-06-11 12:00")
    opened = [(row[0], row[1]) for row in story.table() if row[3] == "opened"]
    assert opened == [("06-10 14:00", "ask_outcome")]


def test_a_disqualified_lead_is_not_reminded_of_the_second() -> None:
    story = two_booked()
    story.tell(f.Disqualified(reason="x"))
    story.scheduler_says("completed")
    story.run(timedelta(days=30))
    assert story.sent() == []


def test_the_one_that_comes_first_is_reminded_of_first_in_whatever_order_they_are_booked() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"), of="late")
    story.run("2026-06-02 13:00")
    story.table()
    story.scheduler_says("booked", ny("2026-06-05 10:00"), of="early")
    story.run("2026-06-05 09:00")
    assert [row[:2] for row in story.sent()] == [
        ("06-02 13:00", "confirm"),
        ("06-02 13:00", "confirm"),
        ("06-04 10:00", "remind_24h"),
        ("06-05 08:00", "remind_2h"),
    ]
    story.run("2026-06-05 11:00")
    story.scheduler_says("completed", of="early")
    story.run("2026-06-10 09:00")
    assert [row[:2] for row in story.sent()][-2:] == [("06-09 10:00", "remind_24h"), ("06-10 08:00", "remind_2h")]


def test_one_that_is_moved_behind_another_gives_way_to_it() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-04 10:00"))
    story.scheduler_says("booked", ny("2026-06-05 10:00"), of="B")
    story.scheduler_says("rescheduled", ny("2026-06-09 10:00"))
    story.run("2026-06-09 09:00")
    reminders = [row[:2] for row in story.sent() if row[1].startswith("remind")]
    assert reminders == [
        ("06-04 10:00", "remind_24h"),
        ("06-05 08:00", "remind_2h"),
        ("06-08 10:00", "remind_24h"),
        ("06-09 08:00", "remind_2h"),
    ]


def test_of_one_that_has_begun_a_person_is_asked_before_the_next_takes_over_and_the_scheduler_may_answer() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-02 15:00"))
    story.run("2026-06-02 16:00")
    story.table()
    story.scheduler_says("booked", ny("2026-06-02 18:30"), of="B")
    story.run("2026-06-02 17:00")
    assert [row[1:] for row in story.sent()] == [
        ("confirm", "sms", "sent"),
        ("confirm", "email", "sent"),
        ("remind_2h", "sms", "sent"),
    ]
    (asked,) = [t for t in story.state.tasks.values() if t.living]
    assert asked.reason == "what became of the appointment? Another one is next"
    story.scheduler_says("completed")
    assert not story.state.tasks[asked.id].living


def test_one_soon_after_another_is_reminded_of_all_the_same() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.scheduler_says("booked", ny("2026-06-10 12:30"), of="B")
    story.run("2026-06-10 12:00")
    assert [row[:2] for row in story.sent()][-1] == ("06-10 10:30", "remind_2h")


def test_a_review_of_an_outcome_is_done_when_the_scheduler_tells_it() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-14 10:00")
    (review,) = [t for t in story.state.tasks.values() if t.step == "ask_outcome"]
    assert review.living
    story.scheduler_says("completed")
    assert not story.state.tasks[review.id].living


@pytest.mark.parametrize("missed", ["cancelled", "no_show"])
@pytest.mark.parametrize("came", ["arrived", "completed"])
def test_who_has_come_since_is_offered_no_new_time_in_whatever_order_it_is_told(missed: str, came: str) -> None:
    told = [
        ("booked", "A", "2026-06-05 10:00", "2026-06-02 08:00"),
        ("booked", "B", "2026-06-02 11:00", "2026-06-02 08:10"),
        (missed, "A", None, "2026-06-02 09:30"),
        (came, "B", None, "2026-06-02 11:00"),
    ]
    for order in permutations(told):
        story = Story(ny("2026-06-02 08:00")).run("2026-06-02 12:00")
        story.table()
        for event, of, starts, occurred in order:
            story.scheduler_says(event, ny(starts) if starts else None, of=of, occurred=ny(occurred))
        assert story.state.enrollment is not None
        turns = (story.state.enrollment.sequence, story.state.enrollment.appointment_id, story.state.exit_reason)
        if came == "completed":
            assert story.state.exit_reason is f.ExitReason.CONVERTED, order
        else:
            assert turns == ("booked", "B", None), order
        story.run("2026-06-20 12:00")
        assert story.sent() == [], order


def test_who_gives_up_the_next_one_after_a_visit_is_offered_a_new_time() -> None:
    story = two_booked()
    story.scheduler_says("completed")
    story.run(timedelta(minutes=20))
    story.table()
    story.scheduler_says("cancelled", of="B")
    story.run(timedelta(hours=1))
    assert [row[1:] for row in story.sent()] == [("sorry", "sms", "sent")]
