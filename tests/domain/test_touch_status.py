"""Statuses of touches: late, repeated and unordered callbacks never turn one back, and what a failure brings."""

from datetime import timedelta
from itertools import product

import pytest

from domain import commands
from domain import facts as f
from domain.errors import Refused
from domain.lead_state import Stage, State
from domain.next_action import Finish, Touch, Wait
from domain.ports import Remedy
from domain.touches import SENT, SETTLED, TRANSITIONS, Channel, Disposition, TouchStatus, may_become, touch_id
from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK

S = TouchStatus
WAY = {  # one lawful way to each status
    S.PLANNED: (S.PLANNED,),
    S.DELAYED: (S.DELAYED,),
    S.CLAIMED: (S.CLAIMED,),
    S.ACCEPTED: (S.CLAIMED, S.ACCEPTED),
    S.DELIVERED: (S.CLAIMED, S.ACCEPTED, S.DELIVERED),
    S.UNDELIVERED: (S.CLAIMED, S.ACCEPTED, S.UNDELIVERED),
    S.FAILED: (S.CLAIMED, S.FAILED),
    S.UNKNOWN: (S.CLAIMED, S.UNKNOWN),
    S.SKIPPED: (S.SKIPPED,),
    S.MISSED: (S.MISSED,),
}


def says(story: Story, status: TouchStatus, **more: object) -> None:
    story.tell(
        f.TouchChanged(
            touch_id=touch_id("lead-1", 1, "confirm", "sms"),
            enrollment=1,
            step="confirm",
            part="sms",
            channel=Channel.SMS,
            status=status,
            until=story.now + timedelta(hours=1) if status is S.DELAYED else None,
        ).model_copy(update=more)
    )


def at(status: TouchStatus) -> Story:
    story = Story(ny("2026-06-02 10:00"))
    for step in WAY[status]:
        says(story, step)
    assert story.state.touches[(1, "confirm", "sms")].status is status
    return story


@pytest.mark.parametrize(("now", "then"), list(product(TouchStatus, TouchStatus)))
def test_every_pair_of_statuses(now: TouchStatus, then: TouchStatus) -> None:
    story = at(now)
    before, facts = story.state.touches[(1, "confirm", "sms")], len(story.records)
    says(story, then)
    after = story.state.touches[(1, "confirm", "sms")]
    if may_become(now, then, Channel.SMS):
        assert after.status is then
    else:
        assert after is before
        assert len(story.records) == facts + 1  # nothing follows from it


def test_every_status_has_its_transitions_and_only_unsettled_ones_go_back() -> None:
    assert set(TRANSITIONS) == set(TouchStatus)
    for now, then in product(TouchStatus, TouchStatus):
        if now in SETTLED and may_become(now, then, Channel.EMAIL):
            assert then in SENT | {S.FAILED} or now is then is S.UNKNOWN  # looked for once more
    for final in (S.UNDELIVERED, S.FAILED, S.SKIPPED, S.MISSED):
        assert not TRANSITIONS[final]


def test_only_a_mail_may_bounce_after_it_was_delivered() -> None:
    bounces = {channel: may_become(S.DELIVERED, S.UNDELIVERED, channel) for channel in Channel}
    assert bounces == {Channel.SMS: False, Channel.VOICE: False, Channel.EMAIL: True}


def test_a_callback_of_a_touch_that_never_was_is_no_touch() -> None:
    story = Story(ny("2026-06-02 10:00"))
    says(story, S.DELIVERED)
    assert not story.state.touches


def test_the_first_touch_that_a_provider_takes_makes_the_lead_contacted() -> None:
    for status in TouchStatus:
        story = at(status)
        assert (story.stage() is Stage.CONTACTED) == (status in SENT)


