"""Mails that may have gone out in the time a copy knows nothing of: what a worker would have sent in it, no less."""

import copy
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from domain import commands
from domain import facts as f
from domain.perhaps_mailed import event_of, perhaps_mailed
from domain.restored import stop_for_review
from domain.signals import WITNESS
from domain.touches import Channel, TouchStatus
from tests.domain.lead_story import Story, ny, paused
from tests.domain.sequences import BOOK, sequence
from tests.domain.test_unknown import loses

BIO = ["bio/email"]
NIGHT = ["confirm/at_once"]


def again(story: Story, now: datetime | None = None) -> Story:
    """The same lead once more: what becomes of it is nothing to the other."""
    other = copy.copy(story)
    other.records, other.now = list(story.records), now or story.now
    return other


def nothing(_: Story) -> None:
    pass


def unknown(
    copied: Story, noticed: str, *, wrote: str | None = None, entered: Callable[[Story], object] = nothing
) -> list[str]:
    """The mails that are unknown. `entered`: what is told of the lead between the notice and the comparison."""
    since = again(copied, ny(noticed) + timedelta(minutes=5))
    entered(since)
    return compared(since, copied, ny(noticed), ny(wrote) if wrote else None)


def compared(story: Story, copied: Story, noticed: datetime, wrote_at: datetime | None = None) -> list[str]:
    assert story.state.enrollment is not None
    sequence = story.book.get(story.state.enrollment.sequence, story.state.enrollment.version)
    facts = list(
        perhaps_mailed(
            story.state,
            sequence,
            noticed,
            since=copied.now,
            wrote_at=wrote_at,
            copied=copied.state,
            told_at=event_of(story.records, story.state.enrollment.number),
        )
    )
    if facts:
        story.tell(*facts)
    touches = [fact for fact in facts if isinstance(fact, f.TouchChanged)]
    assert {fact.channel for fact in touches} <= {Channel.EMAIL}
    return [f"{fact.step}/{fact.part}" for fact in touches if fact.status is TouchStatus.UNKNOWN]


def mailed(story: Story, until: datetime) -> list[str]:
    """What goes out by mail until then."""
    on = again(story).run(until)
    touches = [r.fact for r in on.records[len(story.records) :] if isinstance(r.fact, f.TouchChanged)]
    sent = [t for t in touches if (t.channel, t.status) == (Channel.EMAIL, TouchStatus.ACCEPTED)]
    return [f"{touch.step}/{touch.part}" for touch in sent]


def rested() -> Story:
    """Wrote at 10:30, before the mail of 11:00, and was answered at 10:40: it rests until the 4th, 10:40."""
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:30")
    story.replies()
    story.run("2026-03-02 10:40").answers()
    return story


def on_holiday() -> Story:
    """Paused for as long."""
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:30")
    paused(story, until="2026-03-04 10:40")
    return story


def both() -> Story:
    """A pause over a rest, which ends first."""
    story = rested()
    paused(story, until="2026-03-04 10:20")
    return story


HOLDS = pytest.mark.parametrize("held", [rested, on_holiday, both])


@HOLDS
@pytest.mark.parametrize(
    ("noticed", "mails"),
    [
        ("2026-03-04 10:30", []),  # it holds still
        ("2026-03-04 11:05", []),  # over, but what was due half an hour after it began comes half an hour after its end
        ("2026-03-04 11:10", BIO),
        ("2026-03-05 12:00", BIO),  # unmoved, the second would have been due by then
    ],
)
def test_a_hold_that_ended_by_itself_has_moved_what_it_held(
    held: Callable[[], Story], noticed: str, mails: list[str]
) -> None:
    copied = held().run("2026-03-04 10:00")
    assert unknown(copied, noticed) == mails
    assert mailed(copied, ny(noticed)) == mails


def replies(story: Story) -> None:
    story.replies("m2")


