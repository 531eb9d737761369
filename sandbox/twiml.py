"""TwiML as far as it is imitated: what a document says to do, one verb after the other."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
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
    action: str | None
    number: str = field(repr=False)
    timeout: float


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
            numbers: Sequence[ET.Element] = element.findall("Number")
            number = (numbers[0].text or "").strip() if numbers else text
            return Dial(action, number, _seconds(element, "timeout", 30))
        case "Redirect":
            return Redirect(text)
        case "Hangup" | "Reject":
            return Hangup()
        case name:
            return Unknown(str(name))


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