@pytest.mark.parametrize("status", [S.UNDELIVERED, S.FAILED])
def test_a_handset_that_was_away_gets_one_more_try_and_no_third(status: TouchStatus) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    if status is S.FAILED:
        assert not may_become(S.DELIVERED, S.FAILED, Channel.EMAIL)
    for _ in range(3):  # told three times at one instant
        story.provider_says("confirm", "sms", status, remedy=Remedy.RETRY, code="30003")
    story.table()
    story.run("2026-06-02 10:32")
    assert [r for r in story.sent() if r[1] == "confirm"] == [("06-02 10:31", "confirm", "sms.retry1", "sent")]
    story.provider_says("confirm", "sms.retry1", status, remedy=Remedy.RETRY, code="30003")
    story.run("2026-06-03 09:00")
    assert [r for r in story.sent() if r[1] == "confirm"] == []
    ids = {t.touch_id for t in story.state.touches.values()}
    assert len(ids) == len(story.state.touches)


def test_a_second_try_waits_for_the_window_and_moves_nothing_else() -> None:
    story = Story(ny("2026-06-02 20:40")).run("2026-06-02 20:41")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    story.run("2026-06-04 09:00")
    assert [r for r in story.table() if r[1] in ("confirm", "link")][1:] == [
        ("06-02 20:41", "confirm", "sms", "undelivered"),
        ("06-02 20:41", "confirm", "sms.retry1", "planned"),
        ("06-02 21:11", "confirm", "sms.retry1", "waits until 06-03 08:00"),
        ("06-03 08:00", "confirm", "sms.retry1", "sent"),
        ("06-03 20:40", "link", "sms", "sent"),
    ]


def test_a_second_try_rests_with_the_lead_and_ends_with_the_sequence() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    story.tell(f.Paused(reason="x", until=ny("2026-06-02 11:01")))
    story.run("2026-06-02 11:30")
    assert [r for r in story.sent() if r[2] == "sms.retry1"] == []
    story.run("2026-06-02 11:31")
    assert [r[:1] for r in story.sent() if r[2] == "sms.retry1"] == [("06-02 11:31",)]
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    story.tell(f.Disqualified(reason="x"))
    assert [r for r in story.run(timedelta(days=3)).sent() if r[2] == "sms.retry1"] == []


