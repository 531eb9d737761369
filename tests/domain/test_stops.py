"""Stops: what an opt-out, a disqualification and an address that cannot be used end, and what they leave."""

from datetime import timedelta

import pytest

from domain import commands, gate
from domain import facts as f
from domain.consequences import enroll
from domain.errors import Refused
from domain.journal import Journal
from domain.lead_state import STOP, Stage, State
from domain.next_action import Finish, Touch
from domain.opt_out_words import is_opt_out
from domain.patience import Patience
from domain.ports import Remedy
from domain.touches import Channel, TouchStatus
from tests.domain.lead_story import Story, ny
from tests.domain.sequences import BOOK, RECOVERY, sequence

PHONE = (Channel.SMS, Channel.VOICE)


def at_noon() -> Story:
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    return story


def test_stop_finishes_the_lead_and_sends_its_confirmation_alone() -> None:
    story = at_noon()
    story.opts_out(*PHONE, confirmed=True)
    assert story.stands() is State.FINISHED
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT
    assert story.stage() is Stage.LOST
    story.run(timedelta(days=365))
    assert story.table() == [
        ("06-02 12:00", "-", "-", "finished: opted_out"),
        ("06-02 12:00", "stop", "m", "planned"),
        ("06-02 12:00", "stop", "m", "sent"),
    ]
    assert story.decide() == Finish(f.ExitReason.OPTED_OUT)


@pytest.mark.parametrize(("late", "goes"), [(0, True), (300, True), (301, False)])
def test_the_confirmation_goes_within_five_minutes_or_not_at_all(late: int, goes: bool) -> None:
    story = at_noon()
    story.opts_out(*PHONE, confirmed=True)
    story.now += timedelta(seconds=late)
    story.run(timedelta(hours=1))
    assert [r[3] for r in story.table() if r[1] == STOP] == [
        "planned",
        "sent" if goes else "skipped: stop.confirmation_late",
    ]


def test_on_a_fast_clock_the_confirmation_has_real_time_to_go() -> None:
    assert Patience.on(lambda real: real) == Patience()
    fast = Patience.on(lambda real: real * 3600)
    story = at_noon()
    story.opts_out(*PHONE, confirmed=True)
    story.now += timedelta(hours=9)  # nine real seconds
    action = Journal(story.state, story.book).decide(story.now)
    assert isinstance(action, Touch)
    asked = (story.state, None, action, story.now, story.closed, story.now - timedelta(hours=9))
    assert isinstance(gate.check(*asked), gate.Refused)
    assert isinstance(gate.check(*asked, fast), gate.Allowed)


def test_the_confirmation_goes_at_night_too() -> None:
    story = Story(ny("2026-06-02 22:00")).run("2026-06-02 23:00")
    story.opts_out(*PHONE, confirmed=True)
    story.run(timedelta(minutes=1))
    assert ("06-02 23:00", "stop", "m", "sent") in story.table()


def test_an_opt_out_of_email_alone_leaves_the_phone() -> None:
    story = at_noon()
    story.opts_out(Channel.EMAIL)
    story.run("2026-06-20 12:00")
    assert [r[1:] for r in story.table() if r[3] != "missed"] == [
        ("call2", "call", "opened"),
        ("link", "sms", "sent"),
        ("edu", "email", "skipped: stop.opted_out"),
        ("end", "call", "opened"),
        ("end", "email", "skipped: stop.opted_out"),
        ("-", "-", "finished: exhausted"),
    ]


def test_an_opt_out_of_all_that_is_left_ends_the_sequence() -> None:
    story = Story(ny("2026-06-02 10:00"), phone=False).run("2026-06-02 12:00")
    story.opts_out(Channel.EMAIL)
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT


def test_a_stop_on_sms_is_a_stop_on_voice() -> None:
    story = at_noon()
    story.opts_out(Channel.SMS)
    assert story.state.opted_out == {Channel.SMS, Channel.VOICE}
    assert commands.opt_out(story.state, PHONE, "again") == []


