"""Resuming with `catch_up` and `skip_expired`: nothing moves; what is overdue is spaced, or says why it is left out."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain import facts as f
from domain.commands import Mode
from domain.errors import Refused
from domain.foretell import upcoming
from domain.ports import Remedy
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import Row, Story, at_noon, going_on, ny, paused, resume
from tests.domain.sequences import BOOK, sequence

S = TouchStatus
STAYS: list[Row] = [
    ("06-05 10:00", "edu", "email", "sent"),
    ("06-09 10:00", "end", "call", "opened"),
    ("06-09 10:00", "end", "email", "sent"),
]

EITHER = [("catch_up", "sent"), ("skip_expired", "skipped: resume.expired")]  # of what is overdue


def with_steps(start: str, *steps: dict[str, Any]) -> Story:
    return Story(ny(start), book=BOOK.with_(sequence(*steps, key="consultation")))


def gone(story: Story, *, to: timedelta = timedelta(days=12)) -> list[Row]:
    """What then reaches the lead or is left out."""
    story.run(to)
    return [
        r for r in story.table() if r[1] not in ("-", "staff") and r[3].split()[0] in ("sent", "opened", "skipped:")
    ]


def resumes(story: Story) -> list[f.Resumed]:
    return [r.fact for r in story.records if isinstance(r.fact, f.Resumed)]


def rested_until(until: str, mode: Mode) -> Story:
    """Paused at noon, with the second call to come at two and the link the next morning."""
    story = at_noon()
    paused(story)
    story.run(until)
    resume(story, mode)
    return story


def test_catch_up_does_what_is_overdue_now_and_spaced_and_moves_nothing_else() -> None:
    story = rested_until("2026-06-04 12:00", "catch_up")
    assert gone(story) == [
        ("06-04 12:00", "call2", "call", "opened"),
        ("06-04 12:30", "link", "sms", "sent"),
        *STAYS,
    ]
    (fact,) = resumes(story)
    assert (fact.mode, fact.overslept) == ("catch_up", None)


def test_skip_expired_drops_what_is_overdue_with_the_reason_and_moves_nothing_else() -> None:
    story = rested_until("2026-06-04 12:00", "skip_expired")
    assert gone(story) == [
        ("06-04 12:00", "call2", "call", "skipped: resume.expired"),
        ("06-04 12:00", "link", "sms", "skipped: resume.expired"),
        *STAYS,
    ]
    link = story.state.touches[1, "link", "sms"]
    assert link.reason == "its time passed while the lead was paused"
    assert link.due_at == ny("2026-06-03 10:00")
    assert [x.mode for x in resumes(story)] == ["skip_expired"]


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
def test_a_pause_in_which_nothing_fell_due_changes_nothing(mode: Mode) -> None:
    story = rested_until("2026-06-02 13:00", mode)
    assert gone(story) == [
        ("06-02 14:00", "call2", "call", "opened"),
        ("06-03 10:00", "link", "sms", "sent"),
        *STAYS,
    ]


def test_catch_up_in_the_night_waits_for_the_window_in_order() -> None:
    story = rested_until("2026-06-05 23:00", "catch_up")
    assert gone(story, to=timedelta(days=1)) == [
        ("06-06 08:00", "call2", "call", "opened"),
        ("06-06 08:30", "link", "sms", "sent"),
        ("06-06 09:00", "edu", "email", "sent"),
    ]
    assert not [r for r in story.records if isinstance(r.fact, f.TouchChanged) and r.fact.status is S.DELAYED]


def test_catch_up_keeps_its_distance_from_what_comes_at_its_own_time() -> None:
    story = rested_until("2026-06-05 09:50", "catch_up")
    assert gone(story, to=timedelta(hours=3)) == [
        ("06-05 10:00", "edu", "email", "sent"),
        ("06-05 10:30", "call2", "call", "opened"),
        ("06-05 11:00", "link", "sms", "sent"),
    ]


def test_what_is_a_moment_late_does_not_wait_for_what_was_to_follow_it_soon() -> None:
    story = Story(ny("2026-06-02 10:00"))
    paused(story)
    story.run(timedelta(seconds=30))
    story.table()
    resume(story, "catch_up")
    assert gone(story, to=timedelta(hours=3))[:3] == [
        ("06-02 10:00:30", "confirm", "sms", "sent"),
        ("06-02 10:02", "call1", "call", "opened"),
        ("06-02 11:00", "bio", "email", "sent"),
    ]


def test_what_cannot_reach_the_lead_takes_no_ones_place() -> None:
    story = at_noon()
    paused(story)
    story.tell(f.Suppressed(channels=(Channel.VOICE,), cause="suppressed"))
    story.run("2026-06-04 12:00")
    resume(story, "catch_up")
    assert gone(story, to=timedelta(hours=1)) == [
        ("06-04 12:00", "call2", "call", "skipped: stop.address"),
        ("06-04 12:00", "link", "sms", "sent"),
    ]


def test_parts_of_one_step_stay_together() -> None:
    story = rested_until("2026-06-10 09:00", "catch_up")
    assert gone(story, to=timedelta(hours=3))[-2:] == [
        ("06-10 10:30", "end", "call", "opened"),
        ("06-10 10:30", "end", "email", "sent"),
    ]


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
@pytest.mark.parametrize("until", ["2026-06-02 13:00", "2026-06-04 12:00", "2026-06-05 09:50", "2026-06-09 22:30"])
def test_what_is_foretold_after_it_is_what_comes(until: str, mode: Mode) -> None:
    story = rested_until(until, mode)
    told = {(u.step, u.part): u.at for u in upcoming(story.state, BOOK.latest("consultation"), story.now)}
    story.run(timedelta(days=20))
    came: dict[tuple[str, str], datetime | None] = {
        (s, p): t.claimed_at
        for (_, s, p), t in story.state.touches.items()
        if t.claimed_at and t.claimed_at >= ny(until)
    }
    came |= {(t.step or "", t.part or ""): t.opened_at for t in story.state.tasks.values() if t.opened_at >= ny(until)}
    assert came == told


def test_it_is_said_why_a_step_comes_when_it_does() -> None:
    story = rested_until("2026-06-04 12:00", "catch_up")
    said = {u.step: u.reason for u in upcoming(story.state, BOOK.latest("consultation"), story.now)}
    assert said["link"] == (
        "1 d after the start of the sequence; it was overdue, and is caught up with at a distance from others"
    )
    assert said["edu"] == "3 d after the start of the sequence"


def test_a_condition_is_asked_when_its_turn_comes() -> None:
    """The mail waits for the call before it, which is carried out late itself."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    paused(story)
    story.run("2026-06-03 09:00")
    story.table()
    resume(story, "catch_up")
    story.run("2026-06-03 09:05")
    story.claims(story.call("call1"))
    story.run("2026-06-03 09:10")
    story.completes(story.call("call1"), disposition=Disposition.VOICEMAIL)
    assert gone(story, to=timedelta(hours=3)) == [
        ("06-03 09:00", "call1", "call", "opened"),
        ("06-03 09:30", "bio", "email", "sent"),
        # the link comes at its own time, ten
        ("06-03 10:00", "link", "sms", "sent"),
        ("06-03 10:30", "call2", "call", "opened"),
    ]