def test_a_failure_after_the_end_plans_nothing() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-20 10:00")
    story.provider_says("link", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    assert (1, "link", "sms.retry1") not in story.state.touches


def test_a_persons_own_message_is_tried_again_even_on_a_lead_that_rests_or_is_finished() -> None:
    for rests in (True, False):
        story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01" if rests else "2026-06-20 10:00")
        if rests:
            story.replies()
        story.answers("own")
        if rests:
            story.replies("m2")
        story.run(timedelta(minutes=1))
        story.provider_says("staff", "own", S.UNDELIVERED, remedy=Remedy.RETRY)
        if rests:  # by then the reply has been escalated
            story.run(timedelta(minutes=29))
        wait = story.decide()
        assert isinstance(wait, Wait)
        assert wait.until == story.now + timedelta(minutes=1 if rests else 30)
        story.table()
        story.run(timedelta(minutes=31))
        assert [r[1:] for r in story.sent()] == [("staff", "own.retry1", "sent")]


def test_a_persons_own_message_is_not_tried_again_behind_newer_words() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    story.answers("today")
    story.run(timedelta(minutes=1))
    story.provider_says("staff", "today", S.UNDELIVERED, remedy=Remedy.RETRY)
    story.answers("tomorrow")
    rest = story.state.rest
    story.run(timedelta(hours=2))
    assert story.state.touches[1, "staff", "today.retry1"].rule == "retry.overtaken"
    assert story.state.touches[1, "staff", "tomorrow"].status is S.ACCEPTED
    (told,) = [t for t in story.state.tasks.values() if t.living and "did not arrive" in (t.reason or "")]
    assert told.kind is f.TaskKind.REVIEW  # a person may see to it that nothing of it is missed
    assert story.state.rest == rest  # and nothing waits for that


def test_what_a_person_wrote_while_they_talked_is_tried_again_though_the_form_is_filled_in_later() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    story.claims(story.call("call1"))
    story.answers("the address")
    story.run(timedelta(minutes=1))
    story.provider_says("staff", "the address", S.UNDELIVERED, remedy=Remedy.RETRY)
    story.completes(story.call("call1"), f.Outcome.REACHED, Disposition.ANSWERED)
    story.run(timedelta(hours=1))
    assert story.state.touches[1, "staff", "the address.retry1"].status is S.ACCEPTED


def test_of_two_messages_in_a_row_that_did_not_arrive_both_are_tried_again_in_order() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    for words in ("where", "when"):
        story.answers(words)
        story.run(timedelta(minutes=1))
    for words in ("where", "when"):
        story.provider_says("staff", words, S.UNDELIVERED, remedy=Remedy.RETRY)
        story.run(timedelta(seconds=1))
    story.table()
    story.run(timedelta(hours=1))
    assert [r[2] for r in story.sent() if r[1] == "staff"] == ["where.retry1", "when.retry1"]


def test_a_fault_of_our_account_calls_a_person_once() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    for _ in range(2):
        story.provider_says("confirm", "sms", S.FAILED, remedy=Remedy.ALERT, code="21610")
    reviews = [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW]
    assert [t.reason for t in reviews] == ["the carrier refuses our account for sms (code 21610)"]
    assert not story.state.closed


def test_an_account_that_is_refused_keeps_its_touches_waiting_with_one_alert() -> None:
    story = Story(ny("2026-06-02 10:00"))
    touch = story.decide()
    for minutes in (1, 2, 4):
        story.changes(touch, S.CLAIMED)
        until = story.now + timedelta(minutes=minutes)
        story.changes(touch, S.DELAYED, until=until, rule="carrier.alert", code="20003", remedy=Remedy.ALERT)
        story.now = until
    (alert,) = [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW]
    story.tell(  # a mail that goes out says nothing of texts
        f.TouchChanged(touch_id="mail", enrollment=1, step="x", part="email", channel=Channel.EMAIL, status=S.CLAIMED),
        f.TouchChanged(touch_id="mail", enrollment=1, step="x", part="email", channel=Channel.EMAIL, status=S.ACCEPTED),
    )
    alert = story.state.tasks[alert.id]
    assert (alert.living, alert.reason) == (True, "the carrier refuses our account for sms (code 20003)")
    story.run(timedelta(minutes=1))
    assert ("confirm", "sms", "sent") in [row[1:] for row in story.table()]
    assert story.state.tasks[alert.id].living  # taken, and it may still be filtered
    story.provider_says("confirm", "sms", S.DELIVERED)
    assert not story.state.tasks[alert.id].living


def test_texts_that_are_refused_after_they_were_accepted_stay_somebodys_work_while_calls_go_well() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.ALERT, code="30034")
    call = {"touch_id": "call", "enrollment": 1, "step": "x", "part": "call", "channel": Channel.VOICE}
    text = {"touch_id": "text", "enrollment": 1, "step": "x", "part": "sms", "channel": Channel.SMS}
    for touch, way in ((call, WAY[S.DELIVERED]), (text, WAY[S.ACCEPTED])):
        for status in way:
            story.tell(f.TouchChanged(**touch, status=status))
    (alert,) = [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW]
    assert (alert.living, alert.reason) == (True, "the carrier refuses our account for sms (code 30034)")


def test_a_text_that_went_before_the_refusal_tells_nothing_of_the_account() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-03 10:01")
    story.provider_says("link", "sms", S.UNDELIVERED, remedy=Remedy.ALERT, code="30034")
    story.provider_says("confirm", "sms", S.DELIVERED)  # its late word
    (alert,) = [t for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW]
    assert (alert.living, alert.refused) == (True, Channel.SMS)
    story.replies()
    story.answers("own")
    story.run(timedelta(minutes=1))
    story.provider_says("staff", "own", S.DELIVERED)
    assert not story.state.tasks[alert.id].living


