"""Contact windows: what a night, an unknown place and the change of clocks do to the cadence."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain.contact_window import ALL_ZONES
from domain.foretell import upcoming
from domain.next_action import OpenTask, Touch, Wait
from domain.touches import Channel, TouchStatus
from tests.domain.lead_story import Row, Story, ny
from tests.domain.sequences import BOOK, sequence


def only(story: Story, *kinds: str) -> list[Row]:
    return [r for r in story.table() if r[3] in ("sent", "opened") and r[2] in kinds]


def test_a_night_inquiry_is_answered_by_email_at_once_and_by_phone_in_the_morning() -> None:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-03 13:00")
    assert story.table()[1:] == [
        ("03-02 22:00", "confirm", "sms", "waits until 03-03 08:00"),
        ("03-02 22:00", "confirm", "at_once", "sent"),
        ("03-02 22:00", "call1", "call", "waits until 03-03 08:00"),
        ("03-03 08:00", "confirm", "sms", "sent"),
        ("03-03 08:00", "call1", "call", "opened"),
        ("03-03 08:10", "-", "task", "missed"),
        ("03-03 08:10", "call1", "call", "missed"),
        ("03-03 08:10", "bio", "email", "sent"),  # due at 23:00, it waited for the call
        ("03-03 11:58", "call2", "call", "opened"),  # 3 h 58 min after the first call, as planned
        ("03-03 12:08", "-", "task", "missed"),
        ("03-03 12:08", "call2", "call", "missed"),
    ]


def test_later_steps_keep_their_distance_in_their_channel_and_emails_stay() -> None:
    story = Story(ny("2026-03-16 22:00")).run("2026-04-01 10:00")
    assert only(story, "sms", "email") == [
        ("03-17 08:00", "confirm", "sms", "sent"),
        ("03-17 08:10", "bio", "email", "sent"),
        ("03-18 08:00", "link", "sms", "sent"),  # 24 h after the SMS before it
        ("03-19 22:00", "edu", "email", "sent"),
        ("03-23 22:00", "end", "email", "sent"),
    ]


def test_two_delays_in_one_channel_add_up_to_the_planned_distance() -> None:
    raw = sequence(
        {"key": "a", "after": "0 s", "sms": "a"},
        {"key": "b", "after": "13 h", "sms": "b"},
        {"key": "c", "after": "14 h", "sms": "c"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 06:00"), book=BOOK.with_(raw)).run("2026-03-05 10:00")
    assert story.table()[1:-1] == [
        ("03-02 06:00", "a", "sms", "waits until 03-02 08:00"),
        ("03-02 08:00", "a", "sms", "sent"),
        ("03-02 08:00", "b", "sms", "waits until 03-03 08:00"),
        ("03-03 08:00", "b", "sms", "sent"),
        ("03-03 09:00", "c", "sms", "sent"),
    ]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2026-01-14 09:00", "01-14 13:00"),  # winter: 8:00 in Honolulu is 13:00 in New York
        ("2026-07-14 09:00", "07-14 14:00"),  # summer: 14:00
        ("2026-01-14 20:59", "01-14 20:59"),
        ("2026-01-14 21:00", "01-15 13:00"),
        ("2026-07-14 15:00", "07-14 15:00"),
    ],
)
def test_an_unknown_place_is_every_zone_at_once(asked: str, answered: str) -> None:
    story = Story(ny(asked), zones=ALL_ZONES).run(timedelta(days=1))
    assert [r for r in story.sent() if r[1:3] == ("confirm", "sms")] == [(answered, "confirm", "sms", "sent")]


def test_an_unknown_place_never_hears_from_a_machine_outside_the_shared_hours() -> None:
    story = Story(ny("2026-03-06 09:00"), zones=ALL_ZONES).run(timedelta(days=30))
    phone = [r for r in story.table() if r[2] in ("sms", "call") and r[3] in ("sent", "opened")]
    assert len(phone) == 5
    assert all("13:00" <= r[0].split()[1] < "21:00" for r in phone)


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        ("2026-03-07 22:00", ("03-08 08:00", 9)),  # the clocks go forward: the night is an hour shorter
        ("2026-10-31 22:00", ("11-01 08:00", 11)),  # back: an hour longer
    ],
)
def test_the_window_opens_at_eight_local_on_the_days_the_clocks_change(asked: str, opens: tuple[str, int]) -> None:
    story = Story(ny(asked)).run(timedelta(hours=12))
    assert ("confirm", "sms", "sent") in [r[1:] for r in story.table() if r[0] == opens[0]]
    touch = story.state.touches[(1, "confirm", "sms")]
    assert touch.delay == timedelta(hours=opens[1])


def test_the_last_minute_of_the_window_is_used_and_its_end_is_not() -> None:
    for asked, sent in (("2026-03-02 20:59", "03-02 20:59"), ("2026-03-02 21:00", "03-03 08:00")):
        story = Story(ny(asked)).run(timedelta(hours=12))
        assert [r[0] for r in story.sent() if r[1:3] == ("confirm", "sms")] == [sent]


def test_a_pause_that_outlasts_the_night_is_no_second_delay() -> None:
    """Delayed to 8:00, paused from 23:00 for 14 h: its time, 22:00, moves to 12:00, so it goes as the pause ends."""
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 23:00")
    story.tell(f.Paused(reason="holiday"))
    story.run("2026-03-03 13:00")
    story.table()
    story.tell(f.Resumed(cause="a person resumed it"))
    story.run("2026-03-05 12:00")
    sms = [r for r in story.table() if r[1:3] == ("confirm", "sms") or r[1] == "link"]
    assert sms == [
        ("03-03 13:00", "confirm", "sms", "sent"),
        ("03-04 12:00", "link", "sms", "sent"),
    ]


@pytest.mark.parametrize("hours", [0, 2, 9])
def test_a_pause_within_the_night_leaves_the_morning_where_it_was(hours: int) -> None:
    """The time of its own moves by the pause; at night it still is."""
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:30")
    story.tell(f.Paused(reason="asked for"))
    story.run(timedelta(hours=hours))
    story.tell(f.Resumed(cause="a person resumed it"))
    assert {u.step: u.at for u in upcoming(story.state, BOOK.latest("consultation"), story.now)}["confirm"] == ny(
        "2026-03-03 08:00"
    )
    story.run("2026-03-04 23:00")
    went = only(story, "sms", "call")
    assert went[:2] == [("03-03 08:00", "confirm", "sms", "sent"), ("03-03 08:00", "call1", "call", "opened")]
    assert [row[0] for row in went if row[1] == "link"] == ["03-04 08:00"]


def test_a_rest_within_the_night_is_not_counted_again_when_the_provider_is_away() -> None:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:30")
    story.tell(f.Paused(reason="asked for"))
    story.run(timedelta(hours=9))
    story.tell(f.Resumed(cause="a person resumed it"))
    story.now = ny("2026-03-03 08:00")
    touch = story.decide()
    story.changes(touch, TouchStatus.CLAIMED)
    story.changes(touch, TouchStatus.DELAYED, until=ny("2026-03-03 08:05"), rule="carrier.away")
    story.table()
    story.run("2026-03-03 08:30")
    assert ("03-03 08:05", "confirm", "sms", "sent") in story.table()


def test_what_the_gate_has_put_off_is_foretold_with_the_reason() -> None:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:30")
    for step in upcoming(story.state, BOOK.latest("consultation"), story.now)[:3]:
        assert step.channel is Channel.EMAIL or "window" in step.reason, step


def test_at_once_by_sms_waits_for_the_window_like_any_sms() -> None:
    raw = sequence(
        {"key": "a", "after": "0 s", "call": {"script": "c"}, "at_once": {"sms": "sorry"}}, key="consultation"
    )
    story = Story(ny("2026-03-02 22:00"), book=BOOK.with_(raw)).run("2026-03-03 09:00")
    assert story.table()[1:4] == [
        ("03-02 22:00", "a", "call", "waits until 03-03 08:00"),
        ("03-02 22:00", "a", "at_once", "waits until 03-03 08:00"),
        ("03-03 08:00", "a", "call", "opened"),
    ]


def test_at_once_is_not_sent_when_nothing_waits() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-09 12:00")
    assert "at_once" not in {r[2] for r in story.table()}


def test_a_lead_without_a_phone_is_answered_by_email_at_once() -> None:
    story = Story(ny("2026-03-02 10:00"), phone=False).run("2026-03-02 10:01")
    assert story.table()[1:] == [
        ("03-02 10:00", "confirm", "sms", "skipped: address.none"),
        ("03-02 10:00", "confirm", "at_once", "sent"),
    ]


def test_at_once_of_a_skipped_step_is_not_sent() -> None:
    story = Story(ny("2026-03-02 22:00"))
    touch = story.decide()
    assert isinstance(touch, Touch)
    story._do(touch)
    story.tell(f.StepSkipped(enrollment=1, step="confirm"))
    assert story.decide() == Wait(ny("2026-03-03 08:00"), "next: call1", OpenTask(1, "call1", "call"))


@pytest.mark.parametrize("asked", ["2026-03-02 10:00", "2026-03-02 22:00", "2026-10-31 20:58", "2026-03-02 03:30"])
def test_upcoming_foretells_what_then_happens(asked: str) -> None:
    story = Story(ny(asked))
    foretold = {(u.step, u.part): u.at for u in upcoming(story.state, BOOK.latest("consultation"), story.now)}
    del foretold["bio", "email"]  # it depends on the call
    story.run(timedelta(days=20))
    came = {(s, p): t.claimed_at for (_, s, p), t in story.state.touches.items() if t.status is TouchStatus.ACCEPTED}
    came |= {(t.step, t.part): t.opened_at for t in story.state.tasks.values() if t.step and t.part}
    assert {k: came[k] for k in foretold} == foretold


def test_upcoming_says_why() -> None:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:01")
    said = {(u.step, u.part): u.reason for u in upcoming(story.state, BOOK.latest("consultation"), story.now)}
    assert said["call1", "call"] == (
        "2 min after the start of the sequence; waits for the contact window, 8:00 to 21:00 at the lead's place"
    )
    assert said["bio", "email"] == "1 h after the start of the sequence; only if not answered(call1)"
    assert said["edu", "email"] == "3 d after the start of the sequence"


def test_what_is_left_out_before_its_night_moves_nothing() -> None:
    story = Story(ny("2026-03-02 18:00")).run("2026-03-02 19:30")  # call2, at 22:00, is put off to the morning
    assert story.state.touches[1, "call2", "call"].status is TouchStatus.DELAYED
    story.tell(f.StepSkipped(enrollment=1, step="call2"))
    story.run("2026-03-12 10:00")
    last = [r[0] for r in story.table() if r[1] == "end" and r[3] in ("opened", "sent")]
    assert last == ["03-09 19:00"] * 2  # seven days later, in summer time


def test_a_step_with_a_condition_is_not_put_off_before_it_is_known() -> None:
    raw = sequence(
        {"key": "a", "after": "12 h", "sms": "a", "when": "replied()"},
        {"key": "b", "after": "24 h", "sms": "b"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 18:00"), book=BOOK.with_(raw)).run("2026-03-04 10:00")
    assert [r for r in story.table() if r[1] in "ab"] == [
        ("03-03 06:00", "a", "sms", "skipped: when"),
        ("03-03 18:00", "b", "sms", "sent"),
    ]


def test_an_outage_over_an_opening_that_was_known_before_keeps_the_distances() -> None:
    story = Story(ny("2026-03-02 18:00")).run("2026-03-02 19:30")
    story.table()
    story.now = ny("2026-03-06 12:00")
    story.run("2026-03-08 12:00")
    assert [r for r in story.table() if r[1] in ("call2", "link") and r[3] in ("opened", "sent")] == [
        ("03-06 12:00", "call2", "call", "opened"),
        ("03-07 08:00", "link", "sms", "sent"),
    ]


def test_an_outage_counts_once_though_a_mail_was_due_in_it_before_an_opening() -> None:
    raw = sequence(
        {"key": "a", "after": "4 h", "sms": "a"},
        {"key": "b", "after": "12 h", "email": "b"},
        {"key": "c", "after": "36 h", "email": "c"},
        key="consultation",
    )
    story = Story(ny("2026-06-01 18:00"), book=BOOK.with_(raw)).run("2026-06-01 19:00")
    story.now = ny("2026-06-02 12:00")
    story.run("2026-06-04 10:00")
    assert story.sent() == [
        ("06-02 12:00", "b", "email", "sent"),
        ("06-02 12:30", "a", "sms", "sent"),  # overdue as well, at a distance
        ("06-03 12:00", "c", "email", "sent"),
    ]


def test_what_cannot_reach_the_lead_waits_for_no_window() -> None:
    story = Story(ny("2026-03-02 22:00"), phone=False).run("2026-03-12 10:00")
    assert not [r for r in story.table() if r[3].startswith("waits")]