def test_a_condition_that_no_longer_holds_says_so_itself() -> None:
    story = with_steps(
        "2026-06-02 10:00",
        {"key": "a", "after": "0 s", "sms": "a"},
        {"key": "b", "after": "1 h", "sms": "b", "when": "not sent(a)"},
        {"key": "c", "after": "5 d", "sms": "c"},
    ).run("2026-06-02 10:01")
    paused(story)
    story.run("2026-06-03 10:00")
    story.table()
    resume(story, "skip_expired")
    assert gone(story)[0] == ("06-03 10:00", "b", "sms", "skipped: when")


OF: tuple[dict[str, Any], ...] = (
    {"key": "a", "after": "1 h", "sms": "a"},
    {"key": "b", "after": "4 h", "of": "a", "email": "b"},
    {"key": "c", "after": "2 d", "of": "b", "email": "c"},
)


def test_what_counts_from_a_step_that_is_caught_up_with_keeps_its_distance_to_it() -> None:
    story = with_steps("2026-06-02 10:00", *OF)
    paused(story)
    story.run("2026-06-03 12:00")
    story.table()
    resume(story, "catch_up")
    assert gone(story) == [
        ("06-03 12:00", "a", "sms", "sent"),
        ("06-03 16:00", "b", "email", "sent"),
        ("06-05 16:00", "c", "email", "sent"),
    ]


