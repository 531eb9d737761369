"""Sequence files with the templates they use, checked together and pinned as one version."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from content.segments import Encoding, segments
from content.templates import SAMPLE, Template, from_json, render_sms, to_json
from content.yaml_file import read_yaml, yaml_files
from domain.errors import InvalidSequence
from domain.sequence import (
    DEFAULT_SEQUENCE,
    CallTask,
    Message,
    Sequence,
    StaffTask,
    Switch,
    parse_sequence,
    warnings,
)

SYSTEM_TEMPLATES = ("opt_out_confirmation",)  # sent outside any sequence


@dataclass(frozen=True)
class PinnedSequence:
    """`content` is JSON, `{"sequence": as written, "templates": {name: {...}}}`; hashed in canonical form."""

    sequence: Sequence
    content: dict[str, Any]
    content_hash: str


class TextCost(NamedTuple):
    """What one SMS template costs with typical values."""

    template: str
    encoding: Encoding
    segments: int


class Finding(NamedTuple):
    """What is wrong with a sequence file (an error: it can't be published), or what its author should know."""

    file: str
    level: Literal["error", "warning"]
    text: str


def load_sequences(directory: Path, templates: Mapping[str, Template]) -> list[PinnedSequence]:
    """All sequences of a directory, checked against each other and their templates. Raises InvalidSequence."""
    pinned: dict[str, PinnedSequence] = {}
    for path in yaml_files(directory):
        raw = read_yaml(path)
        try:
            pinned[path.stem] = _pin(path, raw, templates)
        except InvalidSequence as e:
            raise InvalidSequence(f"{path.name}: {str(e).removeprefix(f'{path.name}: ')}") from None
    _check_together([p.sequence for p in pinned.values()])
    return list(pinned.values())


def lint(paths: Collection[Path], templates: Mapping[str, Template], beside: Path) -> list[Finding]:
    """Each file with its first error, or with its warnings. `beside`: a directory of more, to which exits may lead."""
    pinned: dict[Path, Sequence] = {}
    found: list[Finding] = []
    for path in paths:
        try:
            pinned[path] = _pin(path, read_yaml(path), templates).sequence
        except InvalidSequence as e:
            found.append(Finding(str(path), "error", str(e).removeprefix(f"{path.name}: ")))
    given = {path.resolve() for path in paths}
    others = [sequence for path in yaml_files(beside) if path.resolve() not in given for sequence in _readable(path)]
    by_key = {s.key: s for s in (*others, *pinned.values())}
    for path, sequence in pinned.items():
        if by_key[sequence.key] is not sequence:
            found.append(Finding(str(path), "error", f"another of these files has the key {sequence.key!r} too"))
        try:
            _check_among(sequence, by_key)
        except InvalidSequence as e:
            found.append(Finding(str(path), "error", str(e)))
        found += [Finding(str(path), "warning", text) for text in warnings(sequence)]
    return found


def _readable(path: Path) -> list[Sequence]:
    """The sequence of a file that was not asked about; none if something is wrong with it."""
    try:
        return [parse_sequence(read_yaml(path), where=path.name)]
    except InvalidSequence:
        return []


def parse_content(content: Mapping[str, Any], version: int) -> tuple[Sequence, dict[str, Template]]:
    """A stored version as it was pinned. Raises InvalidSequence."""
    sequence = parse_sequence(content["sequence"], version=version)
    return sequence, {name: from_json(name, raw) for name, raw in content["templates"].items()}


def system_templates(templates: Mapping[str, Template]) -> dict[str, Template]:
    """Those that Tend itself sends. Raises InvalidSequence if one is missing."""
    for name in SYSTEM_TEMPLATES:
        _template(templates, name, "sms", "Tend itself")
    return {name: templates[name] for name in SYSTEM_TEMPLATES}


def report(templates: Mapping[str, Template]) -> list[TextCost]:
    """Encoding and segments of every SMS template, with typical values."""
    costs = []
    for name, template in templates.items():
        if template.channel == "sms":
            cost = segments(render_sms(template, SAMPLE))
            costs.append(TextCost(name, cost.encoding, cost.count))
    return costs


def _pin(path: Path, raw: Any, templates: Mapping[str, Template]) -> PinnedSequence:
    sequence = parse_sequence(raw, where=path.name)
    if sequence.key != path.stem:
        raise InvalidSequence(f"holds the key {sequence.key!r}; name the file {sequence.key}.yaml")
    used = {
        name: to_json(_template(templates, name, channel, f"step {step}")) for step, name, channel in _uses(sequence)
    }
    content = {"sequence": raw, "templates": used}
    return PinnedSequence(sequence, content, _hash(content))


def _uses(sequence: Sequence) -> Iterator[tuple[str, str, str]]:
    """Step, template and the channel it must have."""
    for step in sequence.steps:
        for part in (*step.parts, *([step.at_once] if step.at_once else [])):
            match part.action:
                case Message(channel=channel, template=name):
                    yield step.key, name, channel.value
                case CallTask(script=name) | StaffTask(script=name):
                    yield step.key, name, "script"
                case _:
                    continue


def _template(templates: Mapping[str, Template], name: str, channel: str, user: str) -> Template:
    template = templates.get(name)
    if template is None:
        raise InvalidSequence(f"{user} uses the {channel} template {name!r}; there is no templates/{name}.yaml")
    if template.channel != channel:
        raise InvalidSequence(f"{user} needs a template of channel {channel}; {name}.yaml is of {template.channel}")
    return template


# A run around an appointment that there is none of would wait for ever.
_WITHOUT_APPOINTMENT = frozenset({"replied", "opted_out", "disqualified", "not_now"})


def _check_together(sequences: Iterable[Sequence]) -> None:
    by_key = {s.key: s for s in sequences}
    for sequence in by_key.values():
        try:
            _check_among(sequence, by_key)
        except InvalidSequence as e:
            raise InvalidSequence(f"{sequence.key}.yaml: {e}") from None


def _check_among(sequence: Sequence, by_key: Mapping[str, Sequence]) -> None:
    if sequence.key == DEFAULT_SEQUENCE and sequence.anchored():
        raise InvalidSequence("a step turns on an appointment, which inquiries do not have, and they begin here")
    for event, exit_ in sequence.exits.items():
        if isinstance(exit_, Switch) and exit_.sequence not in by_key:
            raise InvalidSequence(
                f"exits.{event} leads to {exit_.sequence!r}; write stop or one of {', '.join(by_key)}"
            )
        alone = event in _WITHOUT_APPOINTMENT and not sequence.anchored()
        if isinstance(exit_, Switch) and alone and by_key[exit_.sequence].anchored():
            raise InvalidSequence(
                f"exits.{event} leads to {exit_.sequence!r}, whose steps turn on an appointment; {event} brings none"
            )
    other = next((s.key for s in by_key.values() if s.code == sequence.code and s.key != sequence.key), None)
    if other is not None:
        raise InvalidSequence(f"the code {sequence.code!r} is that of {other}; take another")


def _hash(content: Mapping[str, Any]) -> str:
    try:
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise InvalidSequence("holds a value with a YAML tag; write plain texts and numbers") from None
    return hashlib.sha256(canonical.encode()).hexdigest()