@pytest.mark.parametrize("noticed", ["2026-03-02 12:00", "2026-03-09 12:00"])
def test_a_hold_without_an_end_holds(noticed: str) -> None:
    waits = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:30")
    waits.replies()
    assert unknown(waits, noticed) == []
    waits = rested()
    paused(waits)
    assert unknown(waits, noticed) == []


@pytest.mark.parametrize(
    "wrote",
    [
        "2026-03-04 10:30",  # while it rested
        "2026-03-04 10:50",  # since its end, before the mail
        "2026-03-04 11:30",
    ],
)
@HOLDS
def test_what_the_lead_wrote_in_the_lost_time_held_nothing_for_certain(held: Callable[[], Story], wrote: str) -> None:
    """Taken in by the comparison, it makes the rest one that waits, without an end; it may have been answered then."""
    copied = held().run("2026-03-04 10:00")
    assert unknown(copied, "2026-03-04 12:00", wrote=wrote, entered=replies) == BIO


def test_a_mail_before_an_appointment_does_not_move_and_goes_as_soon_as_the_hold_ends() -> None:
    prepare = {"key": "prepare", "before": "24 h", "of": "appointment", "email": "prepare"}
    copied = Story(ny("2026-03-02 10:00"), book=BOOK.with_(sequence(prepare, key="booked")))
    copied.scheduler_says("booked", ny("2026-03-05 10:00"))
    paused(copied, until="2026-03-04 10:40")
    copied.run("2026-03-04 09:00")
    assert unknown(copied, "2026-03-04 10:30") == mailed(copied, ny("2026-03-04 10:30")) == []
    assert unknown(copied, "2026-03-04 10:45") == mailed(copied, ny("2026-03-04 10:45")) == ["prepare/email"]
    assert unknown(copied, "2026-03-04 10:45", wrote="2026-03-04 10:35", entered=replies) == ["prepare/email"]


def reviewed(story: Story) -> None:
    story.tell(*stop_for_review(story.state, story.now, 1, 0, story.now))
    assert story.state.review is not None


@pytest.mark.parametrize("entered", [paused, reviewed, replies])
@HOLDS
def test_what_was_entered_since_held_nothing(held: Callable[[], Story], entered: Callable[[Story], None]) -> None:
    copied = held().run("2026-03-04 10:00")
    assert unknown(copied, "2026-03-04 12:00", entered=entered) == BIO
    assert unknown(copied, "2026-03-04 11:05", entered=entered) == []


def test_what_was_resumed_since_had_ended_before() -> None:
    def resumed(story: Story) -> None:
        story.tell(f.Resumed(cause="a person resumed it"))

    copied = on_holiday().run("2026-03-04 10:00")
    assert unknown(copied, "2026-03-04 12:00", entered=resumed) == BIO


def test_what_is_left_out_since_is_not_unknown() -> None:
    def skipped(story: Story) -> None:
        story.tell(f.StepSkipped(enrollment=1, step="bio"))

    def stopped(story: Story) -> None:
        story.tell(f.OptedOut(channels=(Channel.EMAIL,), cause="told a coordinator"))

    copied = on_holiday().run("2026-03-04 10:00")
    assert unknown(copied, "2026-03-04 12:00", entered=skipped) == []
    assert unknown(copied, "2026-03-04 12:00", entered=stopped) == []


@pytest.mark.parametrize(
    ("asked", "noticed", "mails"),
    [
        ("2026-03-02 22:00", "2026-03-02 22:30", NIGHT),
        ("2026-03-02 20:50", "2026-03-02 21:10", NIGHT),  # a worker may have come to it at nine
        ("2026-03-02 05:00", "2026-03-02 05:30", NIGHT),
        ("2026-03-02 10:00", "2026-03-02 10:30", NIGHT),  # the day may have been full, or the carrier busy
    ],
)
def test_a_mail_in_place_of_a_text_is_unknown_though_the_copy_knows_of_no_such_mail(
    asked: str, noticed: str, mails: list[str]
) -> None:
    copied = Story(ny(asked))
    assert unknown(copied, noticed) == mails
    assert unknown(copied.run(timedelta(minutes=1)), noticed) == []