def test_a_sequence_that_says_nothing_of_opt_outs_ends_all_the_same() -> None:
    raw = sequence({"key": "mail", "after": "1 h", "email": "news"}, key="consultation")
    story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw))
    story.opts_out(*PHONE)
    assert story.state.exit_reason is f.ExitReason.OPTED_OUT


def a_touch(step: str, channel: Channel) -> Touch:
    return Touch(1, step, channel.value, channel, "t")


def test_the_gate_is_shut_for_every_machine_touch_after_a_stop() -> None:
    story = at_noon()
    story.opts_out()
    sequence_ = BOOK.latest("consultation")
    for step in ("link", "edu", "end", "staff"):
        for channel in Channel:
            verdict = gate.check(story.state, sequence_, a_touch(step, channel), story.now, frozenset(), story.now)
            assert verdict == gate.Refused("stop.opted_out", f"the lead opted out of {channel}")


def test_the_gate_asks_the_database_as_well_as_the_state() -> None:
    story = at_noon()
    verdict = gate.check(
        story.state,
        BOOK.latest("consultation"),
        a_touch("link", Channel.SMS),
        story.now,
        frozenset({Channel.SMS}),
        story.now,
    )
    assert verdict == gate.Refused("stop.address", "this address is closed for sms")


def test_after_a_stop_an_appointment_still_gets_its_email_and_nothing_else() -> None:
    story = at_noon()
    story.opts_out(*PHONE)
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-10 11:00")
    assert [r[1:] for r in story.table()][1:] == [
        ("-", "-", "enrolled booked"),
        ("confirm", "sms", "skipped: stop.opted_out"),
        ("confirm", "email", "sent"),
        ("remind_24h", "sms", "skipped: stop.opted_out"),
        ("remind_2h", "sms", "skipped: stop.opted_out"),
    ]


def test_an_opt_out_while_booked_keeps_the_appointments_email_and_forbids_the_recovery() -> None:
    story = at_noon()
    story.scheduler_says("booked", ny("2026-06-10 10:00"))
    story.run("2026-06-03 10:00")
    story.opts_out(*PHONE)
    assert story.stands() is State.ACTIVE
    story.table()
    story.run("2026-06-09 12:00")
    story.scheduler_says("cancelled")
    story.run(timedelta(days=30))
    assert story.table() == [
        ("06-09 10:00", "remind_24h", "sms", "skipped: stop.opted_out"),
        ("06-09 12:00", "-", "-", "finished: opted_out"),
    ]


def test_no_marketing_by_email_after_a_stop_on_the_phone_even_in_another_sequence() -> None:
    story = at_noon()
    story.opts_out(*PHONE)
    with pytest.raises(Refused, match="only what serves an appointment"):
        commands.enroll(story.state, BOOK.latest("recovery"), story.now)
    story.tell(enroll(story.state, BOOK.latest("recovery"), "however it came there"))
    story.run(timedelta(days=10))
    assert story.sent() == []
    assert story.state.touches[(2, "again", "email")].rule == "stop.opted_out"


def test_stop_while_paused_and_while_resting() -> None:
    for held in ("resting", "paused"):
        story = at_noon()
        if held == "resting":
            story.replies()
        else:
            story.tell(f.Paused(reason="x"))
        story.opts_out(*PHONE, confirmed=True)
        assert story.stands() is State.FINISHED
        story.run(timedelta(days=30))
        assert [r[1] for r in story.sent()] == ["stop"]


def test_a_stop_between_claim_and_answer_of_the_provider_changes_no_further() -> None:
    """The touch in flight may still arrive; its status is kept, and nothing follows it."""
    story = Story(ny("2026-06-02 10:00"))
    action = story.decide()
    assert isinstance(action, Touch)
    story.changes(action, TouchStatus.CLAIMED)
    story.opts_out(*PHONE)
    story.changes(action, TouchStatus.ACCEPTED)
    story.changes(action, TouchStatus.UNDELIVERED, remedy=Remedy.RETRY)
    story.run(timedelta(days=10))
    assert story.sent() == [("06-02 10:00", "confirm", "sms", "sent")]


