"""The shipped sequences, what is pinned of them, and what a bad file is told."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from content.library import PinnedSequence, load_sequences, parse_content, system_templates
from content.templates import Template, load_templates
from domain.errors import InvalidSequence
from domain.facts import TaskKind
from domain.sequence import (
    EVENTS,
    After,
    CallTask,
    FromAppointment,
    Message,
    RestUntilAnswered,
    Sequence,
    StaffTask,
    Stop,
    Switch,
    WaitFor,
)
from domain.touches import Channel

TEMPLATES = load_templates(Path(__file__).parents[2] / "config" / "templates")
SHIPPED = {p.sequence.key: p for p in load_sequences(Path(__file__).parents[2] / "config" / "sequences", TEMPLATES)}
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def rows(sequence: Sequence) -> list[tuple[object, ...]]:
    return [
        (s.key, s.timing, *(p.action for p in s.parts), s.when_text, s.at_once.action if s.at_once else None)
        for s in sequence.steps
    ]


def sms(name: str) -> Message:
    return Message(Channel.SMS, name)


def email(name: str) -> Message:
    return Message(Channel.EMAIL, name)


def call(name: str) -> CallTask:
    return CallTask(name, 10 * MINUTE)


def test_the_reference_cadence() -> None:
    """M3, line by line."""
    sequence = SHIPPED["consultation"].sequence
    assert rows(sequence) == [
        # at once: SMS confirmation with the expected callback time
        ("confirm", After(0 * SECOND), sms("confirm_callback"), None, email("confirm_callback_email")),
        # 2 min: live call by a coordinator
        ("call1", After(2 * MINUTE), call("first_call"), None, None),
        # 1 h: e-mail with provider bio and facility, only if the call was not answered
        ("bio", After(1 * HOUR), email("provider_bio"), "not answered(call1)", None),
        # 4 h: second call
        ("call2", After(4 * HOUR), call("second_call"), None, None),
        # 24 h: SMS with direct scheduling link
        ("link", After(24 * HOUR), sms("scheduling_link"), None, None),
        # 3 d: e-mail with education and testimonials
        ("edu", After(3 * DAY), email("education"), None, None),
        # 7 d: final call and an e-mail with a time-limited offer
        ("end", After(7 * DAY), call("final_call"), email("offer_limited"), None, None),
    ]
    assert sequence.code == "s07"
    assert dict(sequence.exits) == {
        "booked": Switch("booked"),
        "arrived": Switch("booked"),
        "completed": Stop(),
        "cancelled": Switch("recovery"),
        "no_show": Switch("recovery"),
        "opted_out": Stop(),
        "disqualified": Stop(),
        "replied": RestUntilAnswered(2 * DAY),
    }


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("confirm_callback", ("callback_at",)),
        ("confirm_callback_email", ("callback_at",)),
        ("provider_bio", ("facility_name", "facility_address")),
        ("scheduling_link", ("booking_link",)),
        ("offer_limited", ("offer_until", "booking_link")),
        ("booked_confirmation", ("appointment_day", "appointment_time")),
        ("booked_confirmation_email", ("appointment_day", "appointment_time")),
        ("reminder_day", ("appointment_day", "appointment_time")),
        ("reminder_hours", ("appointment_time",)),
        ("recovery_link", ("booking_link",)),
        ("recovery_email", ("booking_link",)),
    ],
)
def test_what_each_step_is_for_is_in_its_template(template: str, variables: tuple[str, ...]) -> None:
    assert all(f"{{{{ {v} }}}}" in TEMPLATES[template].body for v in variables)


def test_after_the_booking() -> None:
    sequence = SHIPPED["booked"].sequence
    assert rows(sequence) == [
        ("confirm", After(0 * SECOND), sms("booked_confirmation"), email("booked_confirmation_email"), None, None),
        ("remind_day", FromAppointment(-24 * HOUR), sms("reminder_day"), None, None),
        ("remind_hours", FromAppointment(-2 * HOUR), sms("reminder_hours"), None, None),
        ("outcome", FromAppointment(0 * SECOND), WaitFor("outcome", 3 * DAY), None, None),
        (
            "ask_outcome",
            After(0 * SECOND, "outcome"),
            StaffTask(TaskKind.REVIEW, "outcome_missing"),
            "missed(outcome)",
            None,
        ),
    ]
    assert sequence.code == "s11"
    assert dict(sequence.exits) == {
        "rescheduled": Switch("booked"),
        "cancelled": Switch("recovery"),
        "no_show": Switch("recovery"),
        "completed": Stop(),
        "disqualified": Stop(),
        "replied": RestUntilAnswered(0 * SECOND),
    }


def test_recovery() -> None:
    sequence = SHIPPED["recovery"].sequence
    assert rows(sequence) == [
        ("link", After(30 * MINUTE), sms("recovery_link"), None, None),
        ("call", After(1 * DAY), call("recovery_call"), None, None),
        ("mail", After(3 * DAY), email("recovery_email"), None, None),
    ]
    assert sequence.code == "s12"
    assert dict(sequence.exits) == {
        "booked": Switch("booked"),
        "arrived": Switch("booked"),
        "completed": Stop(),
        "opted_out": Stop(),
        "disqualified": Stop(),
        "replied": RestUntilAnswered(2 * DAY),
    }


def test_every_template_that_ships_is_used() -> None:
    used = {name for p in SHIPPED.values() for name in p.content["templates"]} | set(system_templates(TEMPLATES))
    assert used == set(TEMPLATES)


# --- pinning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(SHIPPED))
def test_a_version_holds_all_it_needs(key: str) -> None:
    pinned = SHIPPED[key]
    stored = json.loads(json.dumps(pinned.content))
    sequence, templates = parse_content(stored, 4)
    assert sequence.version == 4 and rows(sequence) == rows(pinned.sequence)
    assert set(templates) == sequence.templates() | sequence.scripts() | {
        s.at_once.action.template for s in sequence.steps if s.at_once and isinstance(s.at_once.action, Message)
    }
    assert all(TEMPLATES[name] == template for name, template in templates.items())


GOOD = """\
key: good
code: s01
title: A test
exits: {booked: stop}
steps:
  - key: hello
    after: 0 s
    sms: hi
    at_once: {email: hi_mail}
  - key: call1
    after: 2 min
    call: {script: talk}