def test_what_counts_from_a_step_that_expired_comes_when_it_would_have() -> None:
    story = with_steps("2026-06-02 10:00", *OF)
    paused(story)
    story.run("2026-06-03 12:00")
    story.table()
    resume(story, "skip_expired")
    assert gone(story) == [
        ("06-03 12:00", "a", "sms", "skipped: resume.expired"),
        ("06-03 12:00", "b", "email", "skipped: resume.expired"),
        ("06-04 15:00", "c", "email", "sent"),
    ]


@pytest.mark.parametrize(("mode", "then"), EITHER)
def test_a_text_that_waited_for_the_morning_is_overdue_by_noon(mode: Mode, then: str) -> None:
    """By how much it had moved later texts stays as it was."""
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:30")
    paused(story)
    story.run("2026-03-03 13:00")
    story.table()
    resume(story, mode)
    rows = gone(story, to=timedelta(days=2))
    assert rows[0] == ("03-03 13:00", "confirm", "sms", then)
    assert [r[0] for r in rows if r[1] == "link"] == ["03-04 08:00"]


def test_nothing_goes_at_once_for_a_step_that_goes_now_itself() -> None:
    story = Story(ny("2026-03-02 22:00"))
    story.tell(f.TouchChanged(
        touch_id="t", enrollment=1, step="confirm", part="sms", channel=Channel.SMS, status=S.DELAYED,
        due_at=story.now, until=ny("2026-03-03 08:00"), rule="window.federal", reason="the night",
    ))  # fmt: skip
    paused(story)
    story.run("2026-03-03 13:00")
    story.table()
    resume(story, "catch_up")
    rows = gone(story, to=timedelta(hours=1))
    assert rows[0] == ("03-03 13:00", "confirm", "sms", "sent")
    assert "at_once" not in {r[2] for r in rows}