def test_none_went_in_place_of_a_text_that_was_refused() -> None:
    copied = Story(ny("2026-03-02 22:00"))
    copied.tell(f.OptedOut(channels=(Channel.SMS,), cause="told a coordinator"))
    assert unknown(copied, "2026-03-02 22:30") == mailed(copied, ny("2026-03-02 22:30")) == []


MAIL = {"key": "first", "after": "0 s", "email": "bio"}
AGAIN = ["first/email.retry1"]


def lost(policy: str) -> Story:
    """Nobody knows whether its mail of ten o'clock went out."""
    only = sequence(MAIL | {"if_unknown": policy}, {"key": "last", "after": "9 d", "sms": "a"}, key="consultation")
    return loses(Story(ny("2026-03-02 10:00"), book=BOOK.with_(only)))


@pytest.mark.parametrize(
    ("policy", "noticed", "mails"),
    [
        ("resend", "2026-03-02 10:08", []),
        ("resend", "2026-03-02 10:10", AGAIN),
        ("resend", "2026-03-03 10:00", AGAIN),
        ("go_on", "2026-03-03 10:00", []),
    ],
)
@pytest.mark.parametrize("looked", [timedelta(seconds=1), timedelta(minutes=5)], ids=str)
def test_what_its_step_has_sent_once_more_is_unknown_and_not_sent_again(
    policy: str, noticed: str, mails: list[str], looked: timedelta
) -> None:
    copied = lost(policy).run(looked)
    assert unknown(copied, noticed) == mailed(copied, ny(noticed)) == mails
    since = again(copied, ny(noticed))
    assert compared(since, copied, ny(noticed)) == mails
    assert mailed(since, ny("2026-03-04 10:00")) == (AGAIN if noticed.endswith("10:08") else [])


def test_nor_is_it_where_it_is_known_by_now_what_became_of_the_first_or_a_pause_held_the_second() -> None:
    def told(story: Story) -> None:
        story.tell(f.TouchChanged.of(story.state.touches[1, "first", "email"], TouchStatus.DELIVERED, rule=WITNESS))

    copied = lost("resend")
    assert unknown(copied, "2026-03-02 11:00", entered=told) == []
    paused(copied)
    assert unknown(copied, "2026-03-02 11:00") == mailed(copied, ny("2026-03-02 11:00")) == []


def test_it_is_so_of_a_later_step_too() -> None:
    link = {"key": "link", "after": "24 h", "sms": "link", "at_once": {"email": "link_email"}}
    copied = Story(ny("2026-03-02 22:00"), book=BOOK.with_(sequence(link, key="consultation"))).run(timedelta(hours=1))
    assert unknown(copied, "2026-03-03 21:30") == []
    assert unknown(copied, "2026-03-03 22:30") == ["link/at_once"]


def test_a_hold_holds_it_as_it_holds_its_text() -> None:
    copied = Story(ny("2026-03-02 22:00"))
    paused(copied)
    assert unknown(copied, "2026-03-02 22:30") == []
    copied = Story(ny("2026-03-02 22:00"))
    paused(copied, until="2026-03-02 22:10")
    assert unknown(copied, "2026-03-02 22:30") == NIGHT


def test_a_mail_in_place_of_a_text_goes_to_whom_no_text_can_go_and_only_where_a_mail_can() -> None:
    assert unknown(Story(ny("2026-03-02 10:00"), phone=False), "2026-03-02 10:30") == NIGHT
    assert unknown(Story(ny("2026-03-02 22:00"), email=False), "2026-03-02 22:30") == []


