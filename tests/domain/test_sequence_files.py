"""Sequence files: what they may say, and that each mistake is told with its place and remedy."""

from datetime import timedelta
from typing import Any

import pytest

from domain.errors import InvalidSequence
from domain.sequence import (
    After,
    CallTask,
    FromAppointment,
    Message,
    RestUntilAnswered,
    Stop,
    Switch,
    WaitFor,
    parse_length,
    parse_sequence,
)
from domain.touches import Channel
from tests.domain.sequences import BOOKED, CONSULTATION, RECOVERY, sequence

SMS = {"key": "a", "after": "0 s", "sms": "hello"}


def test_the_reference_cadence_is_read_as_written() -> None:
    read = parse_sequence(CONSULTATION, version=4)
    assert (read.key, read.code, read.version) == ("consultation", "s07", 4)
    assert [s.key for s in read.steps] == ["confirm", "call1", "bio", "call2", "link", "edu", "end"]
    assert read.exits == {
        "booked": Switch("booked"),
        "arrived": Switch("booked"),
        "completed": Stop(),
        "cancelled": Switch("recovery"),
        "no_show": Switch("recovery"),
        "opted_out": Stop(),
        "disqualified": Stop(),
        "replied": RestUntilAnswered(timedelta(days=2)),
    }
    confirm, call1 = read.steps[0], read.steps[1]
    assert confirm.at_once is not None
    assert confirm.at_once.action == Message(Channel.EMAIL, "confirm_night")
    assert call1.parts[0].action == CallTask("first_call", timedelta(minutes=10))
    assert [p.name for p in read.steps[-1].parts] == ["call", "email"]
    assert read.templates() >= {"confirm_callback", "confirm_night", "provider_bio", "offer_limited"}
    assert read.scripts() == {"first_call", "second_call", "final"}
    assert not read.anchored()


def test_the_booked_sequence_turns_on_its_appointment() -> None:
    read = parse_sequence(BOOKED)
    assert read.anchored()
    timings = {s.key: s.timing for s in read.steps}
    assert timings["remind_24h"] == FromAppointment(-timedelta(hours=24))
    assert timings["outcome"] == FromAppointment(timedelta(0))
    assert timings["ask_outcome"] == After(timedelta(0), "outcome")
    outcome = read.step("outcome")
    assert outcome is not None
    assert outcome.parts[0].action == WaitFor("outcome", timedelta(days=3))
    assert not parse_sequence(RECOVERY).anchored()


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("0 s", timedelta(0)),
        ("2 min", timedelta(minutes=2)),
        ("1 h", timedelta(hours=1)),
        ("1.5 hours", timedelta(minutes=90)),
        ("3 days", timedelta(days=3)),
        ("1 day", timedelta(days=1)),
        ("90s", timedelta(seconds=90)),
        (" 7 d ", timedelta(days=7)),
    ],
)
def test_lengths(text: str, is_: timedelta) -> None:
    assert parse_length(text, "here") == is_


@pytest.mark.parametrize("text", ["", "5", "5 m", "-1 h", "1h30", "two days", None, 5, "1 month", "1 w", [], {}])
def test_no_lengths(text: object) -> None:
    with pytest.raises(InvalidSequence, match=r"here: .* is not a length; write for instance"):
        parse_length(text, "here")


@pytest.mark.parametrize("text", ["731 days", "9" * 30 + " d", "9" * 400 + " d"])
def test_lengths_too_long(text: str) -> None:
    with pytest.raises(InvalidSequence, match="longer than two years"):
        parse_length(text, "here")


def step(**changes: Any) -> dict[str, Any]:
    return sequence({k: v for k, v in {**SMS, **changes}.items() if v is not None})


MISTAKES: list[tuple[Any, str]] = [
    (None, "a mapping"),
    ([], "a mapping"),
    ({}, "missing code, key, steps, title"),
    ({**sequence(SMS), "colour": "red"}, "unknown colour"),
    ({**sequence(SMS), 7: "red"}, "unknown 7"),
    ({**sequence(SMS), "key": "Über"}, "must be lower-case letters"),
    ({**sequence(SMS), "code": 7}, "must be lower-case letters"),
    ({**sequence(SMS), "steps": []}, "at least one step"),
    ({**sequence(SMS), "steps": {}}, "at least one step"),
    ({**sequence(SMS), "channels": ["email"]}, r"channels must list every channel that steps use: \['sms'\]"),
    ({**sequence(SMS), "channels": "sms"}, "channels must list"),
    (sequence(SMS, SMS), "two steps with the key 'a'"),
    (sequence(SMS, replied={"rest": "for ever"}), "rest takes until_answered"),
    (sequence(SMS, replied={"rest": "until_answered", "resume_after": "soon"}), "resume_after: 'soon' is not a length"),
    (sequence(SMS, booked={"rest": "until_answered"}), "only replied can rest"),
    (sequence(SMS, sneezed="stop"), "no event 'sneezed'; there are booked"),
    (sequence(SMS, booked=None), "must be lower-case"),
    (step(key=None), "missing key"),
    (step(key="stop"), "has a meaning of its own"),
    (step(key="staff"), "has a meaning of its own"),
    (step(key="appointment"), "has a meaning of its own"),
    (step(sms=None), "exactly one of"),
    (step(email="b"), "exactly one of"),
    (step(after=None), "needs either after or before"),
    (step(before="1 h"), "needs either after or before"),
    (step(after=None, before="1 h"), "before needs of: appointment"),
    (step(of="b"), "names 'b', which is not a step above it"),
    (step(of="a"), "names 'a', which is not a step above it"),
    (step(when="answered(b)"), "names 'b', which is not a step above it"),
    (step(when="answered(a)"), "names 'a', which is not a step above it"),
    (step(when=""), "cannot read it"),
    (step(when=True), "cannot read it"),
    (step(sms={"template": "x"}), "must be lower-case"),
    (step(sms=None, call="x"), "a mapping"),
    (step(sms=None, call={}), "missing script"),
    (step(sms=None, call={"script": "x", "claim_within": "soon"}), "is not a length"),
    (step(sms=None, task={"kind": "reply", "script": "x"}), "review or callback"),
    (step(sms=None, wait={"for": "godot", "up_to": "3 days"}), "can wait for outcome"),
    (step(sms=None, wait={"for": "outcome"}), "missing up_to"),
    (step(sms=None, all=[]), "all must be a list"),
    (step(sms=None, all=[{"sms": "x"}, {"sms": "y"}]), "two parts of one kind"),
    (step(sms=None, all=[{"sms": "x", "email": "y"}]), "one of sms, email, call, task, wait expected"),
    (step(sms=None, all=[{"pigeon": "x"}]), "no kind 'pigeon'"),
    (step(sms=None, all=[{"wait": {"for": "outcome", "up_to": "1 d"}}]), "wait stands alone"),
    (step(at_once={"call": {"script": "x"}}), "at_once takes an sms or email template"),
    (step(at_once="x"), "a mapping"),
]


@pytest.mark.parametrize(("raw", "says"), MISTAKES)
def test_a_mistake_is_told(raw: Any, says: str) -> None:
    with pytest.raises(InvalidSequence, match=says) as e:
        parse_sequence(raw)
    assert str(e.value).startswith("sequence")


def test_a_mistake_names_the_step() -> None:
    with pytest.raises(InvalidSequence, match=r"sequence custom, step 2 \(b\): after: 'x' is not a length"):
        parse_sequence(sequence(SMS, {"key": "b", "after": "x", "sms": "t"}))
