"""Twilio's webhooks: is it Twilio, and what does it say in our words."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from twilio.request_validator import RequestValidator

from channels.errors import clean_code
from channels.twilio_sms import MESSAGE_STATUSES, what_went_wrong
from domain.errors import InvalidInput
from domain.ports import DeskCallEnded, HeardMachine, InboundSms, Remedy, TouchUpdate
from domain.touches import Disposition, TouchStatus

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""A form as it was posted: pairs (a name may come twice), a mapping, or Starlette's FormData."""

# Bare or behind the name of its channel (rcs:+1...). A number without + is one of this country.
_E164 = re.compile(r"(?:[a-z]+:)?(\+[1-9][0-9]{6,14})")
_NATIONAL = re.compile(r"1?([2-9][0-9]{9})")
_ID = re.compile(r"[A-Za-z0-9_-]{2,64}")

CALL_ON_ITS_WAY: Final = frozenset({"queued", "initiated", "ringing", "in-progress"})
CALL_ENDS: Final = {
    "completed": Disposition.ANSWERED,
    "answered": Disposition.ANSWERED,
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
    code, remedy = what_went_wrong(status, fields.get("ErrorCode", ""))
    return TouchUpdate(_touch(touch_id), sid, status, code=code, remedy=remedy)


def parse_call_status(touch_id: str, form: Form) -> TouchUpdate | None:
    """That a lead is being called, or how the call ended; None for words we do not know. Raises InvalidInput."""
    fields = dict(pairs(form))
    sid, word = _id(fields, "CallSid"), _word(fields, "CallStatus")
    at = _time(fields.get("Timestamp"))
    if word in CALL_ON_ITS_WAY:
        return TouchUpdate(_touch(touch_id), sid, TouchStatus.ACCEPTED, at)
    disposition = CALL_ENDS.get(word)
    if disposition is None:
        return None
    if disposition is Disposition.ANSWERED and _is_machine(fields):
        disposition = Disposition.VOICEMAIL
    failed = disposition is Disposition.FAILED
    return TouchUpdate(
        touch_id=_touch(touch_id),
        provider_id=sid,
        status=_call_status(disposition),
        at=at,
        disposition=disposition,
        code=clean_code(fields.get("ErrorCode", "")) if failed else None,
        remedy=Remedy.DROP if failed else None,
    )


def parse_dialled(touch_id: str, form: Form) -> TouchUpdate | None:
    """How the lead's call ended, as told with the coordinator's, which goes on. Raises InvalidInput.

    Of one that was answered it is not told here by whom, so it has no disposition yet.
    """
    fields = dict(pairs(form))
    leg, word = _id(fields, "CallSid"), _word(fields, "DialCallStatus")
    sid = _id(fields, "DialCallSid") if fields.get("DialCallSid") else leg  # a call that never came about has none
    disposition = CALL_ENDS.get(word)
    if disposition is None:
        return None
    return TouchUpdate(
        touch_id=_touch(touch_id),
        provider_id=sid,
        status=_call_status(disposition),
        disposition=disposition if disposition is not Disposition.ANSWERED else None,
        remedy=Remedy.DROP if disposition is Disposition.FAILED else None,
    )


def parse_machine(touch_id: str, form: Form) -> HeardMachine | None:
    """That a machine picked up the lead's phone; None for a person, or if nobody knows. Raises InvalidInput."""
    fields = dict(pairs(form))
    sid = _id(fields, "CallSid")
    return HeardMachine(_touch(touch_id), sid) if _is_machine(fields) else None


def parse_desk_status(touch_id: str, form: Form) -> DeskCallEnded | None:
    """How the call to a coordinator's line ended; None while it has not. Raises InvalidInput."""
    fields = dict(pairs(form))
    sid, how = _id(fields, "CallSid"), CALL_ENDS.get(_word(fields, "CallStatus"))
    return DeskCallEnded(_touch(touch_id), sid, how) if how is not None else None


def parse_key(form: Form) -> tuple[str, str]:
    """The id of the coordinator's call, and the keys pressed in it. Raises InvalidInput."""
    fields = dict(pairs(form))
    return _id(fields, "CallSid"), fields.get("Digits", "")


def e164(value: str) -> str | None:
    """The number in E.164, however Twilio writes it; None for what is no number: an app's user, a sender's name."""
    value = value.strip()
    if international := _E164.fullmatch(value):
        return international[1]
    national = _NATIONAL.fullmatch(value)
    return f"+1{national[1]}" if national else None


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


def _call_status(end: Disposition) -> TouchStatus:
    answered = end in (Disposition.ANSWERED, Disposition.VOICEMAIL)
    return TouchStatus.DELIVERED if answered else TouchStatus.UNDELIVERED


def _is_machine(fields: Mapping[str, str]) -> bool:
    """Whether Twilio heard a machine. It is wrong in one of ten: what it does not know counts as a person."""
    word = fields.get("AnsweredBy", "").lower()
    return word == "fax" or word.startswith("machine")


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
    number = e164(fields.get(name, ""))
    if number is None:
        raise InvalidInput(name, "must be a number in E.164")
    return number


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
