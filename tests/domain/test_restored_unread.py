"""The review of a lead that could not be compared: of its own, whatever its state."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import facts as f
from domain.lead_state import LeadState, Pause
from domain.restored import review_unread, stop_as_unread, stop_for_review

NOON = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
REVIEW = review_unread("lead", NOON, NOON)


def kinds(state: LeadState) -> list[str]:
    return [fact.kind for fact in stop_as_unread(state, REVIEW)]


@pytest.mark.parametrize("how", [None, *f.ExitReason])
@pytest.mark.parametrize("pause", [None, Pause(NOON, "by a person", None)])
def test_it_is_stopped_and_has_its_review_whatever_its_state(how: f.ExitReason | None, pause: Pause | None) -> None:
    assert kinds(LeadState("lead", exit_reason=how, pause=pause)) == ["under_review", "task_opened"]


def test_what_went_to_a_finished_one_asks_nobody() -> None:
    assert stop_for_review(LeadState("lead", exit_reason=f.ExitReason.EXHAUSTED), NOON, 1, 0, NOON) == []


def test_it_stands_beside_the_review_of_what_went_there() -> None:
    asked = [one for one in stop_for_review(LeadState("lead"), NOON, 1, 0, NOON) if isinstance(one, f.TaskOpened)]
    assert [one.task_id == REVIEW.task_id for one in asked] == [False]
    again, later = review_unread("lead", NOON, NOON), review_unread("lead", NOON + timedelta(days=1), NOON)
    assert [one.task_id == REVIEW.task_id for one in (again, later)] == [True, False]
