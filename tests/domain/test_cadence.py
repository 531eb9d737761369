"""The reference cadence, step by step, on product time."""

from datetime import timedelta

from domain import commands
from domain import facts as f
from domain.foretell import upcoming
from domain.lead_state import LeadState, Stage, State
from domain.next_action import Finish, Wait, next_action
from domain.touches import Channel, Disposition, TouchStatus
from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK, sequence


def test_a_silent_lead_gets_the_reference_cadence_to_the_minute() -> None:
    story = Story(ny("2026-03-02 10:00"))
    assert story.stands() is State.STARTING
    story.run("2026-03-20 10:00")
    assert story.table() == [
        ("03-02 10:00", "-", "-", "enrolled consultation"),
        ("03-02 10:00", "confirm", "sms", "sent"),
        ("03-02 10:02", "call1", "call", "opened"),
        ("03-02 10:12", "-", "task", "missed"),
        ("03-02 10:12", "call1", "call", "missed"),
        ("03-02 11:00", "bio", "email", "sent"),
        ("03-02 14:00", "call2", "call", "opened"),
        ("03-02 14:10", "-", "task", "missed"),
        ("03-02 14:10", "call2", "call", "missed"),
        ("03-03 10:00", "link", "sms", "sent"),
        ("03-05 10:00", "edu", "email", "sent"),
        ("03-09 11:00", "end", "call", "opened"),  # the clocks went forward on the 8th: seven times 24 hours
        ("03-09 11:00", "end", "email", "sent"),
        ("03-09 11:10", "-", "task", "missed"),
        ("03-09 11:10", "end", "call", "missed"),
        ("03-09 11:10", "-", "-", "finished: exhausted"),
    ]
    assert story.stands() is State.FINISHED
    assert story.stage() is Stage.LOST
    assert story.stale == 0  # every timer did what it had said


def test_finished_answers_finish_for_ever() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-20 10:00")
    for later in (timedelta(0), timedelta(days=400)):
        story.now += later
        assert story.decide() == Finish(f.ExitReason.EXHAUSTED)


def test_the_bio_waits_for_a_call_that_a_coordinator_holds() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:05")
    story.claims(story.call("call1"))
    story.run("2026-03-02 10:19")
    for minute in (19, 33, 47):  # the holder renews the lease
        story.run(f"2026-03-02 10:{minute}")
        story.claims(story.call("call1"))
    story.run("2026-03-02 11:01")
    assert not [r for r in story.sent() if r[1] == "bio"]
    story.completes(story.call("call1"), disposition=Disposition.VOICEMAIL)
    story.run("2026-03-02 11:02")
    assert story.sent() == [("03-02 11:01", "bio", "email", "sent")]


def test_a_step_that_waits_for_another_does_not_hold_the_ones_after_it() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:05")
    task = story.call("call1")
    for _ in range(30):
        story.claims(task)
        story.run(timedelta(minutes=10))
    assert story.now > ny("2026-03-02 14:00")
    rows = story.table()
    assert ("03-02 14:00", "call2", "call", "opened") in rows
    assert not [r for r in rows if r[1] == "bio"]


def test_the_bio_is_skipped_with_its_reason_when_a_person_answered() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:05")
    story.claims(story.call("call1"))
    story.completes(story.call("call1"), f.Outcome.REACHED, Disposition.ANSWERED)
    story.run("2026-03-02 11:00")
    assert story.table()[-1] == ("03-02 11:00", "bio", "email", "skipped: when")
    bio = story.state.touches[(1, "bio", "email")]
    assert bio.reason == "the condition does not hold: not answered(call1)"


def test_a_lead_with_an_email_alone_gets_what_can_reach_it() -> None:
    story = Story(ny("2026-03-02 10:00"), phone=False).run("2026-03-20 10:00")
    assert [r[1:] for r in story.table()] == [
        ("-", "-", "enrolled consultation"),
        ("confirm", "sms", "skipped: address.none"),
        ("confirm", "at_once", "sent"),
        ("call1", "call", "skipped: address.none"),
        ("bio", "email", "sent"),
        ("call2", "call", "skipped: address.none"),
        ("link", "sms", "skipped: address.none"),
        ("edu", "email", "sent"),
        ("end", "call", "skipped: address.none"),
        ("end", "email", "sent"),
        ("-", "-", "finished: exhausted"),
    ]


def test_a_lead_with_a_stopped_number_gets_a_persons_task_and_no_machine_on_it() -> None:
    story = Story(ny("2026-03-02 10:00"), stopped=(Channel.SMS, Channel.VOICE)).run("2026-03-20 10:00")
    assert [r[1:3] for r in story.sent()] == [("bio", "email"), ("edu", "email"), ("end", "email")]
    (task,) = story.state.tasks.values()
    assert task.kind is f.TaskKind.REVIEW
    assert task.living


def test_skip_leaves_out_the_next_step_alone() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 12:00")
    story.table()
    story.tell(*commands.skip(story.state, BOOK.latest("consultation"), story.now))
    story.run("2026-03-06 10:00")
    assert [r[1:] for r in story.table()] == [("link", "sms", "sent"), ("edu", "email", "sent")]


def test_a_skip_of_an_older_enrollment_is_harmless() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:01")
    story.tell(f.StepSkipped(enrollment=7, step="call1"))
    story.run("2026-03-02 10:03")
    assert story.table()[-1] == ("03-02 10:02", "call1", "call", "opened")


