"""After an outage: the rest of a sequence keeps its distances, what does not move is spaced, what expired skipped."""

from datetime import timedelta
from typing import Any

from domain import facts as f
from domain.ports import Remedy
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import Row, Story, booked, ny
from tests.domain.sequences import BOOK, sequence

S = TouchStatus


def reached(story: Story, *, to: timedelta) -> list[Row]:
    story.run(to)
    return [
        r for r in story.table() if r[1] not in ("-", "staff") and r[3].split()[0] in ("sent", "opened", "skipped:")
    ]


def away(story: Story, until: str) -> None:
    """Nobody is at work until then."""
    story.table()
    story.now = ny(until)


def put_off(story: Story, step: str, until: str) -> None:
    """The provider was away as this step's text was due."""
    number = story.state.enrollment.number if story.state.enrollment else 0
    story.tell(f.TouchChanged(
        touch_id=step, enrollment=number, step=step, part="sms", channel=Channel.SMS, status=S.DELAYED,
        due_at=story.now, until=ny(until), rule="channel.unavailable", reason="away",
    ))  # fmt: skip


def test_a_step_with_a_condition_moves_the_rest_like_any_other() -> None:
    """The mail was due at eleven, once the call was missed; the second call three hours later."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:30")
    away(story, "2026-06-02 15:00")
    assert reached(story, to=timedelta(days=2))[:3] == [
        ("06-02 15:00", "bio", "email", "sent"),
        ("06-02 18:00", "call2", "call", "opened"),
        ("06-03 14:00", "link", "sms", "sent"),
    ]


def test_a_call_that_nobody_could_miss_in_time_counts_from_when_it_should_have_been() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:05")
    away(story, "2026-06-02 15:00")
    assert reached(story, to=timedelta(hours=5)) == [
        ("06-02 15:00", "bio", "email", "sent"),
        ("06-02 18:00", "call2", "call", "opened"),
    ]


def test_what_waits_for_a_person_is_not_taken_for_an_outage() -> None:
    """A call in hand for two hours: the mail after it goes as soon as it is over, and moves nothing."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:05")
    task = story.call("call1")
    story.tell(f.TaskClaimed(task_id=task, by_id="k1", by_name="x", lease_until=ny("2026-06-02 18:00")))
    story.run("2026-06-02 13:00")
    story.completes(task, disposition=Disposition.NO_ANSWER)
    story.table()
    assert reached(story, to=timedelta(hours=2)) == [
        ("06-02 13:00", "bio", "email", "sent"),
        ("06-02 14:00", "call2", "call", "opened"),
    ]
    assert not any(isinstance(r.fact, f.Resumed) for r in story.records)


STEPS: tuple[dict[str, Any], ...] = (
    {"key": "a", "after": "0 s", "sms": "a"},
    {"key": "b", "after": "1 h", "sms": "b"},
    {"key": "c", "after": "2 h", "email": "c"},
)


def test_several_that_had_been_put_off_are_spaced() -> None:
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(sequence(*STEPS, key="consultation")))
    put_off(story, "a", "2026-06-02 10:10")
    put_off(story, "b", "2026-06-02 10:20")
    away(story, "2026-06-03 12:00")
    assert reached(story, to=timedelta(days=1)) == [
        ("06-03 12:00", "a", "sms", "sent"),
        ("06-03 12:30", "b", "sms", "sent"),
        ("06-03 13:50", "c", "email", "sent"),  # an hour and fifty minutes after the outage began
    ]


def test_what_had_been_put_off_waits_for_the_window_and_is_spaced_there_too() -> None:
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(sequence(*STEPS, key="consultation")))
    put_off(story, "a", "2026-06-02 10:10")
    put_off(story, "b", "2026-06-02 10:20")
    away(story, "2026-06-03 22:00")
    assert reached(story, to=timedelta(days=1)) == [
        ("06-03 23:50", "c", "email", "sent"),
        ("06-04 08:00", "a", "sms", "sent"),
        ("06-04 08:30", "b", "sms", "sent"),
    ]


def test_a_second_try_is_spaced_from_what_goes_now() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 13:50")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    away(story, "2026-06-02 18:00")
    assert reached(story, to=timedelta(hours=3)) == [
        ("06-02 18:00", "call2", "call", "opened"),
        ("06-02 18:30", "confirm", "sms.retry1", "sent"),
    ]


def test_of_two_overdue_reminders_the_older_is_skipped_with_its_reason() -> None:
    story = booked("2026-06-10 10:00")
    away(story, "2026-06-10 09:30")
    assert reached(story, to=timedelta(hours=1)) == [
        ("06-10 09:30", "remind_24h", "sms", "skipped: late.superseded"),
        ("06-10 09:30", "remind_2h", "sms", "sent"),
    ]


def test_reminders_of_an_appointment_that_has_begun_are_skipped_and_its_outcome_is_asked_for() -> None:
    story = booked("2026-06-10 10:00")
    away(story, "2026-06-14 12:00")
    assert reached(story, to=timedelta(hours=1)) == [
        ("06-14 12:00", "remind_24h", "sms", "skipped: late.appointment"),
        ("06-14 12:00", "remind_2h", "sms", "skipped: late.appointment"),
        ("06-14 12:00", "ask_outcome", "review", "opened"),
    ]


def test_a_reminder_goes_first_and_what_else_is_overdue_keeps_its_distance() -> None:
    raw = {
        "key": "booked",
        "code": "s02",
        "title": "Booked",
        "steps": [
            {"key": "confirm", "after": "0 s", "email": "booked_confirm"},
            {"key": "paper", "after": "1 d", "sms": "paper"},
            {"key": "remind_24h", "before": "24 h", "of": "appointment", "email": "remind_day"},
        ],
    }
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw)).run("2026-06-02 12:00")
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-03 11:59")
    put_off(story, "paper", "2026-06-03 12:30")
    away(story, "2026-06-09 12:00")
    assert reached(story, to=timedelta(hours=2)) == [
        ("06-09 12:00", "remind_24h", "email", "sent"),
        ("06-09 12:30", "paper", "sms", "sent"),
    ]


def test_an_outage_is_recorded_once_however_often_it_is_asked() -> None:
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(sequence(*STEPS, key="consultation")))
    put_off(story, "a", "2026-06-02 10:10")
    away(story, "2026-06-03 12:00")
    first = story.decide()
    records = len(story.records)
    assert story.decide() == first
    assert len(story.records) == records
    (fact,) = (r.fact for r in story.records if isinstance(r.fact, f.Resumed))
    assert fact.cause == "nobody carried out a in time"
    assert [(s.step, s.at) for s in fact.slots] == [("a", ny("2026-06-03 12:00"))]
