"""Kinds of values in requests and answers. Messages of errors never repeat a value."""

import ipaddress
import math
import re
import unicodedata
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from domain.errors import NotFound

REGION = "US"  # of a number without a country code


def phone(text: str) -> str:
    """E.164. Numbers of films (555-0100 to 0199) in a real area code count as valid, so demos need no other rule."""
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("is not a number that can be called; write it as in +12125550100")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str:
    """Lower case throughout: one mailbox is one lead, however it is typed."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("is not an address that can get mail; write it as in ada@example.com") from None


def _one_line(text: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in text):
        raise ValueError("must be one line without control characters")
    return text


def _visible(text: str) -> str:
    if all(unicodedata.category(c) in ("Cf", "Mn", "Zs") for c in text):
        raise ValueError("must hold something that can be seen")
    return text


def _text(text: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in text):
        raise ValueError("must not hold control characters")
    return text


def _plain(value: JsonValue) -> JsonValue:
    """JSON that can be kept and told again: JSON's readers take more than its writers write."""
    found: list[JsonValue] = [value]
    while found:
        match found.pop():
            case dict() as inner:
                found += [*inner, *inner.values()]
            case list() as inner:
                found += inner
            case str() as inner:
                _text(inner)
            case float() as inner if not math.isfinite(inner):
                raise ValueError("must not hold NaN or Infinity")
    return value


def _opaque(text: str) -> str:
    if not _OPAQUE.fullmatch(text):
        raise ValueError("must be an id without meaning: 1 to 128 letters, digits, '.', '_', ':' and '-'")
    return text


def _stated(value: Any) -> Any:
    if not isinstance(value, str) or len(value) < 16 or value[4:5] != "-":
        raise ValueError("must be a time in ISO 8601 with its offset, as in 2026-11-23T10:00:00.000-05:00")
    return value


def _sensible(at: datetime) -> datetime:
    if not 1900 < at.year < 2200:
        raise ValueError("must lie between 1901 and 2199")
    return at.astimezone(UTC)


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is not an IP address") from None


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("is not an id of ours") from None


def known(what: str, text: str) -> str:
    """An id in an address. Raises NotFound: what cannot be an id is no id of ours."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise NotFound(f"no {what} with this id") from None


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


_OPAQUE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def _line(longest: int, shortest: int = 1) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=shortest, max_length=longest)


Name = Annotated[str, _line(100), AfterValidator(_one_line), AfterValidator(_visible)]
Word = Annotated[str, _line(80), AfterValidator(_one_line)]
Line = Annotated[str, _line(300), AfterValidator(_one_line)]
Url = Annotated[str, _line(2000), AfterValidator(_one_line)]
Text = Annotated[str, _line(4000), AfterValidator(_text)]
Plain = Annotated[JsonValue, AfterValidator(_plain)]
Sought = Annotated[str, _line(254), AfterValidator(_one_line)]
Opaque = Annotated[
    str,
    AfterValidator(_opaque),
    WithJsonSchema({"type": "string", "pattern": f"^{_OPAQUE.pattern}$", "examples": ["appt-1001"]}),
]
Phone = Annotated[
    str,
    _line(40),
    AfterValidator(phone),
    Field(description="Kept in E.164; without a country code it is read as of the US.", examples=["+12125550142"]),
]
Email = Annotated[str, _line(254), AfterValidator(email), Field(examples=["ada@example.com"])]
Ip = Annotated[str, _line(45), AfterValidator(_ip), Field(examples=["192.0.2.10"])]
Id = Annotated[
    str,
    AfterValidator(_uuid),
    WithJsonSchema({"type": "string", "format": "uuid", "examples": ["3f0c1d9e-5b1a-4c8e-9a53-0f6d2f1f7b11"]}),
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_stated),
    AfterValidator(_sensible),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T15:00:00.000+00:00"]}),
]
Time = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T15:00:00.000+00:00"]}),
]
LeadId = Annotated[
    str,
    AfterValidator(lambda text: known("lead", text)),
    WithJsonSchema({"type": "string", "format": "uuid", "examples": ["3f0c1d9e-5b1a-4c8e-9a53-0f6d2f1f7b11"]}),
]
TaskId = Annotated[
    str,
    AfterValidator(lambda text: known("task", text)),
    WithJsonSchema({"type": "string", "format": "uuid", "examples": ["b7c2a1de-0d0b-5f8e-8a3f-6f2d1c9e4b55"]}),
]
