"""Sequences: the contact cadence as data. Read from plain mappings, checked, frozen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from domain.condition import Condition, parse_condition, questions
from domain.errors import InvalidSequence
from domain.facts import TaskKind
from domain.touches import Channel

_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LENGTH = re.compile(r"(?P<n>\d+(\.\d+)?)\s*(?P<unit>s|sec|seconds?|min|minutes?|h|hours?|d|days?)")
_TAKEN = frozenset({"staff", "stop", "appointment"})  # steps outside any sequence, and the other anchor
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_SEQUENCE = "consultation"  # of an inquiry that names none
EVENTS = (
    "booked",
    "rescheduled",
    "cancelled",
    "arrived",
    "no_show",
    "completed",
    "opted_out",
    "disqualified",
    "not_now",
    "replied",
)
WAITS = ("outcome",)  # of the appointment: arrived, completed, cancelled or no-show


def parse_length(text: object, where: str) -> timedelta:
    """`"2 min"`, `"1 h"`, `"3 days"`; raises InvalidSequence."""
    match = _LENGTH.fullmatch(str(text).strip())
    if match is None:
        raise InvalidSequence(f"{where}: {text!r} is not a length; write for instance 0 s, 2 min, 1 h, 3 days")
    seconds = float(match["n"]) * _SECONDS[match["unit"][0]]
    if seconds > 730 * 86400:
        raise InvalidSequence(f"{where}: {text!r} is longer than two years")
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class After:
    """`delay` after the start of the enrollment, or after step `of`."""

    delay: timedelta
    of: str | None = None


@dataclass(frozen=True, slots=True)
class FromAppointment:
    """`offset` from the start of the appointment (negative: before it). Never moved by rests."""

    offset: timedelta


@dataclass(frozen=True, slots=True)
class Message:
    channel: Channel  # sms or email
    template: str


@dataclass(frozen=True, slots=True)
class CallTask:
    script: str
    claim_within: timedelta


@dataclass(frozen=True, slots=True)
class StaffTask:
    kind: TaskKind
    script: str


@dataclass(frozen=True, slots=True)
class WaitFor:
    what: str
    up_to: timedelta


Action = Message | CallTask | StaffTask | WaitFor


@dataclass(frozen=True, slots=True)
class Part:
    """One touch or task of a step. `name` is unique in the step."""

    name: str
    action: Action

    @property
    def channel(self) -> Channel | None:
        match self.action:
            case Message(channel=channel):
                return channel
            case CallTask():
                return Channel.VOICE
            case StaffTask() | WaitFor():
                return None


class IfUnknown(StrEnum):
    """What follows where nobody knows whether a message of the step went out, and it cannot be found out."""

    HOLD = "hold"  # the sequence waits for a person's answer
    GO_ON = "go_on"
    RESEND = "resend"  # it is sent once more: perhaps twice


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    timing: After | FromAppointment
    parts: tuple[Part, ...]
    when: Condition | None = None
    when_text: str | None = None
    at_once: Part | None = None
    if_unknown: IfUnknown = IfUnknown.GO_ON


@dataclass(frozen=True, slots=True)
class Stop:
    pass


@dataclass(frozen=True, slots=True)
class Switch:
    sequence: str


@dataclass(frozen=True, slots=True)
class RestUntilAnswered:
    resume_after: timedelta | None


Exit = Stop | Switch | RestUntilAnswered


@dataclass(frozen=True)
class Sequence:
    key: str
    code: str
    title: str
    steps: tuple[Step, ...]
    exits: Mapping[str, Exit]
    version: int = 0

    def step(self, key: str) -> Step | None:
        return self._by_key.get(key)

    @cached_property
    def _by_key(self) -> dict[str, Step]:
        return {step.key: step for step in self.steps}

    @cached_property
    def has_calls(self) -> bool:
        return any(isinstance(part.action, CallTask) for step in self.steps for part in step.parts)

    @cached_property
    def order(self) -> dict[str, int]:
        """The place of each step, by its key."""
        return {step.key: n for n, step in enumerate(self.steps)}

    def templates(self) -> frozenset[str]:
        return frozenset(
            p.action.template
            for s in self.steps
            for p in (*s.parts, *([s.at_once] if s.at_once else []))
            if isinstance(p.action, Message)
        )

    def scripts(self) -> frozenset[str]:
        return frozenset(
            p.action.script for s in self.steps for p in s.parts if isinstance(p.action, CallTask | StaffTask)
        )

    def anchored(self) -> bool:
        return any(isinstance(s.timing, FromAppointment) for s in self.steps)


def parse_sequence(raw: Any, *, version: int = 0, where: str = "sequence") -> Sequence:
    """A checked sequence from the mapping that a file holds. Raises InvalidSequence naming place and remedy."""
    top = _mapping(raw, where, required={"key", "code", "title", "steps"}, optional={"channels", "exits"})
    key = _name(top["key"], f"{where}: key")
    where = f"sequence {key}"
    if not isinstance(top["steps"], list) or not top["steps"]:
        raise InvalidSequence(f"{where}: steps must be a list with at least one step")
    steps = tuple(_step(s, f"{where}, step {i + 1}") for i, s in enumerate(top["steps"]))
    exits = {e: _exit(v, f"{where}: exits.{e}") for e, v in _mapping(top.get("exits", {}), f"{where}: exits").items()}
    for event, exit_ in exits.items():
        if event not in EVENTS:
            raise InvalidSequence(f"{where}: exits: no event {event!r}; there are {', '.join(EVENTS)}")
        if isinstance(exit_, RestUntilAnswered) and event != "replied":
            raise InvalidSequence(f"{where}: exits.{event}: only replied can rest until_answered")
    sequence = Sequence(key, _name(top["code"], f"{where}: code"), str(top["title"]), steps, exits, version)
    _check_references(sequence, where)
    declared = top.get("channels")
    used = {p.channel.value for s in steps for p in s.parts if p.channel}
    if declared is not None and (not isinstance(declared, list) or not used <= {str(c) for c in declared}):
        raise InvalidSequence(f"{where}: channels must list every channel that steps use: {sorted(used)}")
    return sequence


def _check_references(sequence: Sequence, where: str) -> None:
    seen: set[str] = set()
    for step in sequence.steps:
        if step.key in seen:
            raise InvalidSequence(f"{where}: two steps with the key {step.key!r}")
        for name in named(step):  # only steps above can be named, so no circle is possible
            if name not in seen:
                raise InvalidSequence(f"{where}: step {step.key!r} names {name!r}, which is not a step above it")
        for question in questions(step.when) if step.when else ():
            asked = next((s for s in sequence.steps if s.key == question.step), None)
            calls = asked is None or any(isinstance(p.action, CallTask) for p in asked.parts)
            if question.name == "answered" and not calls:
                raise InvalidSequence(f"{where}: step {step.key!r} asks answered({question.step}), which is no call")
        channels = {p.channel for p in step.parts}
        if step.at_once is not None and step.at_once.channel in channels:
            raise InvalidSequence(f"{where}: step {step.key!r}: at_once must go by another channel than the step")
        seen.add(step.key)


def named(step: Step) -> list[str]:
    """The steps that this one waits for: by its condition, or as the one that its time counts from."""
    steps = [q.step for q in questions(step.when) if q.step] if step.when else []
    return [*steps, step.timing.of] if isinstance(step.timing, After) and step.timing.of else steps


def _step(raw: Any, where: str) -> Step:
    kinds = {"sms", "email", "call", "task", "wait", "all"}
    step = _mapping(
        raw, where, required={"key"}, optional={"after", "before", "of", "when", "at_once", "if_unknown", *kinds}
    )
    key = _name(step["key"], f"{where}: key")
    if key in _TAKEN:
        raise InvalidSequence(f"{where}: the key {key!r} has a meaning of its own; choose another")
    where = f"{where} ({key})"
    given = sorted(kinds & step.keys())
    if len(given) != 1:
        raise InvalidSequence(f"{where}: needs exactly one of {', '.join(sorted(kinds))}")
    if given == ["all"]:
        if not isinstance(step["all"], list) or not step["all"]:
            raise InvalidSequence(f"{where}: all must be a list of sms, email, call or task")
        parts = tuple(_part(p, f"{where}: all") for p in step["all"])
        if any(isinstance(p.action, WaitFor) for p in parts):
            raise InvalidSequence(f"{where}: all must be a list of sms, email, call or task; wait stands alone")
    else:
        parts = (_part({given[0]: step[given[0]]}, where),)
    if len({p.name for p in parts}) != len(parts):
        raise InvalidSequence(f"{where}: two parts of one kind; give the second a step of its own")
    at_once = None
    if "at_once" in step:
        inner = _part(step["at_once"], f"{where}: at_once")
        if not isinstance(inner.action, Message):
            raise InvalidSequence(f"{where}: at_once takes an sms or email template")
        at_once = Part("at_once", inner.action)
    when_text = str(step["when"] or "") if "when" in step else None
    return Step(
        key,
        _timing(step, where),
        parts,
        _condition(when_text, where) if when_text is not None else None,
        when_text,
        at_once,
        _if_unknown(step, parts, where),
    )


def _if_unknown(step: Mapping[str, Any], parts: tuple[Part, ...], where: str) -> IfUnknown:
    if "if_unknown" not in step:
        return IfUnknown.GO_ON
    if not any(isinstance(p.action, Message) for p in parts):
        raise InvalidSequence(f"{where}: if_unknown is for a step that sends an sms or email")
    if step["if_unknown"] not in tuple(IfUnknown):
        raise InvalidSequence(f"{where}: if_unknown takes {', '.join(IfUnknown)}")
    return IfUnknown(step["if_unknown"])


def warnings(sequence: Sequence) -> list[str]:
    """What a sequence may say, and its author should know."""
    return [
        f"sequence {sequence.key}, step {step.key}: if_unknown: resend gives up that nobody is written to twice: "
        "a message of unknown fate is sent once more"
        for step in sequence.steps
        if step.if_unknown is IfUnknown.RESEND
    ]


def _condition(text: str, where: str) -> Condition:
    try:
        return parse_condition(text)
    except InvalidSequence as e:
        raise InvalidSequence(f"{where}: {e}") from None


def _timing(step: Mapping[str, Any], where: str) -> After | FromAppointment:
    if ("after" in step) == ("before" in step):
        raise InvalidSequence(f"{where}: needs either after or before")
    of = str(step["of"]) if "of" in step else None
    if "before" in step:
        if of != "appointment":
            raise InvalidSequence(f"{where}: before needs of: appointment")
        return FromAppointment(-parse_length(step["before"], f"{where}: before"))
    delay = parse_length(step["after"], f"{where}: after")
    return FromAppointment(delay) if of == "appointment" else After(delay, of)


def _part(raw: Any, where: str) -> Part:
    part = _mapping(raw, where)
    if len(part) != 1:
        raise InvalidSequence(f"{where}: one of sms, email, call, task, wait expected")
    kind, value = next(iter(part.items()))
    match kind:
        case "sms" | "email":
            return Part(kind, Message(Channel(kind), _name(value, f"{where}: {kind}")))
        case "call":
            call = _mapping(value, f"{where}: call", required={"script"}, optional={"claim_within"})
            within = parse_length(call.get("claim_within", "10 min"), f"{where}: claim_within")
            return Part(kind, CallTask(_name(call["script"], f"{where}: script"), within))
        case "task":
            task = _mapping(value, f"{where}: task", required={"kind", "script"})
            if task["kind"] not in ("review", "callback"):
                raise InvalidSequence(f"{where}: task kind must be review or callback")
            return Part(kind, StaffTask(TaskKind(task["kind"]), _name(task["script"], f"{where}: script")))
        case "wait":
            wait = _mapping(value, f"{where}: wait", required={"for", "up_to"})
            if wait["for"] not in WAITS:
                raise InvalidSequence(f"{where}: can wait for {', '.join(WAITS)}")
            return Part(kind, WaitFor(str(wait["for"]), parse_length(wait["up_to"], f"{where}: up_to")))
        case _:
            raise InvalidSequence(f"{where}: no kind {kind!r}; there are sms, email, call, task, wait")


def _exit(raw: Any, where: str) -> Exit:
    if isinstance(raw, Mapping):
        rest = _mapping(raw, where, required={"rest"}, optional={"resume_after"})
        if rest["rest"] != "until_answered":
            raise InvalidSequence(f"{where}: rest takes until_answered")
        after = rest.get("resume_after")
        return RestUntilAnswered(parse_length(after, f"{where}: resume_after") if after is not None else None)
    return Stop() if raw == "stop" else Switch(_name(raw, where))


def _mapping(
    raw: Any, where: str, *, required: set[str] | None = None, optional: set[str] | None = None
) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidSequence(f"{where}: a mapping (key: value) expected")
    if required is not None:
        missing, extra = required - raw.keys(), raw.keys() - required - (optional or set())
        if missing:
            raise InvalidSequence(f"{where}: missing {', '.join(sorted(missing))}")
        if extra:
            raise InvalidSequence(f"{where}: unknown {', '.join(sorted(map(str, extra)))}")
    return raw


def _name(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not _KEY.fullmatch(raw):
        raise InvalidSequence(f"{where}: {raw!r} must be lower-case letters, digits and _, beginning with a letter")
    return raw