@pytest.mark.parametrize(("mode", "then"), EITHER)
def test_a_second_try_is_overdue_like_any_part(mode: Mode, then: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    paused(story)
    story.run("2026-06-02 11:30")
    story.table()
    resume(story, mode)
    assert gone(story, to=timedelta(minutes=1))[0] == ("06-02 11:30", "confirm", "sms.retry1", then)


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
def test_what_was_on_its_way_is_neither_dropped_nor_moved(mode: Mode) -> None:
    story = at_noon()
    story.slow = (S.ACCEPTED, None)
    story.run("2026-06-03 12:00")
    assert story.in_flight is not None
    paused(story)
    story.now += timedelta(days=1)
    story.table()
    resume(story, mode)
    story.lands()
    assert story.state.touches[1, "link", "sms"].status is S.ACCEPTED
    assert gone(story)[1:] == STAYS


@pytest.mark.parametrize(("mode", "then"), EITHER)
def test_a_reminder_is_never_moved_and_goes_at_once_if_it_still_may(mode: Mode, then: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run(timedelta(minutes=1))
    paused(story)
    story.run("2026-06-09 12:00")
    story.table()
    resume(story, mode)
    assert gone(story, to=timedelta(days=5)) == [
        ("06-09 12:00", "remind_24h", "sms", then),
        ("06-10 08:00", "remind_2h", "sms", "sent"),
        ("06-13 10:00", "ask_outcome", "review", "opened"),
    ]


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
def test_nobody_forgets_to_ask_what_became_of_an_appointment(mode: Mode) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run(timedelta(minutes=1))
    paused(story)
    story.run("2026-06-20 12:00")
    story.table()
    resume(story, mode)
    assert gone(story)[-1] == ("06-20 12:00", "ask_outcome", "review", "opened")


def test_an_outage_while_catching_up_keeps_the_distances() -> None:
    story = rested_until("2026-06-04 12:00", "catch_up")
    story.run("2026-06-04 12:10")
    story.now = ny("2026-06-04 15:30")  # the link was due three hours before
    assert gone(story) == [
        ("06-04 12:00", "call2", "call", "opened"),
        ("06-04 15:30", "link", "sms", "sent"),
        ("06-05 13:00", "edu", "email", "sent"),
        ("06-09 13:00", "end", "call", "opened"),
        ("06-09 13:00", "end", "email", "sent"),
    ]


def test_a_pause_while_catching_up_ends_in_any_mode() -> None:
    expected: dict[Mode, list[Row]] = {
        "shift": [("06-04 13:20", "link", "sms", "sent"), ("06-05 10:50", "edu", "email", "sent")],
        "catch_up": [("06-04 13:00", "link", "sms", "sent"), ("06-05 10:00", "edu", "email", "sent")],
        "skip_expired": [
            ("06-04 13:00", "link", "sms", "skipped: resume.expired"),
            ("06-05 10:00", "edu", "email", "sent"),
        ],
    }
    for mode, then in expected.items():
        story = rested_until("2026-06-04 12:00", "catch_up")
        story.run("2026-06-04 12:10")
        paused(story)
        story.run("2026-06-04 13:00")
        story.table()
        resume(story, mode)
        assert gone(story, to=timedelta(days=2)) == then, mode


def test_a_provider_that_is_away_while_catching_up_moves_by_no_more_than_that() -> None:
    story = rested_until("2026-06-04 12:00", "catch_up")
    story.run("2026-06-04 12:29")
    story.slow = (S.DELAYED, None)
    story.run("2026-06-04 12:31")
    assert gone(story, to=timedelta(days=2))[1:] == [
        ("06-04 13:00", "link", "sms", "sent"),
        ("06-05 10:00", "edu", "email", "sent"),
    ]


def test_a_rest_can_be_resumed_in_any_mode_and_says_that_it_rested() -> None:
    story = at_noon()
    story.replies()
    story.answers()
    story.run("2026-06-04 10:00")
    story.table()
    resume(story, "skip_expired")
    assert story.state.touches[1, "link", "sms"].reason == "its time passed while the lead rested"
    assert gone(story) == [
        ("06-04 10:00", "call2", "call", "skipped: resume.expired"),
        ("06-04 10:00", "link", "sms", "skipped: resume.expired"),
        *STAYS,
    ]


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
def test_with_a_rest_under_the_pause_only_shift_ends_the_pause(mode: Mode) -> None:
    story = at_noon()
    story.replies()
    story.answers()
    paused(story)
    with pytest.raises(Refused, match="a rest stands under the pause"):
        resume(story, mode)
    resume(story, "shift")
    story.run("2026-06-03 12:00")
    resume(story, mode)
    assert [(x.of, x.mode) for x in resumes(story)] == [("pause", "shift"), ("all", mode)]


def test_a_rest_that_ends_by_itself_shifts() -> None:
    story = at_noon()
    paused(story, "2026-06-04 12:00")
    story.run("2026-06-04 12:00")
    assert [x.mode for x in resumes(story)] == ["shift"]
    assert going_on(story)[0] == ("06-04 14:00", "call2", "call", "opened")


@pytest.mark.parametrize("mode", ["catch_up", "skip_expired"])
def test_a_stop_meanwhile_holds(mode: Mode) -> None:
    story = at_noon()
    paused(story)
    story.run("2026-06-04 12:00")
    resume(story, mode)
    story.opts_out()
    assert not [r for r in gone(story) if r[3] in ("sent", "opened")]
