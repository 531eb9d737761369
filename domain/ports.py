"""What Tend needs from the outside, as protocols, each with the errors it may raise."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.errors import TendError
from domain.touches import Channel, Disposition, TouchStatus

# --- errors of a channel ---------------------------------------------------------------------------------------------
# ChannelError
#   Unavailable      nothing was taken: try again after `retry_after` real seconds
#   Rejected         the provider refused for good; `remedy` says what follows
#   OutcomeUnknown   it may have been taken: never send again
#     Unseen         looked for at the provider, and not to be seen, which proves nothing
#     Unread         its list did not answer: that was no look at all


class Remedy(StrEnum):
    """What a refusal of a provider asks for."""

    SUPPRESS = "suppress"  # this address cannot or must not be used on this channel
    SUPPRESS_NUMBER = "suppress_number"  # nor may this number be called
    RESCHEDULE = "reschedule"  # lawful later: the provider's own quiet hours
    ALERT = "alert"  # our account is at fault: an operator must look
    DROP = "drop"  # only this message
    RETRY = "retry"  # the handset was away: one more try later is worth it


class ChannelError(TendError):
    """Root of what a channel raises. `code` is the provider's error code, if it gave one."""

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Unavailable(ChannelError):
    def __init__(self, reason: str, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(reason, code)
        self.retry_after = retry_after


class Rejected(ChannelError):
    def __init__(self, reason: str, code: str | None = None, remedy: Remedy = Remedy.DROP) -> None:
        super().__init__(reason, code)
        self.remedy = remedy


class OutcomeUnknown(ChannelError):
    pass


class Unseen(OutcomeUnknown):
    pass


class Unread(OutcomeUnknown):
    pass


# --- channels --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sms:
    """A text to send. `to` is E.164. After `valid_for` real seconds it must not go out any more."""

    touch_id: str
    to: str = field(repr=False)
    body: str = field(repr=False)
    valid_for: float | None = None


@dataclass(frozen=True, slots=True)
class Email:
    """A mail to send, with a text and an HTML part."""

    touch_id: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call to the line of the coordinator who dialled, or to look for: the one that a lead was dialled by.

    `to` is E.164; what is said, and that the lead is dialled, comes from the voice webhooks.
    """

    touch_id: str
    to: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it. `provider_id` is its own id for it. `remedy` is set for failures, as in TouchUpdate."""

    provider_id: str
    status: TouchStatus = TouchStatus.ACCEPTED
    code: str | None = None
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Where in a provider's list a touch may stand: taken at or after `since`, before `until` (real UTC; None: now).

    `known`: the provider's ids of other touches, which it is not. `child_of`: the provider's id of the call that it was
    made within. `over`: the earlier try has had its end, so that nothing of it is on its way from here.
    """

    since: datetime
    until: datetime | None = None
    known: frozenset[str] = frozenset()
    child_of: str | None = None
    over: bool = False


Begin = Callable[[], Awaitable[None]]
"""Awaited with the connection in hand, right before the first byte. Raises ClaimOver, or anything: nothing is sent."""


class SmsChannel(Protocol):
    """Sends texts. Raises Unavailable, Rejected, OutcomeUnknown. Returns within `limit` real seconds."""

    async def send(self, sms: Sms, limit: float, begin: Begin | None = None) -> Accepted: ...

    async def find(self, sms: Sms, search: Search, limit: float) -> Accepted | None:
        """Looks in the provider's list for this text: same To and body. Raises OutcomeUnknown only."""
        ...


class VoiceChannel(Protocol):
    """Places calls. Raises as SmsChannel."""

    async def ring(self, call: Call, limit: float) -> Accepted:
        """Calls the coordinator's line."""
        ...

    async def find(self, call: Call, search: Search, limit: float) -> Accepted | None: ...


class EmailChannel(Protocol):
    """Sends mail. Raises as SmsChannel. The provider has no list: its events are the only witness."""

    async def send(self, email: Email, limit: float, begin: Begin | None = None) -> Accepted: ...


# --- what providers tell us ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InboundSms:
    """A text that somebody wrote to one of our numbers. `sender` is E.164; `to` may be a short code or a name.

    `is_stop`: the carrier took it as a stop and has answered it so, whatever its words.
    """

    event_id: str
    sender: str = field(repr=False)
    to: str = field(repr=False)
    body: str = field(repr=False)
    is_stop: bool = False


@dataclass(frozen=True, slots=True)
class NoMoreMail:
    """Somebody told their mail program or the provider that they want no mail from us. `address` in lower case."""

    event_id: str
    address: str = field(repr=False)
    cause: str


@dataclass(frozen=True, slots=True)
class DeskCallEnded:
    """How the call to a coordinator's own line ended. `leg_id` is the provider's id of it."""

    touch_id: str
    leg_id: str
    how: Disposition


@dataclass(frozen=True, slots=True)
class HeardMachine:
    """The provider heard a machine pick up the lead's phone."""

    touch_id: str
    provider_id: str


@dataclass(frozen=True, slots=True)
class TouchUpdate:
    """What became of a touch, in our words. `at` is the provider's own time (real, UTC) or None.

    `disposition` is set for the end of a call only; `status` then is delivered (answered, voicemail) or undelivered. A
    call that ended well without one was heard of by its other end: who picked up is told elsewhere.
    `remedy` is set for failures.
    """

    touch_id: str
    provider_id: str
    status: TouchStatus
    at: datetime | None = None
    disposition: Disposition | None = None
    code: str | None = None
    remedy: Remedy | None = None


# --- what a carrier remembers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A text or call in the carrier's list. `person`: their number in E.164, empty where the list hides it; `at`: when
    the carrier made it (real, UTC)."""

    provider_id: str
    channel: Channel
    inbound: bool
    person: str = field(repr=False)
    ours: str = field(repr=False)
    body: str = field(repr=False)
    at: datetime


class CarrierList(Protocol):
    def since(self, since: datetime) -> AsyncIterator[Listed]:
        """All texts and calls made at or after `since` (real, UTC), in no order. Raises OutcomeUnknown."""
        ...

    def same(self, listed: str, body: str) -> bool:
        """Whether this body in the list is what a text with that body of ours is listed as."""
        ...
