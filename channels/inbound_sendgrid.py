"""SendGrid's event webhook: is it SendGrid, and what does it say in our words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sendgrid.helpers.eventwebhook import EventWebhook

from channels.errors import SENDGRID_DROPPED
from domain.errors import InvalidInput
from domain.ports import NoMoreMail, Remedy, TouchUpdate
from domain.touches import TouchStatus

# Neither here nor below: deferred (on the way), open and click (machines do both), group_resubscribe (a click on a page
# of the provider's is no consent that we could prove).
STATUSES: Final = {
    "processed": TouchStatus.ACCEPTED,
    "delivered": TouchStatus.DELIVERED,
    "bounce": TouchStatus.UNDELIVERED,
    "blocked": TouchStatus.UNDELIVERED,
    "dropped": TouchStatus.FAILED,
}
# A person's word, not the fate of a mail: it holds for the address.
NO_MORE_MAIL: Final = {
    "spamreport": "reported a mail as spam",
    "unsubscribe": "unsubscribed at the mail provider",
    "group_unsubscribe": "unsubscribed at the mail provider",
}

# SendGrid tries for 24 hours, and nobody tells whether it signs a repeat anew.
_OLDEST: Final = 25 * 3600
_CLOCKS_DIFFER: Final = 300
_SECONDS = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[A-Za-z0-9_.=+/-]{2,128}")
_ADDRESS = re.compile(r"[^@\s\x00-\x1f\ud800-\udfff]{1,64}@[^@\s\x00-\x1f\ud800-\udfff]{1,255}")
_SMTP = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


class SendGridEvents:
    """Verifies with the webhook's public key (base64 of its DER, as SendGrid shows it), else raises ValueError."""

    def __init__(self, public_key_b64: str) -> None:
        try:
            self._webhook = EventWebhook(public_key_b64.strip())
        except ValueError:
            raise ValueError("SendGrid's webhook key must be the base64 of a public key, as shown there") from None
        if not isinstance(self._webhook.public_key, EllipticCurvePublicKey):
            raise ValueError("SendGrid's webhook key must be an elliptic curve public key")  # noqa: TRY004

    def verify(self, raw: bytes, signature: str | None, timestamp: str | None) -> bool:
        """Whether SendGrid signed this body with this timestamp. Never raises. How old it is, `fresh` says."""
        if not signature or not timestamp:
            return False
        try:
            return bool(self._webhook.verify_signature(raw.decode("utf-8"), signature, timestamp))
        except ValueError:
            return False


def fresh(timestamp: str | None, now: datetime) -> bool:
    """Whether what was signed with this timestamp (seconds, UTC) may still be taken. Never raises."""
    if timestamp is None or not _SECONDS.fullmatch(timestamp):
        return False
    return -_CLOCKS_DIFFER <= now.timestamp() - int(timestamp) <= _OLDEST


@dataclass(frozen=True, slots=True)
class Batch:
    """What concerns us, in the order given, and how many events could not be understood."""

    news: tuple[TouchUpdate | NoMoreMail, ...]
    unreadable: int


def parse(raw: bytes) -> Batch:
    """What became of mails, and who wants no more.

    Events that are no touch's, or say nothing of its fate, are left out. One that cannot be understood does not lose
    the others. Raises InvalidInput if the body is no array.
    """
    try:
        events = json.loads(raw)
    except ValueError:
        raise InvalidInput("body", "is not JSON") from None
    except RecursionError:
        raise InvalidInput("body", "is nested too deeply") from None
    if not isinstance(events, list):
        raise InvalidInput("body", "must be an array of events")
    news: list[TouchUpdate | NoMoreMail] = []
    unreadable = 0
    for event in events:
        try:
            item = _news(event)
        except InvalidInput:
            unreadable += 1
        else:
            news += [item] if item is not None else []
    return Batch(tuple(news), unreadable)


def _news(event: object) -> TouchUpdate | NoMoreMail | None:
    if not isinstance(event, Mapping):
        raise InvalidInput("body", "must be an array of events")
    word = event.get("event")
    if not isinstance(word, str):
        raise InvalidInput("event", "must be a word")
    if word in NO_MORE_MAIL:
        return NoMoreMail(_id(event, "sg_event_id"), _address(event), NO_MORE_MAIL[word])
    status = STATUSES.get(word)
    if status is None or not event.get("touch_id"):
        return None
    message_id = str(event.get("sg_message_id") or "").partition(".")[0]
    return TouchUpdate(
        touch_id=_id(event, "touch_id"),
        # SendGrid lengthens the X-Message-Id of its answer by ".<server>"
        provider_id=message_id if _ID.fullmatch(message_id) else "",
        status=status,
        at=_time(event.get("timestamp")),
        code=_smtp_code(event) if status in {TouchStatus.UNDELIVERED, TouchStatus.FAILED} else None,
        remedy=_remedy(event),
    )


def _remedy(event: Mapping[str, Any]) -> Remedy | None:
    match event["event"]:
        case "bounce":  # a block is the receiver's mood, a bounce the end of the address
            return Remedy.DROP if event.get("type") == "blocked" else Remedy.SUPPRESS
        case "blocked":
            return Remedy.DROP
        case "dropped":
            return SENDGRID_DROPPED.get(str(event.get("reason")), Remedy.DROP)
        case _:
            return None


def _smtp_code(event: Mapping[str, Any]) -> str | None:
    """The enhanced status code alone: the reason beside it quotes the address."""
    found = _SMTP.fullmatch(str(event.get("status") or ""))
    return found[0] if found else None


def _id(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidInput(name, "must be an id")
    return value


def _address(event: Mapping[str, Any]) -> str:
    value = event.get("email")
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value.strip()):
        raise InvalidInput("email", "must be an address")
    return value.strip().lower()


def _time(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
