"""What time alone has begun in the time a copy knows nothing of: its mails are not sent once more."""

import pytest

from domain.touches import Channel, TouchStatus
from domain.went_on import went_on
from tests.domain.lead_story import Story, ny
from tests.domain.test_perhaps_mailed import again, mailed

CONFIRM = ["confirm/email"]


def of_two_appointments() -> Story:
    """At 17:20 and in six days; of the first nobody tells what became of it."""
    story = Story(ny("2026-03-02 17:00"))
    story.scheduler_says("booked", ny("2026-03-02 17:20"))
    story.scheduler_says("booked", ny("2026-03-08 17:00"), of="B")
    return story


@pytest.mark.parametrize("phone", [True, False])
@pytest.mark.parametrize(("noticed", "mails"), [("2026-03-02 21:00", []), ("2026-03-02 21:30", CONFIRM)])
def test_the_mail_of_a_further_appointment_that_time_has_begun_is_unknown(
    noticed: str, mails: list[str], *, phone: bool
) -> None:
    copied = of_two_appointments()
    if not phone:
        copied.closed = frozenset({Channel.SMS, Channel.VOICE})
    copied.run("2026-03-02 20:50")
    assert mailed(copied, ny(noticed)) == mails
    since = again(copied, ny(noticed))
    facts = list(went_on(copied.state, copied.book, copied.now, ny(noticed), copied.closed))
    if facts:
        since.tell(*facts)
    unknown = [t for t in since.state.touches.values() if t.status is TouchStatus.UNKNOWN]
    assert [(f"{t.step}/{t.part}", t.enrollment) for t in unknown] == [
        (mail, copied.state.enrollment_no + 1) for mail in mails
    ]
    assert mailed(since, ny("2026-03-03 12:00")) == [mail for mail in CONFIRM if mail not in mails]
    on = since.run("2026-03-03 12:00")
    assert on.state.anchor() == on.state.appointments["B"]
    reviews = [t.reason for t in on.state.tasks.values() if (t.reason or "").startswith("unknown whether email")]
    assert len(reviews) == len(mails)


def test_who_has_one_appointment_goes_over_to_none() -> None:
    copied = Story(ny("2026-03-02 17:00"))
    copied.scheduler_says("booked", ny("2026-03-02 17:20"))
    copied.run("2026-03-02 20:50")
    assert list(went_on(copied.state, copied.book, copied.now, ny("2026-03-12 12:00"), copied.closed)) == []
