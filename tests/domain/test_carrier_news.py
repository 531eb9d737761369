"""What the carrier tells of a touch that has its last word already: nothing, but that its address cannot be used."""

import pytest

from domain import facts as f
from domain.carrier_news import what_became
from domain.ports import Remedy, TouchUpdate
from domain.touches import Channel, TouchStatus, touch_id
from tests.domain.lead_story import Story, ny

S = TouchStatus
LANDLINE = TouchUpdate(
    touch_id("lead-1", 1, "confirm", "sms"), "SM1", S.UNDELIVERED, None, None, "30006", Remedy.SUPPRESS
)
OPTED_OUT = TouchUpdate(LANDLINE.touch_id, "SM1", S.FAILED, None, None, "21610", Remedy.SUPPRESS_NUMBER)


def ended(status: TouchStatus, code: str | None = None) -> Story:
    """The first text has this last word."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", status, code=code)
    return story


@pytest.mark.parametrize("status", [S.UNDELIVERED, S.FAILED])
@pytest.mark.parametrize(
    ("told", "channels"), [(LANDLINE, (Channel.SMS,)), (OPTED_OUT, (Channel.SMS, Channel.VOICE))], ids=["sms", "number"]
)
def test_a_code_that_comes_late_still_closes_the_number(
    status: TouchStatus, told: TouchUpdate, channels: tuple[Channel, ...]
) -> None:
    story = ended(status)
    facts = list(what_became(story.state, told, frozenset()))
    assert facts == [f.Suppressed(channels=channels, cause="suppressed", code=told.code)]
    story.tell(*facts)
    assert story.state.closed == set(channels)
    assert story.state.touches[1, "confirm", "sms"].status is status
    assert list(what_became(story.state, told, frozenset(channels))) == []


def test_what_is_closed_already_is_not_closed_again() -> None:
    facts = list(what_became(ended(S.UNDELIVERED).state, OPTED_OUT, frozenset({Channel.SMS})))
    assert facts == [f.Suppressed(channels=(Channel.VOICE,), cause="suppressed", code="21610")]


@pytest.mark.parametrize(("status", "code"), [(S.UNDELIVERED, "30003"), (S.FAILED, "30007"), (S.DELIVERED, None)])
def test_of_a_text_whose_end_is_explained_the_first_word_holds(status: TouchStatus, code: str | None) -> None:
    assert list(what_became(ended(status, code).state, LANDLINE, frozenset())) == []
