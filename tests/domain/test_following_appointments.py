"""One appointment after the other: the second is confirmed and reminded of when the first is over."""

from datetime import timedelta

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
