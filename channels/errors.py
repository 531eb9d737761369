"""What a provider's answer means for us: one table a provider, and the errors made from it.

Texts are our own: a provider's message may hold the number or address it was about.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.ports import ChannelError, OutcomeUnknown, Rejected, Remedy, Unavailable

MAX_RETRY_AFTER = 300.0  # real seconds; a provider's longer wish is cut, the activity's own deadline decides
# Real seconds for a connection to come about. Well below a request's whole limit: who has not connected by then has
# sent nothing, and that must be known before the limit is over.
CONNECT_WITHIN = 3.0


@dataclass(frozen=True, slots=True)
class Meaning:
    """`remedy` None: nothing was taken, the same may be tried again after a while."""

    remedy: Remedy | None
    text: str


# What is wrong with the number or messaging service that we send from, or call from: no message of ours can go out.
_SENDER: Final = (
    ("21201", "of the call is missing"),
    ("21210", "of the call is not verified"),
    ("21212", "is not a valid number"),
    ("21601", "is not a number of the account"),
    ("21603", "is missing"),
    ("21606", "may not send to this destination"),
    ("21659", "is not a number of the provider"),
    ("21660", "is not a number of the account"),
    ("21661", "cannot send texts"),
    ("21701", "service does not exist"),
    ("21703", "service has no numbers"),
)

# Codes of api.twilio.com, in answers to a request and in status callbacks. Plain HTTP statuses stand for answers
# without a code.
TWILIO: Final[Mapping[str, Meaning]] = {
    # try again: documented as not processed
    "20429": Meaning(None, "too many requests"),
    "429": Meaning(None, "too many requests"),
    "21611": Meaning(None, "the sender's queue is full"),
    "30001": Meaning(None, "the queue is full"),
    # this number cannot or must not be written to
    "21610": Meaning(Remedy.SUPPRESS_NUMBER, "the number opted out at the carrier, or was given to somebody else"),
    "30640": Meaning(Remedy.SUPPRESS_NUMBER, "the number is on the carrier's list of litigators"),
    "21211": Meaning(Remedy.SUPPRESS_NUMBER, "not a valid number"),
    "21614": Meaning(Remedy.SUPPRESS, "the number cannot receive texts"),
    "21635": Meaning(Remedy.SUPPRESS, "the number is a landline"),
    "30006": Meaning(Remedy.SUPPRESS, "a landline or a carrier that cannot be reached"),
    # lawful later
    "30610": Meaning(Remedy.RESCHEDULE, "inside the carrier's quiet hours"),
    # our account: nothing goes out until somebody looks
    "20003": Meaning(Remedy.ALERT, "the account's credentials were refused: check the account SID and the auth token"),
    "401": Meaning(Remedy.ALERT, "the account's credentials were refused: check the account SID and the auth token"),
    "403": Meaning(Remedy.ALERT, "the account may not do this: check its permissions"),
    "21408": Meaning(Remedy.ALERT, "the account may not send to this region: check its geo permissions"),
    "21608": Meaning(Remedy.ALERT, "the account is unverified or has no approved profile"),
    **{
        code: Meaning(Remedy.ALERT, f"the sender {why}: check its number or messaging service") for code, why in _SENDER
    },
    "30007": Meaning(Remedy.ALERT, "filtered by the carrier: check the campaign and the wording"),
    "30034": Meaning(Remedy.ALERT, "the sender is not registered for 10DLC"),
    "30450": Meaning(Remedy.ALERT, "blocked by the provider's fraud guard"),
    # the handset was away
    "30003": Meaning(Remedy.RETRY, "the handset is off or out of reach"),
    "30005": Meaning(Remedy.RETRY, "unknown handset"),
    "30008": Meaning(Remedy.RETRY, "not delivered, for no reason given"),
}

# HTTP statuses of SendGrid's mail/send.
SENDGRID: Final[Mapping[str, Meaning]] = {
    "429": Meaning(None, "too many requests"),
    "401": Meaning(Remedy.ALERT, "the API key was refused: check it"),
    "403": Meaning(Remedy.ALERT, "the API key or the sender may not send: check its scopes and the verified sender"),
}

OTHER = Meaning(Remedy.DROP, "refused for a reason that concerns this message only")

# Why SendGrid did not even try: only an address on one of its own lists is worth suppressing.
SENDGRID_DROPPED: Final[Mapping[str, Remedy]] = {
    "Bounced Address": Remedy.SUPPRESS,
    "Spam Reporting Address": Remedy.SUPPRESS,
    "Unsubscribed Address": Remedy.SUPPRESS,
}

_CODE = re.compile(r"[0-9]{1,6}")


def clean_code(value: object) -> str | None:
    """The code if it looks like one: what came over the wire is not put into logs unseen."""
    text = str(value).strip()
    return text if _CODE.fullmatch(text) else None


def twilio_error(status: int, code: str | None = None, retry_after: float | None = None) -> ChannelError:
    """The error for an answer of Twilio with an HTTP `status` outside 2xx and its error `code`, if any."""
    return _error("Twilio", TWILIO, status, code, retry_after)


def sendgrid_error(status: int, retry_after: float | None = None) -> ChannelError:
    """The error for an answer of SendGrid with an HTTP `status` outside 2xx."""
    return _error("SendGrid", SENDGRID, status, None, retry_after)


def twilio_remedy(code: str | None) -> Remedy:
    """What a message that failed later, in a status callback, asks for. A full queue then asks for one more try."""
    return TWILIO.get(code or "", OTHER).remedy or Remedy.RETRY


def unreachable(provider: str) -> Unavailable:
    """No connection came about, so nothing was sent."""
    return Unavailable(f"{provider} cannot be reached: nothing was sent")


def unknown(provider: str, why: str, code: str | None = None) -> OutcomeUnknown:
    return OutcomeUnknown(f"{provider}: {why}; it may have been taken", code)


def _error(
    provider: str, table: Mapping[str, Meaning], status: int, code: str | None, retry_after: float | None
) -> ChannelError:
    # A server that failed may have failed after it took the message; 408 is a server that lost patience with a proxy
    # in between. Redirects are not followed: where they would lead is nobody we know.
    if status >= 500 or status < 400 or status == 408:
        return unknown(provider, f"answered HTTP {status}", code or str(status))
    known = table.get(code or "") or table.get(str(status)) or OTHER
    shown = code or str(status)
    text = f"{provider} {shown}: {known.text}"
    if known.remedy is None:
        return Unavailable(text, shown, min(max(retry_after or 1.0, 1.0), MAX_RETRY_AFTER))
    return Rejected(text, shown, known.remedy)
