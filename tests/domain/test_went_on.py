"""What time alone has begun in the time a copy knows nothing of: it begins at once, its mails are not sent again."""

from collections.abc import Callable

import pytest

from domain import commands
from domain import facts as f
from domain.lead_state import State
from domain.restored import stop_for_review
from domain.touches import SENT, Channel, TouchStatus
from domain.went_on import WentOver, went_over
from tests.domain.lead_story import Story, ny
from tests.domain.test_perhaps_mailed import again, mailed

SINCE = "2026-03-02 20:50"
CONFIRM = ["confirm/email"]


def of_two_appointments() -> Story:
    """At 17:20 and in six days; of the first nobody tells what became of it. Until the copy was made."""
    story = Story(ny("2026-03-02 17:00"))
    story.scheduler_says("booked", ny("2026-03-02 17:20"))
    story.scheduler_says("booked", ny("2026-03-08 17:00"), of="B")
    return story


def compared(copied: Story, present: Story, noticed: str) -> WentOver | None:
    over = went_over(copied.state, present.state, copied.book, copied.closed, since=copied.now, until=ny(noticed))
    if over is not None and (facts := list(over.facts(present.state))):
        present.tell(*facts)
    return over


@pytest.mark.parametrize("phone", [True, False])
@pytest.mark.parametrize(("noticed", "mails"), [("2026-03-02 21:00", []), ("2026-03-02 21:30", CONFIRM)])
def test_the_mail_of_a_further_appointment_that_time_has_begun_is_unknown(
    noticed: str, mails: list[str], *, phone: bool
) -> None:
    copied = of_two_appointments()
    if not phone:
        copied.closed = frozenset({Channel.SMS, Channel.VOICE})
    copied.run(SINCE)
    assert mailed(copied, ny(noticed)) == mails
    present = again(copied, ny(noticed))
    assert (compared(copied, present, noticed) is not None) == bool(mails)
    unknown = [t for t in present.state.touches.values() if t.status is TouchStatus.UNKNOWN]
    number = copied.state.enrollment_no
    assert [(f"{t.step}/{t.part}", t.enrollment) for t in unknown] == [(mail, number + 1) for mail in mails]
    assert mailed(present, ny("2026-03-03 12:00")) == [mail for mail in CONFIRM if mail not in mails]
    present.run("2026-03-03 12:00")
    assert present.state.anchor() == present.state.appointments["B"]
    assert present.state.enrollment_no == number + 1
    reasons = [task.reason or "" for task in present.state.tasks.values()]
    assert sum(reason.startswith("unknown whether email") for reason in reasons) == len(mails)
    assert [task.step for task in present.state.tasks.values() if task.step] == ["ask_outcome"]


def test_it_goes_over_under_a_review_and_the_step_it_has_had_can_be_left_out() -> None:
    copied = of_two_appointments().run(SINCE)
    present = again(copied, ny("2026-03-02 22:00"))
    present.tell(*stop_for_review(present.state, present.now, 1, 0, present.now))
    assert compared(copied, present, "2026-03-02 21:30") is not None
    assert present.state.state is State.PAUSED
    assert present.state.review is not None
    number = present.state.enrollment_no
    present.tell(*commands.skip(present.state, present.book.latest("booked"), present.now, "confirm"))
    present.tell(f.Resumed(cause="staff"))
    present.run("2026-03-03 12:00")
    assert [t for t in present.state.touches.values() if t.enrollment == number and t.status in SENT] == []


def replied(story: Story) -> None:
    story.replies()


def told_once_more(story: Story) -> None:
    """With a later stamp, as from a calendar."""
    story.scheduler_says("booked", ny("2026-03-02 17:20"))
    story.scheduler_says("booked", ny("2026-03-08 17:00"), of="B")


def moved(story: Story) -> None:
    story.scheduler_says("rescheduled", ny("2026-03-09 17:00"), of="B")


def given_up(story: Story) -> None:
    story.scheduler_says("cancelled", of="B")


def was_there(story: Story) -> None:
    story.scheduler_says("completed", of="A")


def was_not_there(story: Story) -> None:
    story.scheduler_says("no_show", of="A")


@pytest.mark.parametrize("told", [replied, told_once_more, was_there, was_not_there])
def test_what_was_told_since_does_not_have_its_mail_sent_again(told: Callable[[Story], None]) -> None:
    copied = of_two_appointments().run(SINCE)
    assert mailed(copied, ny("2026-03-02 21:30")) == CONFIRM
    present = again(copied, ny("2026-03-02 22:00"))
    told(present)
    for _ in range(2):
        assert compared(copied, present, "2026-03-02 21:30") is not None
        number = copied.state.enrollment_no + 1
        assert present.state.enrollment_no == number
        assert present.state.touches[number, "confirm", "email"].status is TouchStatus.UNKNOWN
    assert mailed(present, ny("2026-03-03 12:00")) == []
    assert (present.state.state is State.RESTING) == (told is replied)


@pytest.mark.parametrize("told", [moved, given_up])
def test_of_an_appointment_that_has_changed_since_nothing_was_mailed(told: Callable[[Story], None]) -> None:
    copied = of_two_appointments().run(SINCE)
    present = again(copied, ny("2026-03-02 22:00"))
    told(present)
    assert compared(copied, present, "2026-03-02 21:30") is None


def test_who_has_one_appointment_goes_over_to_none() -> None:
    copied = Story(ny("2026-03-02 17:00"))
    copied.scheduler_says("booked", ny("2026-03-02 17:20"))
    copied.run(SINCE)
    assert compared(copied, again(copied), "2026-03-12 12:00") is None
