"""The judges of any life can fail: a rule is taken out, and what it forgets is found."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain import commands, next_action
from domain.touches import TouchStatus
from tests.domain.lead_story import Story, ny


def _let_go(story: Story) -> None:
    story.tell(*commands.disqualify(story.state, "x"))


def _words_for_the_morning() -> Story:
    story = Story(ny("2026-03-04 20:00")).run("2026-03-04 22:00")
    story.answers()
    story.run(timedelta(minutes=1))
    _let_go(story)
    return story


def _perhaps_sent() -> Story:
    story = Story(ny("2026-03-04 10:00"))
    story.slow = (TouchStatus.UNKNOWN, None)
    story.run(timedelta(minutes=1))
    _let_go(story)
    return story


def _a_question() -> Story:
    story = Story(ny("2026-03-04 10:00")).run("2026-03-04 10:01")
    story.replies()
    _let_go(story)
    return story


@pytest.mark.parametrize(
    ("rule", "life", "says"),
    [
        ("direct", _words_for_the_morning, "what a person asked for is forgotten"),
        ("looked_for", _perhaps_sent, "nobody looks whether it went out"),
        ("_timers", _a_question, "a task is nobody's"),
    ],
)
def test_what_is_forgotten_at_the_end_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, life: Callable[[], Story], says: str
) -> None:
    life().run(timedelta(days=40))
    story = life()
    monkeypatch.setattr(next_action, rule, lambda state: [])
    with pytest.raises(AssertionError, match=says):
        story.run(timedelta(days=40))