"""
SOME = {
    "hi": Template("hi", "sms", "care", None, "Hi"),
    "hi_mail": Template("hi_mail", "email", "care", "Hi", "Hi"),
    "talk": Template("talk", "script", None, None, "Talk"),
    "unused": Template("unused", "sms", "care", None, "Unused"),
}

Load = Callable[..., list[PinnedSequence]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def _load(templates: dict[str, Template] = SOME, **texts: str) -> list[PinnedSequence]:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load_sequences(tmp_path, templates)

    return _load


def test_only_what_is_said_changes_the_hash(load: Load) -> None:
    first = load(good=GOOD)[0].content_hash
    reordered = "title: A test # a comment\n" + GOOD.replace("title: A test\n", "")
    assert load(good=reordered)[0].content_hash == first
    assert (
        load({**SOME, "unused": Template("unused", "sms", "care", None, "Changed")}, good=GOOD)[0].content_hash == first
    )
    other = {load(good=GOOD.replace("2 min", "3 min"))[0].content_hash}
    for name in ("hi", "hi_mail", "talk"):
        old = SOME[name]
        changed = Template(name, old.channel, old.purpose, old.subject, "Changed")
        other.add(load({**SOME, name: changed}, good=GOOD)[0].content_hash)
    assert len(other) == 4 and first not in other


# --- errors ----------------------------------------------------------------------------------------------------------

NAME = "must be lower-case letters, digits and _, beginning with a letter"
LENGTH = "is not a length; write for instance 0 s, 2 min, 1 h, 3 days"
QUESTIONS = "answered(step), booked(), missed(step), replied(), sent(step)"
STEP_2 = "sequence good, step 2 (call1)"


def test_the_sequence_that_inquiries_begin_with_turns_on_no_appointment(load: Load) -> None:
    turned = GOOD.replace("after: 2 min", "before: 2 h\n    of: appointment", 1)
    assert load(good=turned)
    with pytest.raises(InvalidSequence, match=r"consultation.yaml: a step turns on an appointment"):
        load(consultation=turned.replace("key: good", "key: consultation"))


@pytest.mark.parametrize("event", ["replied", "opted_out", "disqualified", "not_now"])
def test_what_brings_no_appointment_leads_to_no_sequence_around_one(load: Load, event: str) -> None:
    turned = GOOD.replace("after: 2 min", "before: 2 h\n    of: appointment", 1)
    around = turned.replace("key: good", "key: around").replace("code: s01", "code: s02")
    assert load(good=GOOD.replace("booked: stop", "booked: around"), around=around)
    with pytest.raises(InvalidSequence, match=rf"good.yaml: exits.{event} leads to 'around'.*brings none"):
        load(good=GOOD.replace("booked: stop", f"{event}: around"), around=around)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sms: hi", "sms: hey", "step hello uses the sms template 'hey'; there is no templates/hey.yaml"),
        ("sms: hi", "sms: hi_mail", "step hello needs a template of channel sms; hi_mail.yaml is of email"),
        ("hi_mail", "nothing", "step hello uses the email template 'nothing'; there is no templates/nothing.yaml"),
        (
            "script: talk",
            "script: speak",
            "step call1 uses the script template 'speak'; there is no templates/speak.yaml",
        ),
        ("script: talk", "script: hi", "step call1 needs a template of channel script; hi.yaml is of sms"),
        ("booked: stop", "booked: nowhere", "exits.booked leads to 'nowhere'; write stop or one of good"),
        ("key: good", "key: other", "holds the key 'other'; name the file other.yaml"),
        (
            "title: A test",
            "title: !!timestamp 2026-01-01",
            "holds a value with a YAML tag; write plain texts and numbers",
        ),
        ("key: good\n", "", "missing key"),
        ("code: s01", "code: S 01", f"sequence good: code: 'S 01' {NAME}"),
        ("booked: stop", "bought: stop", f"sequence good: exits: no event 'bought'; there are {', '.join(EVENTS)}"),
        (
            "after: 2 min",
            "after: soon",
            f"{STEP_2}: after: 'soon' {LENGTH}",
        ),
        ("after: 2 min", "after: 3 years", f"{STEP_2}: after: '3 years' {LENGTH}"),
        ("after: 2 min", "after: 800 d", f"{STEP_2}: after: '800 d' is longer than two years"),
        ("    after: 2 min\n", "", "sequence good, step 2 (call1): needs either after or before"),
        ("after: 2 min", "before: 2 h", "sequence good, step 2 (call1): before needs of: appointment"),
        ("sms: hi", "fax: hi", "sequence good, step 1: unknown fax"),
        (
            "sms: hi",
            "sms: hi\n    email: hi_mail",
            "sequence good, step 1 (hello): needs exactly one of all, call, email, sms, task, wait",
        ),
        ("key: call1", "key: hello", "sequence good: two steps with the key 'hello'"),
        (
            "after: 2 min",
            "after: 2 min\n    of: later",
            "sequence good: step 'call1' names 'later', which is not a step above it",
        ),
        (
            "after: 2 min",
            "after: 2 min\n    when: sent(later)",
            "sequence good: step 'call1' names 'later', which is not a step above it",
        ),
        (
            "after: 2 min",
            "after: 2 min\n    when: sent hello",
            "sequence good, step 2 (call1): condition 'sent hello': cannot read it at column 6; "
            "write for instance: not answered(call1) and not replied(). "
            f"Questions: {QUESTIONS}",
        ),
        (
            "after: 2 min",
            "after: 2 min\n    when: opened(hello)",
            f"sequence good, step 2 (call1): condition 'opened(hello)': no question opened(); there are {QUESTIONS}",
        ),
        (
            "after: 2 min",
            "after: 2 min\n    when: not answered(hello)",
            "sequence good: step 'call1' asks answered(hello), which is no call",
        ),
        (
            "at_once: {email: hi_mail}",
            "at_once: {sms: hi}",
            "sequence good: step 'hello': at_once must go by another channel than the step",
        ),
        (
            "call: {script: talk}",
            "wait: {for: rain, up_to: 1 d}",
            "sequence good, step 2 (call1): can wait for outcome",
        ),
        (
            "call: {script: talk}",
            "task: {kind: call, script: talk}",
            f"{STEP_2}: task kind must be review or callback",
        ),
        ("exits: {booked: stop}", "exits: [stop]", "sequence good: exits: a mapping (key: value) expected"),
        (
            "title: A test",
            "title: A test\nchannels: [sms]",
            "sequence good: channels must list every channel that steps use: ['sms', 'voice']",
        ),
        ("title: A test", "title: A\ntitle: B", None),
    ],
)
def test_a_bad_sequence_is_refused_with_place_and_remedy(load: Load, old: str, new: str, message: str | None) -> None:
    assert old in GOOD
    with pytest.raises(InvalidSequence) as e:
        load(good=GOOD.replace(old, new, 1))
    expected = f"good.yaml: {message}" if message else "good.yaml, line 4: the key 'title' is given twice"
    assert str(e.value) == expected


def test_two_sequences_cannot_share_a_code(load: Load) -> None:
    with pytest.raises(InvalidSequence) as e:
        load(good=GOOD, second=GOOD.replace("key: good", "key: second"))
    assert str(e.value) == "good.yaml: the code 's01' is that of second; take another"


def test_the_confirmation_of_a_stop_must_be_there() -> None:
    with pytest.raises(InvalidSequence) as e:
        system_templates(SOME)
    assert (
        str(e.value)
        == "Tend itself uses the sms template 'opt_out_confirmation'; there is no templates/opt_out_confirmation.yaml"
    )
