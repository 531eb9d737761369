"""Touches: one attempted contact from a step, their ids, statuses and lawful transitions."""

import uuid
from enum import StrEnum

_NAMESPACE = uuid.UUID("6b1f6a0e-2f5e-5b0e-9c3b-7a4f1f2f9f55")


class Channel(StrEnum):
    SMS = "sms"
    VOICE = "voice"
    EMAIL = "email"


class TouchStatus(StrEnum):
    PLANNED = "planned"
    DELAYED = "delayed"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    MISSED = "missed"


S = TouchStatus

# From a status only to these. Provider callbacks are unordered, so what is not listed here is a no-op, never an error.
TRANSITIONS: dict[TouchStatus, frozenset[TouchStatus]] = {
    S.PLANNED: frozenset({S.DELAYED, S.CLAIMED, S.SKIPPED, S.MISSED, S.FAILED}),
    S.DELAYED: frozenset({S.DELAYED, S.CLAIMED, S.SKIPPED, S.MISSED, S.FAILED}),
    # delayed: the provider said that it did not take it, or nothing was sent
    S.CLAIMED: frozenset({S.DELAYED, S.ACCEPTED, S.DELIVERED, S.UNDELIVERED, S.FAILED, S.UNKNOWN}),
    S.ACCEPTED: frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED}),
    # a callback is a witness: the provider did take it; unknown: looked for once more, in vain
    S.UNKNOWN: frozenset({S.UNKNOWN, S.ACCEPTED, S.DELIVERED, S.UNDELIVERED, S.FAILED}),
    # an e-mail may bounce after the receiving server had taken it
    S.DELIVERED: frozenset({S.UNDELIVERED}),
    S.UNDELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.SKIPPED: frozenset(),
    S.MISSED: frozenset(),
}

# End the name of a part that is a second try, of which one goes out at most: the other is of a first that failed after
# one had been left out.
_RETRY, _AFTER_ALL = ".retry1", ".retry2"

SENT = frozenset({S.ACCEPTED, S.DELIVERED, S.UNDELIVERED})
SETTLED = SENT | {S.FAILED, S.UNKNOWN, S.SKIPPED, S.MISSED}


def may_become(now: TouchStatus, then: TouchStatus, channel: Channel | None) -> bool:
    """Of two last words on a text or a call the first holds; only a mail may bounce after it was delivered."""
    if now is S.DELIVERED and channel is not Channel.EMAIL:
        return False
    return then in TRANSITIONS[now]


class Disposition(StrEnum):
    """How a call ended."""

    ANSWERED = "answered_by_person"
    VOICEMAIL = "voicemail"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"


def second_of(part: str, *, after_all: bool = False) -> str:
    """The name of its second try. `after_all`: there was one, which was left out before it went out."""
    return f"{part}{_AFTER_ALL if after_all else _RETRY}"


def is_second(part: str) -> bool:
    return part.endswith((_RETRY, _AFTER_ALL))


def first_of(part: str) -> str:
    """The name of the part that this one is, or is the second try of."""
    return part.removesuffix(_RETRY).removesuffix(_AFTER_ALL)


def touch_id(lead_id: str, enrollment: int, step: str, part: str) -> str:
    """The id of a touch: derived, so it is the same after any restart. Opaque outside."""
    return str(uuid.uuid5(_NAMESPACE, f"{lead_id}/{enrollment}/{step}/{part}"))
