"""What is said to come next is what then comes."""

from datetime import datetime, timedelta

import pytest

from domain import facts as f
from domain.foretell import Upcoming
from domain.lead_state import LeadState
from domain.standing import PUT_BACK, standing
from domain.touches import Channel
from tests.domain.lead_story import NEW_YORK, Story, clock, ny, paused, resume
from tests.domain.sequences import BOOK


def foretold(story: Story) -> list[Upcoming]:
    state: LeadState = story.state
    assert state.enrollment is not None
    sequence = BOOK.get(state.enrollment.sequence, state.enrollment.version)
    return list(standing(state, sequence, story.now).to_come)


def at(story: Story, step: str) -> datetime | None:
    return next(u.at for u in foretold(story) if u.step == step)


def test_while_paused_with_an_end_the_steps_are_where_the_end_moves_them() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 13:00")
    story.tell(f.Paused(reason="x", until=ny("2026-03-09 13:00")))
    told = at(story, "call2")
    assert told == ny("2026-03-09 14:00")
    story.run("2026-03-09 15:00")
    assert ("03-09 14:00", "call2", "call", "opened") in story.table()


def test_what_stands_later_in_the_file_moves_nothing_though_its_time_comes_first() -> None:
    """Paused before the first steps were planned, and caught up with at night: the second call comes first."""
    story = Story(ny("2026-06-02 23:16"))
    paused(story)
    story.now += timedelta(minutes=46)
    resume(story, "catch_up")
    told = {u.step: u.at for u in foretold(story)}
    assert (told["call2"], told["call1"]) == (ny("2026-06-03 08:00"), ny("2026-06-03 09:00"))
    story.run("2026-06-03 10:00")
    came = [row[:2] for row in story.table() if row[3] == "opened"]
    assert came == [("06-03 08:00", "call2"), ("06-03 09:00", "call1")]


def test_while_a_person_has_the_turn_nobody_knows_and_only_appointments_have_a_time() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 13:00")
    story.replies()
    assert {u.at for u in foretold(story)} == {None}
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    times = {u.step: u.at for u in foretold(story)}
    assert times["confirm"] is None
    assert times["remind_24h"] == ny("2026-03-11 10:00")


def test_after_the_answer_the_steps_are_where_the_rest_moves_them() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 13:00")
    story.replies()
    story.run("2026-03-02 14:00")
    story.answers()
    assert at(story, "call2") == ny("2026-03-04 15:00")
    story.run("2026-03-04 16:00")
    assert ("03-04 15:00", "call2", "call", "opened") in story.table()


def test_what_no_longer_can_go_is_not_foretold() -> None:
    story = Story(ny("2026-03-02 10:00"), email=False).run("2026-03-02 10:30")
    assert {u.channel for u in foretold(story)} == {Channel.SMS, Channel.VOICE}
    story.tell(f.Suppressed(channels=(Channel.SMS,), cause="suppressed"))
    assert {u.channel for u in foretold(story)} == {Channel.VOICE}
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:30")
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    story.run(timedelta(minutes=1))
    story.opts_out(Channel.SMS)
    assert {u.kind for u in foretold(story)} == {"wait", "task"}


def test_a_reminder_that_the_window_makes_useless_is_not_foretold() -> None:
    story = Story(ny("2026-03-02 10:00"))
    story.scheduler_says("booked", ny("2026-03-12 08:00"))
    story.run(timedelta(minutes=1))
    assert [u.step for u in foretold(story)] == ["remind_24h", "outcome", "ask_outcome"]


def test_a_wait_is_foretold_at_its_end_and_a_condition_not_before_what_it_asks_for() -> None:
    story = Story(ny("2026-03-02 10:00"))
    story.scheduler_says("booked", ny("2026-03-12 10:00"))
    story.run("2026-03-12 10:01")
    assert at(story, "outcome") == ny("2026-03-15 10:00")
    night = Story(ny("2026-03-02 23:00")).run("2026-03-02 23:30")
    times = {u.step: u.at for u in foretold(night)}
    assert times["bio"] is not None
    assert times["call1"] is not None
    assert times["bio"] >= times["call1"]


@pytest.mark.parametrize("asked", ["2026-03-02 10:00", "2026-03-02 19:30", "2026-03-02 23:00", "2026-03-07 20:59"])
@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=5), timedelta(hours=2), timedelta(hours=30)])
def test_what_is_foretold_of_a_silent_lead_is_what_comes(asked: str, after: timedelta) -> None:
    story = Story(ny(asked)).run(after)
    told = {(u.step, u.part): u.at for u in foretold(story)}
    story.table()
    story.run(timedelta(days=12))
    came = {
        (row[1], "call" if row[3] == "opened" else row[2]): row[0]
        for row in story.table()
        if row[3] in ("sent", "opened")
    }
    assert {key: clock(at, NEW_YORK) for key, at in told.items() if at is not None} == came


def test_a_persons_message_that_waits_for_the_morning_is_foretold_even_of_a_finished_lead() -> None:
    story = Story(ny("2026-03-02 22:30"))
    story.answers("night")
    story.run(timedelta(minutes=1))
    story.tell(f.Disqualified(reason="x"))
    (message,) = foretold(story)
    assert (message.step, message.channel, message.at) == ("staff", Channel.SMS, ny("2026-03-03 08:00"))
    assert message.reason.startswith("contact window")
    story.run("2026-03-03 08:01")
    assert story.sent()[-1] == ("03-03 08:00", "staff", "night", "sent")


@pytest.mark.parametrize(
    ("held", "said"),
    [(f.Paused(reason="on holiday"), "paused by a person"), (f.UnderReview(task_id="x"), PUT_BACK)],
    ids=["by a person", "by Tend itself"],
)
def test_who_has_paused_a_lead_is_said_and_what_a_person_wrote_is_not(held: f.Fact, said: str) -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 13:00")
    story.tell(held)
    assert standing(story.state, None, story.now).reason == said