def test_a_number_given_up_by_the_carrier_closes_its_channel_and_the_rest_goes_on() -> None:
    story = at_noon()
    story.provider_says("confirm", "sms", TouchStatus.UNDELIVERED, remedy=Remedy.SUPPRESS, code="30006")
    assert story.state.closed == {Channel.SMS}
    story.run("2026-06-05 11:00")
    assert [r[1:] for r in story.table() if r[3] != "missed"] == [
        ("confirm", "sms", "undelivered"),
        ("call2", "call", "opened"),
        ("link", "sms", "skipped: stop.address"),
        ("edu", "email", "sent"),
    ]


def test_a_hard_bounce_after_delivery_closes_email_and_with_nothing_else_the_lead_is_unreachable() -> None:
    story = Story(ny("2026-06-02 10:00"), phone=False).run("2026-06-02 12:00")
    story.provider_says("bio", "email", TouchStatus.DELIVERED)
    story.provider_says("bio", "email", TouchStatus.UNDELIVERED, remedy=Remedy.SUPPRESS)
    assert story.state.closed == {Channel.EMAIL}
    assert story.state.exit_reason is f.ExitReason.UNREACHABLE


def test_disqualified_is_disqualified_in_every_sequence() -> None:
    for raw in (None, {**RECOVERY, "key": "consultation", "exits": {}}):
        story = Story(ny("2026-06-02 10:00"), book=BOOK.with_(raw) if raw else BOOK)
        story.tell(*commands.disqualify(story.state, "under age"))
        assert story.state.exit_reason is f.ExitReason.DISQUALIFIED
        assert story.run(timedelta(days=30)).sent() == []


def test_a_second_stop_of_a_finished_lead_changes_its_reason_no_more() -> None:
    story = at_noon()
    story.tell(f.Disqualified(reason="x"))
    story.tell(f.OptedOut(channels=PHONE, cause="STOP"))
    story.tell(f.Suppressed(channels=(Channel.EMAIL,), cause="bounce"))
    assert story.state.exit_reason is f.ExitReason.DISQUALIFIED
    assert story.state.closed == set(Channel)


def test_a_callback_task_of_a_stopped_number_is_cancelled() -> None:
    story = at_noon()
    story.tell(f.Inquired(source="phone", zones=(), phone=True, email=True, repeat=True))
    story.opts_out(*PHONE)
    assert [t.state for t in story.state.tasks.values() if t.kind is f.TaskKind.CALLBACK] == [f.TaskState.CANCELLED]


def test_nobody_writes_where_the_lead_has_stopped() -> None:
    story = at_noon()
    story.opts_out(*PHONE)
    with pytest.raises(Refused, match="closed"):
        commands.message(story.state, Channel.SMS, "m", story.now)
    assert commands.message(story.state, Channel.EMAIL, "m", story.now)


@pytest.mark.parametrize(
    "text",
    ["STOP STOP", "S.T.O.P", "Stop please", "please stop", "stop it", "Stop texting me", "Unsubscribe me", "remove me",
     "opt me out", "cancel all", "st\u200bop", "STOP\nSent from my iPhone", "Please remove me from your list",
     "Please remove my number", "take me off your list", "please stop contacting me immediately",
     "unsubscribe from all future messages"],
)  # fmt: skip
def test_a_stop_may_be_polite_or_long(text: str) -> None:
    assert is_opt_out(text)


@pytest.mark.parametrize(
    "text",
    ["", "...", "don't stop", "Cancel my appointment", "cancel it", "can I stop by?", "stop by tomorrow",
     "quit smoking", "end of the week", "please call me", "Remove the mole", "I want to cancel", "thank you", "please"],
)  # fmt: skip
def test_other_words_are_for_a_person_to_read(text: str) -> None:
    assert not is_opt_out(text)
