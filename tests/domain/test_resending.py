"""A step that says `resend`: sent once more only while nobody knows what became of the first."""

from datetime import timedelta

import pytest

from domain import facts as f
from domain.ports import Remedy
from domain.signals import WITNESS
from domain.touches import TouchStatus
from tests.domain.lead_story import Story, paused, resume
from tests.domain.test_unknown import FIRST, S, loses, reviews, story_with

AGAIN = (1, "first", "sms.retry1")


def waits_to_be_resent() -> Story:
    """The first was looked for in vain; the second try waits for the end of a pause."""
    story = loses(story_with("resend"))
    paused(story)
    story.run(timedelta(minutes=10))
    assert story.state.touches[AGAIN].status is S.PLANNED
    return story


@pytest.mark.parametrize("status", [S.ACCEPTED, S.DELIVERED, S.UNDELIVERED])
def test_what_went_out_after_all_is_not_sent_again(status: TouchStatus) -> None:
    story = waits_to_be_resent()
    story.tell(f.TouchChanged.of(story.state.touches[FIRST], status, rule=WITNESS))
    again = story.state.touches[AGAIN]
    assert (again.status, again.rule) == (S.SKIPPED, "resend.known")
    resume(story)
    story.run(timedelta(days=1))
    assert "sms.retry1" not in [row[2] for row in story.sent()]


def worth_another(story: Story) -> None:
    """The carrier tells of the first that the handset was away."""
    more = {"remedy": Remedy.RETRY, "code": "30003", "rule": WITNESS}
    story.tell(f.TouchChanged.of(story.state.touches[FIRST], S.UNDELIVERED, **more))
    if story.state.pause is not None:
        resume(story)
    story.run(timedelta(hours=2))


@pytest.mark.parametrize("answer", [S.ACCEPTED, S.DELIVERED, S.UNKNOWN])
def test_the_first_is_told_of_while_the_second_is_claimed_and_that_is_not_taken(answer: TouchStatus) -> None:
    """Or a person has completed the review meanwhile."""
    story = loses(story_with("resend"))
    story.slow = (S.DELAYED, None)
    story.run(timedelta(minutes=9))
    assert story.state.touches[AGAIN].status is S.CLAIMED
    if answer is S.UNKNOWN:
        [review] = reviews(story)
        story.tell(f.TaskClosed(task_id=review.id, state=f.TaskState.DONE))
    else:
        story.tell(f.TouchChanged.of(story.state.touches[FIRST], answer, rule=WITNESS))
    story.lands()
    story.run(timedelta(days=1))
    again = story.state.touches[AGAIN]
    assert (again.status, again.rule) == (S.SKIPPED, "resend.answered" if answer is S.UNKNOWN else "resend.known")


def test_what_failed_on_its_way_is_sent_again_as_without_the_policy() -> None:
    story = waits_to_be_resent()
    worth_another(story)
    assert [row[1:] for row in story.sent() if row[1] == "first"] == [("first", "sms.retry1", "sent")]


def test_what_failed_after_the_second_was_left_out_is_sent_again_after_all() -> None:
    story = waits_to_be_resent()
    story.tell(f.TouchChanged.of(story.state.touches[FIRST], S.ACCEPTED, rule=WITNESS))
    assert story.state.touches[AGAIN].status is S.SKIPPED
    worth_another(story)
    assert [row[2] for row in story.sent() if row[1] == "first"] == ["sms", "sms.retry2"]


def test_what_failed_after_the_second_went_out_is_not_sent_a_third_time() -> None:
    story = loses(story_with("resend")).run(timedelta(minutes=15))
    assert [row[2] for row in story.sent()] == ["sms.retry1"]
    worth_another(story)
    assert [key[2] for key in story.state.touches if key[1] == "first"] == ["sms", "sms.retry1"]
    assert story.state.touches[AGAIN].status is S.ACCEPTED


def test_what_did_not_go_out_is_sent() -> None:
    story = waits_to_be_resent()
    story.tell(f.TouchChanged.of(story.state.touches[FIRST], S.FAILED, rule=WITNESS))
    resume(story)
    story.run(timedelta(days=1))
    assert [row[1:3] for row in story.sent()] == [("first", "sms.retry1"), ("second", "sms")]


def test_a_person_who_has_seen_to_it_is_not_followed_by_a_second_text() -> None:
    story = waits_to_be_resent()
    [review] = reviews(story)
    story.tell(f.TaskClosed(task_id=review.id, state=f.TaskState.DONE))
    again = story.state.touches[AGAIN]
    assert (again.status, again.rule) == (S.SKIPPED, "resend.answered")


def test_a_person_may_see_to_it_before_the_last_look() -> None:
    story = loses(story_with("resend")).run(timedelta(minutes=2))
    [review] = reviews(story)
    story.tell(f.TaskClosed(task_id=review.id, state=f.TaskState.DONE))
    story.run(timedelta(days=1))
    assert AGAIN not in story.state.touches
    assert [row[1] for row in story.sent()] == ["second"]


def test_a_review_that_was_called_off_answers_nothing() -> None:
    story = waits_to_be_resent()
    [review] = reviews(story)
    story.tell(f.TaskClosed(task_id=review.id, state=f.TaskState.CANCELLED))
    assert story.state.touches[AGAIN].status is S.PLANNED


def test_once_it_was_sent_again_nobody_is_asked_what_became_of_the_first() -> None:
    story = loses(story_with("resend")).run(timedelta(minutes=8))
    assert [t.living for t in reviews(story)] == [True]
    story.run(timedelta(minutes=5))
    assert [row[1:3] for row in story.sent()] == [("first", "sms.retry1")]
    assert [t.living for t in reviews(story)] == [False]