def test_an_alert_and_an_unanswered_lead_are_two_tasks() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.replies("m1")
    story.answers("own")
    story.run(timedelta(minutes=1))
    story.provider_says("staff", "own", S.UNDELIVERED, remedy=Remedy.ALERT, code="30007")
    living = {t.kind for t in story.state.tasks.values() if t.living}
    assert living >= {f.TaskKind.REVIEW, f.TaskKind.REPLY}


def test_a_lead_that_a_bounce_leaves_unreachable_is_finished_and_does_not_rest() -> None:
    story = Story(ny("2026-06-02 10:00"), phone=False).run("2026-06-02 10:01")
    story.tell(*commands.message(story.state, Channel.EMAIL, "own", story.now))
    story.run(timedelta(minutes=1))
    story.provider_says("staff", "own", S.UNDELIVERED, remedy=Remedy.SUPPRESS, code="550")
    state = story.state
    assert (state.state, state.exit_reason, state.rest) == (State.FINISHED, f.ExitReason.UNREACHABLE, None)
    assert not [t for t in state.tasks.values() if t.living and t.kind is f.TaskKind.REPLY]


def test_an_answer_that_bounces_where_only_a_call_is_left_is_a_call_to_make() -> None:
    story = Story(ny("2026-06-02 10:00"))
    story.closed = frozenset({Channel.SMS})
    story.tell(f.Suppressed(channels=(Channel.SMS,), cause="x"))
    story.run("2026-06-02 10:01")
    story.replies()
    story.tell(*commands.message(story.state, Channel.EMAIL, "own", story.now))
    story.run(timedelta(seconds=1))
    story.provider_says("staff", "own", S.UNDELIVERED, remedy=Remedy.SUPPRESS, code="550")
    assert [t.kind for t in story.state.tasks.values() if t.living][-1] is f.TaskKind.CALLBACK
    assert story.run(timedelta(days=5)).stands() is State.RESTING


def test_quiet_hours_that_the_carrier_tells_of_afterwards_are_waited_out() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.FAILED, remedy=Remedy.RESCHEDULE, code="30610")
    story.table()
    story.run("2026-06-02 11:02")
    assert [r for r in story.sent() if r[1] == "confirm"] == [("06-02 11:01", "confirm", "sms.retry1", "sent")]


@pytest.mark.parametrize("how", ["call", "reply"])
def test_a_second_try_is_left_out_once_the_lead_was_reached(how: str) -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:03")
    story.provider_says("confirm", "sms", S.UNDELIVERED, remedy=Remedy.RETRY)
    if how == "call":
        story.claims(story.call("call1"))
        story.completes(story.call("call1"), f.Outcome.REACHED, Disposition.ANSWERED)
    else:
        story.replies()
        story.answers()
    story.run("2026-06-06 12:00")
    assert story.state.touches[1, "confirm", "sms.retry1"].rule == "retry.overtaken"


def test_a_message_that_is_dropped_is_somebodys_to_look_at_and_the_cadence_goes_on() -> None:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 10:01")
    story.provider_says("confirm", "sms", S.FAILED, remedy=Remedy.DROP, code="21617")
    assert [t.reason for t in story.state.tasks.values() if t.kind is f.TaskKind.REVIEW] == [
        "sms of step confirm did not go out: None"
    ]
    assert not story.state.closed
    story.run("2026-06-03 10:01")
    assert ("06-03 10:00", "link", "sms", "sent") in story.table()


def test_what_is_on_its_way_cannot_be_skipped() -> None:
    story = at(S.CLAIMED)
    with pytest.raises(Refused, match="confirm is on its way"):
        commands.skip(story.state, BOOK.latest("consultation"), story.now)


