"""Twilio's webhooks: is it Twilio, and what does it say in our words."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from twilio.request_validator import RequestValidator

from channels.errors import clean_code, twilio_remedy
from channels.twilio_sms import MESSAGE_STATUSES
from channels.twilio_voice import is_machine
from domain.errors import InvalidInput
from domain.ports import InboundSms, Remedy, TouchUpdate
from domain.touches import Disposition, TouchStatus

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""A form as it was posted: pairs (a name may come twice), a mapping, or Starlette's FormData."""

# Bare or behind the name of its channel (rcs:+1...). A number without + is one of this country.
_E164 = re.compile(r"(?:[a-z]+:)?(\+[1-9][0-9]{6,14})")
_NATIONAL = re.compile(r"1?([2-9][0-9]{9})")
_ID = re.compile(r"[A-Za-z0-9_-]{2,64}")

# Only how a call can end: queued, initiated, ringing and in-progress are on the way.
CALL_ENDS: Final = {
    "completed": Disposition.ANSWERED,
    "busy": Disposition.BUSY,
    "no-answer": Disposition.NO_ANSWER,
    "failed": Disposition.FAILED,
    "canceled": Disposition.FAILED,
}


class TwilioWebhooks:
    """Verifies with the account's auth token, against the public address that Twilio called."""

    def __init__(self, auth_token: str, public_url: str) -> None:
        if not auth_token:
            raise ValueError("Twilio's webhooks need the auth token that signs them")
        self._validator = RequestValidator(auth_token)
        self._public_url = public_url.rstrip("/")

    def verify(self, path_and_query: str, form: Form, signature: str | None) -> bool:
        """Whether Twilio signed this POST. `path_and_query` as it arrived, undecoded. Never raises.

        Only HMAC-SHA1 with the auth token counts: the header that names another algorithm is the sender's own.
        """
        if not signature:
            return False
        try:
            fields = _Pairs(pairs(form))
            return bool(self._validator.validate(self._public_url + path_and_query, fields, signature))
        except (InvalidInput, ValueError, TypeError, AttributeError):
            return False


def parse_sms(form: Form) -> InboundSms:
    """An inbound text. Raises InvalidInput only where its id or the number it is from is missing: it may be a stop.

    The body may be empty (a picture). OptOutType comes with the carrier's advanced opt-out, whose words are the
    account's own. Its START and HELP are texts like any other: nobody is opted in by a text, and a person answers.
    """
    fields = dict(pairs(form))
    known_as = next((name for name in ("MessageSid", "SmsMessageSid", "SmsSid") if fields.get(name)), "MessageSid")
    return InboundSms(
        event_id=f"{_id(fields, known_as)}:received",
        sender=_number(fields, "From"),
        to=_text(fields, "To"),
        body=_text(fields, "Body"),
        is_stop=fields.get("OptOutType", "").strip().upper() == "STOP",
    )


def parse_message_status(touch_id: str, form: Form) -> TouchUpdate | None:
    """What became of a text; None for statuses on the way. Raises InvalidInput."""
    fields = dict(pairs(form))
    sid, word = _id(fields, "MessageSid"), _word(fields, "MessageStatus")
    status = MESSAGE_STATUSES.get(word)
    if status is None:
        return None
    code = clean_code(fields.get("ErrorCode", ""))
    bad = status in {TouchStatus.UNDELIVERED, TouchStatus.FAILED}
    return TouchUpdate(
        event_id=f"{sid}:{word}",
        touch_id=_touch(touch_id),
        provider_id=sid,
        status=status,
        code=code if bad else None,
        remedy=twilio_remedy(code) if bad else None,
    )


def parse_call_status(touch_id: str, form: Form) -> TouchUpdate | None:
    """How a call ended; None while it has not. Raises InvalidInput."""
    fields = dict(pairs(form))
    sid, word = _id(fields, "CallSid"), _word(fields, "CallStatus")
    disposition = CALL_ENDS.get(word)
    if disposition is None:
        return None
    if disposition is Disposition.ANSWERED and is_machine(fields.get("AnsweredBy")):
        disposition = Disposition.VOICEMAIL
    failed = disposition is Disposition.FAILED
    return TouchUpdate(
        event_id=f"{sid}:{word}",
        touch_id=_touch(touch_id),
        provider_id=sid,
        status=TouchStatus.DELIVERED if word == "completed" else TouchStatus.UNDELIVERED,
        at=_time(fields.get("Timestamp")),
        disposition=disposition,
        code=clean_code(fields.get("ErrorCode", "")) if failed else None,
        remedy=Remedy.DROP if failed else None,
    )


def pairs(form: Form) -> list[tuple[str, str]]:
    """The form's fields, repeated ones too. Raises InvalidInput for a file: Twilio posts none and signs none."""
    multi = getattr(form, "multi_items", None)
    items = list(multi()) if multi is not None else list(form.items() if isinstance(form, Mapping) else form)
    if not all(isinstance(value, str) for _, value in items):
        raise InvalidInput("body", "must be a form of plain fields")
    return items


class _Pairs(dict[str, str]):
    """Pairs in the shape that the SDK's validator knows from Flask: one name, all its values."""

    def __init__(self, items: list[tuple[str, str]]) -> None:
        super().__init__(items)
        self._items = items

    def getall(self, name: str) -> list[str]:
        return [value for key, value in self._items if key == name]


def _id(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not _ID.fullmatch(value):
        raise InvalidInput(name, "must be the provider's id")
    return value


def _word(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "").lower()
    if not value:
        raise InvalidInput(name, "is missing")
    return value


def _number(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "").strip()
    if international := _E164.fullmatch(value):
        return international[1]
    if national := _NATIONAL.fullmatch(value):
        return f"+1{national[1]}"
    raise InvalidInput(name, "must be a number in E.164")


def _text(fields: Mapping[str, str], name: str) -> str:
    """What somebody wrote, without what no database and no answer of ours can hold."""
    return fields.get(name, "").encode("utf-8", "replace").decode().replace("\x00", "")


def _touch(touch_id: str) -> str:
    if not _ID.fullmatch(touch_id):
        raise InvalidInput("touch", "must be the id of a touch")
    return touch_id


def _time(text: str | None) -> datetime | None:
    """The provider's time (RFC 2822), UTC; None if there is none to be read: how the call ended counts for more."""
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, TypeError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
