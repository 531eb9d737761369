"""Templates of texts, e-mails and call scripts: read, checked, rendered with the values of one lead."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from content.email_layout import lay_out
from content.yaml_file import read_yaml, yaml_files
from domain.errors import InvalidSequence

CHANNELS = ("sms", "email", "script")
PURPOSES = ("care", "marketing")
SMS_LIMIT = 1600  # characters the carrier takes in one message
NAME_LIMIT = 40

# Every variable that a template may use, with a typical value: checks and the segment report render with these.
SAMPLE: Mapping[str, str] = MappingProxyType(
    {
        "first_name": "Ada",
        "organization": "Springfield Care",
        "facility_name": "Main Street Clinic",
        "facility_address": "100 Main Street, New York, NY 10001",
        "facility_phone": "+12125550100",
        "callback_at": "on Wednesday, September 23 at 10:02 AM EDT",
        "booking_link": f"https://care.example.com/b/{'A' * 22}.{'b' * 43}",
        "appointment_day": "Wednesday, September 23",
        "appointment_time": "12:30 PM EST",
        "offer_until": "Wednesday, September 30",
        "unsubscribe_link": f"https://care.example.com/u/{'A' * 22}.{'c' * 43}",
        "postal_address": "100 Main Street, New York, NY 10001",
    }
)
VARIABLES = frozenset(SAMPLE)

_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)


@dataclass(frozen=True, slots=True)
class Template:
    """`channel`: sms, email or script (what a coordinator reads). `purpose` is None for a script."""

    name: str
    channel: str
    purpose: str | None
    subject: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """An e-mail ready to send. The subject is one line."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


# --- reading ---------------------------------------------------------------------------------------------------------


def load_templates(directory: Path) -> dict[str, Template]:
    """All templates of a directory, checked, by name. Raises InvalidSequence naming file and remedy."""
    out: dict[str, Template] = {}
    for path in yaml_files(directory):
        raw = read_yaml(path)
        try:
            template = from_json(path.stem, raw)
            check(template)
        except InvalidSequence as e:
            raise InvalidSequence(f"{path.name}: {e}") from None
        out[template.name] = template
    return out


def from_json(name: str, raw: Any) -> Template:
    """A template from the mapping that a file or a stored version holds; its text is not checked here."""
    if not _KEY.fullmatch(name):
        raise InvalidSequence(f"{name!r} must be lower-case letters, digits and _, beginning with a letter")
    if not isinstance(raw, Mapping):
        raise InvalidSequence("a mapping with channel and body expected")
    channel = raw.get("channel")
    if channel not in CHANNELS:
        raise InvalidSequence(f"channel: {channel!r} is none of {', '.join(CHANNELS)}")
    required = {"sms": {"purpose", "body"}, "email": {"purpose", "subject", "body"}, "script": {"body"}}[channel]
    missing, extra = required - raw.keys(), raw.keys() - required - {"channel"}
    if missing or extra:
        word, keys = ("missing", missing) if missing else ("unknown", extra)
        raise InvalidSequence(
            f"{word} {', '.join(sorted(map(str, keys)))}; {channel}: {_list(required | {'channel'})} are taken"
        )
    if "purpose" in required and raw["purpose"] not in PURPOSES:
        raise InvalidSequence(f"purpose: {raw['purpose']!r} is neither {' nor '.join(PURPOSES)}")
    for key in sorted(required - {"purpose"}):
        if not isinstance(raw[key], str) or not raw[key].strip():
            raise InvalidSequence(f"{key}: text expected; write it after `{key}: |` on lines of its own")
    return Template(name, channel, raw.get("purpose"), raw.get("subject"), raw["body"])


def to_json(template: Template) -> dict[str, str]:
    """The mapping that `from_json` takes, without the name."""
    rows = {k: getattr(template, k) for k in ("channel", "purpose", "subject", "body")}
    return {k: v for k, v in rows.items() if v is not None}


def check(template: Template) -> None:
    """Whether it can be rendered for any lead. Raises InvalidSequence naming the part, the line and the remedy."""
    for part, source in (("subject", template.subject), ("body", template.body)):
        if source is None:
            continue
        try:
            unknown = meta.find_undeclared_variables(_ENVIRONMENT.parse(source)) - VARIABLES
            text = "" if unknown else _compiled(source).render(SAMPLE)
        except jinja2.TemplateSyntaxError as e:
            raise InvalidSequence(f"{part}, line {e.lineno}: {e.message}") from None
        except Exception as e:  # whatever an expression of a template can raise, at start rather than at a lead's turn
            raise InvalidSequence(f"{part}: cannot be rendered: {e}") from None
        if unknown:
            raise InvalidSequence(f"{part}: unknown {_list(unknown)}; there are {_list(VARIABLES)}")
        if not text.strip():
            raise InvalidSequence(f"{part}: renders to nothing")
        if template.channel == "sms" and len(text.strip()) > SMS_LIMIT:
            raise InvalidSequence(f"{part}: {len(text.strip())} characters; the carrier takes {SMS_LIMIT}")


# --- rendering -------------------------------------------------------------------------------------------------------


def render_sms(template: Template, values: Mapping[str, str]) -> str:
    return _render(template.name, template.body, _clean(values)).strip()


def render_email(template: Template, values: Mapping[str, str]) -> Rendered:
    """With the HTML part, the postal address and the way to opt out. Lines of a paragraph are joined."""
    clean = _clean(values)
    subject = _render(template.name, template.subject or "", clean)
    body = _render(template.name, template.body, clean)
    text = "\n\n".join(" ".join(p.split()) for p in re.split(r"\n\s*\n", body.strip()))
    return compose_email(subject, text, clean)


def compose_email(subject: str, text: str, values: Mapping[str, str]) -> Rendered:
    """The same frame around a text that a person wrote; blank lines part paragraphs, line ends stay."""
    clean = _clean(values)
    paragraphs = [p.splitlines() for p in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())]
    return Rendered(_line(subject), *lay_out(_line(subject), paragraphs, clean))


def render_script(template: Template, values: Mapping[str, str]) -> str:
    """What a coordinator reads."""
    return _render(template.name, template.body, _clean(values, nameless="the lead")).strip()


def _render(name: str, source: str, values: Mapping[str, str]) -> str:
    try:
        return _compiled(source).render(values)
    except jinja2.UndefinedError as e:  # names the variable, never a value
        raise InvalidSequence(f"template {name}: {e.message}; every variable must be given") from None


@lru_cache(maxsize=512)
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)


# --- values ----------------------------------------------------------------------------------------------------------


def _clean(values: Mapping[str, str], nameless: str = "there") -> dict[str, str]:
    clean = {key: _line(value) for key, value in values.items()}
    if "first_name" in clean:
        clean["first_name"] = _person(values["first_name"]) or nameless
    return clean


def _line(value: str) -> str:
    """One line without control, format and surrogate characters."""
    kept = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in value)
    return " ".join("".join(c for c in kept if unicodedata.category(c) not in ("Cf", "Cs")).split())


def _person(value: str) -> str:
    """A first name as typed, less what no name has: anybody can type a link or a number for us to send to others."""
    name = unicodedata.normalize("NFC", _line(value))
    name = "".join(c if unicodedata.category(c)[0] in "LM" or c.isdecimal() or c in " '’-.," else " " for c in name)
    name = re.sub(r"\d{3,}", " ", name)
    name = re.sub(r"\.(?=\S)", ". ", name)  # no phone makes a link of "name. example"
    name = " ".join(name.split())[:NAME_LIMIT].lstrip(" '’-.,").rstrip()
    return name if any(c.isalpha() for c in name) else ""


def _list(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))