@pytest.mark.parametrize("ends", ["refused", "put off"])
def test_a_step_that_is_skipped_while_it_is_on_its_way_is_not_tried_again(ends: str) -> None:
    story = at(S.CLAIMED)
    story.tell(f.StepSkipped(enrollment=1, step="confirm"))
    if ends == "refused":
        says(story, S.FAILED, remedy=Remedy.RETRY, code="30003")
    else:
        says(story, S.DELAYED, until=story.now + timedelta(minutes=30), rule="channel.unavailable")
    story.run("2026-06-02 12:00")
    assert [r for r in story.sent() if r[1] == "confirm"] == []
    assert story.state.touches[(1, "confirm", "sms")].status in (S.FAILED, S.SKIPPED)


def test_a_claim_that_nobody_settled_is_looked_after_though_its_sequence_is_over() -> None:
    story = at(S.CLAIMED)
    touch = story.state.touches[(1, "confirm", "sms")]
    story.tell(*commands.disqualify(story.state, "x"))
    action = story.decide()
    assert isinstance(action, Touch)
    assert action.touch_id == touch.touch_id
    says(story, S.UNKNOWN)
    assert isinstance(story.run(timedelta(days=3)).decide(), Finish)


def test_a_mails_alert_is_over_when_the_next_arrives_before_it_was_settled() -> None:
    story = Story(ny("2026-06-02 10:00"), phone=False).run("2026-06-02 10:01")
    story.provider_says("confirm", "at_once", S.FAILED, remedy=Remedy.ALERT, code="403")
    (alert,) = [t for t in story.state.tasks.values() if t.refused]
    mail = {"touch_id": "m", "enrollment": 1, "step": "x", "part": "email", "channel": Channel.EMAIL}
    for status in (S.CLAIMED, S.DELIVERED):
        story.tell(f.TouchChanged(**mail, status=status))
    assert not story.state.tasks[alert.id].living


def test_a_touch_put_off_by_its_provider_is_claimed_again() -> None:
    story = at(S.CLAIMED)
    says(story, S.DELAYED, due_at=story.now, until=ny("2026-06-02 10:01"), rule="channel.unavailable")
    story.run("2026-06-02 10:02")
    assert ("06-02 10:01", "confirm", "sms", "sent") in story.table()


def test_the_providers_quiet_hours_move_the_channel_like_any_window() -> None:
    story = at(S.CLAIMED)
    says(story, S.DELAYED, due_at=story.now, until=ny("2026-06-02 13:00"), rule="carrier.quiet_hours")
    story.run("2026-06-03 14:00")
    assert [r[:2] for r in story.sent() if r[2] == "sms"] == [("06-02 13:00", "confirm"), ("06-03 13:00", "link")]


def test_ids_of_touches_are_the_same_after_any_restart_and_differ_for_all_else() -> None:
    ids = {touch_id(le, n, s, p) for le in "ab" for n in (1, 2) for s in ("x", "y") for p in ("sms", "email")}
    assert len(ids) == 16
    assert touch_id("a", 1, "x", "sms") == touch_id("a", 1, "x", "sms")


@pytest.mark.parametrize("end", ["disqualified", "another sequence"])
def test_a_touch_that_is_put_off_after_its_sequence_ended_is_over_too(end: str) -> None:
    story = Story(ny("2026-06-02 10:00"))
    touch = story.decide()
    story.changes(touch, S.CLAIMED)
    if end == "disqualified":
        story.tell(f.Disqualified(reason="x"))
    else:
        story.tell(f.Enrolled(enrollment=2, sequence="recovery", version=1, cause="x"))
    story.changes(touch, S.DELAYED, until=story.now + timedelta(minutes=1), rule="channel.unavailable", reason="away")
    after = story.state.touches[1, "confirm", "sms"]
    assert (after.status, after.rule) == (S.SKIPPED, "sequence.over")