def test_what_is_unknown_is_so_once_and_is_not_sent() -> None:
    copied = Story(ny("2026-03-02 22:00"))
    since = again(copied, ny("2026-03-02 22:35"))
    assert compared(since, copied, ny("2026-03-02 22:30")) == NIGHT
    assert compared(since, copied, ny("2026-03-02 22:30")) == []
    since.run("2026-03-03 08:05")
    assert [(step, part) for _, step, part, _ in since.sent()] == [("confirm", "sms")]


def test_a_text_that_the_copy_knows_to_be_put_off_or_sent_counts_once() -> None:
    night = Story(ny("2026-03-02 22:00"))
    night.tell(
        f.TouchChanged(
            touch_id="t", enrollment=1, step="confirm", part="sms", channel=Channel.SMS, status=TouchStatus.DELAYED,
            due_at=night.now, until=ny("2026-03-03 08:00"),
        )
    )  # fmt: skip
    assert unknown(night, "2026-03-02 22:30") == NIGHT
    assert unknown(night.run("2026-03-02 22:10"), "2026-03-02 22:30") == []


@pytest.mark.parametrize("asked", ["2026-03-02 10:00", "2026-03-02 22:00", "2026-03-06 20:45"])
@pytest.mark.parametrize("reply", [None, timedelta(minutes=20), timedelta(hours=50)], ids=str)
@pytest.mark.parametrize("holiday", [None, timedelta(hours=31)], ids=str)
def test_whatever_the_age_of_the_copy_all_that_was_mailed_since_is_unknown(
    asked: str, reply: timedelta | None, holiday: timedelta | None
) -> None:
    story = Story(ny(asked))
    if reply is not None:
        story.run(reply).replies()
        story.run(timedelta(minutes=10)).answers()
    if holiday is not None:
        story.tell(f.Paused(reason="x", until=story.now + holiday))
    seen = 0
    for _ in range(40):
        for lost in (timedelta(minutes=15), timedelta(hours=4), timedelta(hours=30)):
            noticed = story.now + lost
            sent = mailed(story, noticed)
            assert set(sent) <= set(compared(again(story, noticed), story, noticed))
            seen += len(sent)
        story.run(timedelta(hours=5))
    assert seen


@pytest.mark.parametrize(("noticed", "mails"), [("2026-03-04 10:30", []), ("2026-03-04 10:45", ["confirm/email"])])
def test_a_hold_with_an_end_to_come_holds_the_mails_of_what_was_entered_anew(noticed: str, mails: list[str]) -> None:
    def booked(story: Story) -> None:
        story.scheduler_says("booked", ny("2026-03-06 10:00"), occurred=ny("2026-03-03 10:00"))

    assert unknown(on_holiday().run("2026-03-03 09:00"), noticed, entered=booked) == mails

    def booked_and_stopped(story: Story) -> None:
        booked(story)
        reviewed(story)

    assert unknown(on_holiday().run("2026-03-03 09:00"), noticed, entered=booked_and_stopped) == mails


@pytest.mark.parametrize("hold", [paused, reviewed])
def test_a_hold_that_an_end_entered_anew_has_ended_holds_nothing_that_began_after_it(
    hold: Callable[[Story], None],
) -> None:
    copied = Story(ny("2026-03-02 10:00")).run("2026-03-03 08:00")
    hold(copied)

    def let_go_then_booked(story: Story) -> None:
        story.tell(*commands.disqualify(story.state, "asked for it"))
        for task in [t.id for t in story.state.tasks.values() if t.living]:
            story.tell(f.TaskClosed(task_id=task, state=f.TaskState.DONE))
        story.scheduler_says("booked", ny("2026-03-06 10:00"), occurred=ny("2026-03-03 10:00"))

    def let_go_booked_and_stopped(story: Story) -> None:
        let_go_then_booked(story)
        reviewed(story)

    copied.run("2026-03-03 09:00")
    for entered in (let_go_then_booked, let_go_booked_and_stopped):
        assert "confirm/email" in unknown(copied, "2026-03-04 10:45", entered=entered)