def test_a_skipped_step_answers_the_conditions_that_name_it() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:01")
    story.tell(f.StepSkipped(enrollment=1, step="call1"))
    story.run("2026-03-02 11:01")
    assert [r[1:] for r in story.table()][-1] == ("bio", "email", "sent")


def test_a_running_lead_keeps_its_version() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:01")
    story.book = BOOK.with_(sequence({"key": "other", "after": "1 min", "sms": "other"}, key="consultation"))
    assert story.book.latest("consultation").version == 2
    story.run("2026-03-02 11:00")
    assert "other" not in {r[1] for r in story.table()}


def test_delays_of_a_step_after_another_count_from_when_it_was_carried_out() -> None:
    raw = sequence(
        {"key": "first", "after": "1 h", "call": {"script": "c", "claim_within": "20 min"}},
        {"key": "then_", "after": "30 min", "of": "first", "email": "t"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 20:30"), book=BOOK.with_(raw)).run("2026-03-03 12:00")
    assert story.table()[1:] == [
        ("03-02 20:30", "first", "call", "waits until 03-03 08:00"),
        ("03-03 08:00", "first", "call", "opened"),
        ("03-03 08:20", "-", "task", "missed"),
        ("03-03 08:20", "first", "call", "missed"),
        ("03-03 08:30", "then_", "email", "sent"),
        ("03-03 08:30", "-", "-", "finished: exhausted"),
    ]


def test_a_lead_without_a_sequence_waits_and_harms_nobody() -> None:
    assert next_action(LeadState("lead-2"), None, ny("2026-03-02 10:00")) == Wait(None, "no sequence")


def test_a_repeat_inquiry_opens_a_callback_and_keeps_the_cadence() -> None:
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 12:00")
    story.table()
    story.tell(f.Inquired(source="phone", zones=(), phone=True, email=True, repeat=True))
    story.run("2026-03-03 11:00")
    assert story.table() == [
        ("03-02 12:00", "-", "callback", "opened"),
        ("03-02 12:15", "-", "task", "escalated"),
        ("03-02 13:15", "-", "task", "escalated"),
        ("03-02 14:00", "call2", "call", "opened"),
        ("03-02 14:10", "-", "task", "missed"),
        ("03-02 14:10", "call2", "call", "missed"),
        ("03-03 10:00", "link", "sms", "sent"),
    ]


def test_an_unknown_touch_is_looked_at_by_a_person_and_never_sent_again() -> None:
    story = Story(ny("2026-03-02 10:00"))
    story.tell(
        f.TouchChanged(
            touch_id="x", enrollment=1, step="confirm", part="sms", channel=Channel.SMS, status=TouchStatus.CLAIMED
        )
    )
    story.tell(
        f.TouchChanged(
            touch_id="x", enrollment=1, step="confirm", part="sms", channel=Channel.SMS, status=TouchStatus.UNKNOWN
        )
    )
    story.run("2026-03-02 10:01")
    assert story.table()[1:] == [
        ("03-02 10:00", "confirm", "sms", "unknown"),
        ("03-02 10:00", "-", "review", "opened"),
    ]


def test_a_step_after_another_waits_until_that_one_is_carried_out() -> None:
    """The bio waits for the held call, and what comes an hour after the bio waits with it."""
    raw = sequence(
        {"key": "call1", "after": "0 s", "call": {"script": "c"}},
        {"key": "bio", "after": "1 h", "email": "b", "when": "not answered(call1)"},
        {"key": "more", "after": "1 h", "of": "bio", "email": "m"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 10:00"), book=BOOK.with_(raw)).run("2026-03-02 10:05")
    task = story.call("call1")
    for _ in range(20):
        story.claims(task)
        story.run(timedelta(minutes=10))
    assert story.sent() == []
    story.completes(task, disposition=Disposition.VOICEMAIL)
    story.run("2026-03-02 16:00")
    assert story.sent() == [("03-02 13:25", "bio", "email", "sent"), ("03-02 14:25", "more", "email", "sent")]


def test_a_timer_that_rings_with_a_step_does_what_a_new_plan_says() -> None:
    raw = sequence(
        {"key": "call1", "after": "0 s", "call": {"script": "c", "claim_within": "10 min"}},
        {"key": "mail", "after": "10 min", "email": "m"},
        key="consultation",
    )
    story = Story(ny("2026-03-02 10:00"), book=BOOK.with_(raw)).run("2026-03-02 11:00")
    assert story.stale == 0
    assert [r[1:] for r in story.table()][2:] == [
        ("-", "task", "missed"),
        ("call1", "call", "missed"),
        ("mail", "email", "sent"),
        ("-", "-", "finished: exhausted"),
    ]


def test_skip_leaves_out_what_is_shown_as_next() -> None:
    story = Story(ny("2026-03-02 22:00")).run("2026-03-02 22:30")
    sequence_ = BOOK.latest("consultation")
    shown = upcoming(story.state, sequence_, story.now)[0]
    assert (shown.step, shown.at) == ("confirm", ny("2026-03-03 08:00"))
    story.tell(*commands.skip(story.state, sequence_, story.now))
    skipped = story.state.touches[1, "confirm", "sms"]
    assert (skipped.status, skipped.rule) == (TouchStatus.SKIPPED, "staff.skipped")
    assert upcoming(story.state, sequence_, story.now)[0].step == "call1"
