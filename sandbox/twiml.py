"""TwiML as far as it is imitated: what a document says to do, one verb after the other."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

WORDS_A_SECOND = 2.5


class BadTwiml(Exception):
    """Not TwiML; the text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Say, Play or Pause: something to hear (or not) for so many product seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Gather:
    action: str | None
    prompts: tuple[Listen, ...]
    timeout: float
    on_empty: bool


@dataclass(frozen=True, slots=True)
class Dial:
    """One number to connect to. `callback` is asked about it at its `events`, `heard` told who picked up."""

    action: str | None
    number: str = field(repr=False)
    timeout: float
    caller_id: str | None = field(default=None, repr=False)
    callback: str | None = field(default=None, repr=False)
    events: tuple[str, ...] = ("completed",)
    machine_detection: str | None = None
    heard: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Unknown:
    """A verb that is not imitated."""

    name: str


Verb = Listen | Gather | Dial | Redirect | Hangup | Unknown


def parse(text: str) -> list[Verb]:
    """The verbs of a document, in order. Raises BadTwiml."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - from the product under test; expat refuses entity bombs
    except ET.ParseError as error:
        raise BadTwiml(f"not XML: {error.msg}") from None
    if root.tag != "Response":
        raise BadTwiml("the outermost element must be Response")
    return [_verb(element) for element in root]


def _verb(element: ET.Element) -> Verb:
    text = "".join(element.itertext()).strip()
    action = element.get("action")
    match element.tag:
        case "Say" | "Play" | "Pause":
            return _listen(element)
        case "Gather":
            prompts = tuple(_listen(child) for child in element if child.tag in {"Say", "Play", "Pause"})
            return Gather(
                action, prompts, _seconds(element, "timeout", 5), element.get("actionOnEmptyResult") == "true"
            )
        case "Dial":
            return _dial(element, text)
        case "Redirect":
            return Redirect(text)
        case "Hangup" | "Reject":
            return Hangup()
        case name:
            return Unknown(str(name))


def _dial(element: ET.Element, text: str) -> Dial:
    number = element.find("Number")
    asked = {} if number is None else number.attrib
    return Dial(
        element.get("action"),
        text if number is None else (number.text or "").strip(),
        _seconds(element, "timeout", 30),
        element.get("callerId"),
        asked.get("statusCallback"),
        tuple(asked.get("statusCallbackEvent", "completed").split()),
        asked.get("machineDetection"),
        asked.get("amdStatusCallback"),
    )


def _listen(element: ET.Element) -> Listen:
    if element.tag == "Pause":
        return Listen(_seconds(element, "length", 1))
    if element.tag == "Play":
        return Listen(2)
    return Listen(max(1.0, len("".join(element.itertext()).split()) / WORDS_A_SECOND))


def _seconds(element: ET.Element, name: str, default: float) -> float:
    try:
        return max(0.0, float(element.get(name, default)))
    except ValueError:
        raise BadTwiml(f"{element.tag} {name} must be a number of seconds") from None
