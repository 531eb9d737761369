"""One touch: claim it at the gate, hand it to its channel, settle the claim, say what is next.

A call is claimed elsewhere: here the line of the coordinator who dialled is called, whose key has the lead dialled.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.plans import to_plan
from activities.watch import Wall, Watch, wall
from domain.clock import Clock
from domain.errors import ClaimOver
from domain.ledger import Claim, Ledger, TouchRef, View
from domain.ports import (
    Accepted,
    Call,
    ChannelError,
    Email,
    EmailChannel,
    Search,
    Sms,
    SmsChannel,
    Unavailable,
    Unread,
    Unseen,
    VoiceChannel,
)
from domain.touches import Channel
from workflows import names
from workflows.messages import DoRef, Plan

REQUEST_LIMIT = 8.0  # real seconds, total
MARGIN = 1.0  # what must be left of a claim when its request has ended
_TOO_LATE = "the claim ran out before the request; if it goes on: do the clocks of workers and database agree?"


@dataclass(frozen=True)
class TouchActivities:
    ledger: Ledger
    clock: Clock
    sms: SmsChannel
    voice: VoiceChannel
    email: EmailChannel
    wall: Wall = wall

    @activity.defn(name=names.TOUCH)
    async def touch(self, ref: DoRef) -> Plan:
        do, watch = ref.do, Watch(self.wall)
        touch = TouchRef(ref.lead_id, do.touch_id, do.enrollment, do.step, do.part, Channel(do.channel))
        claim = await self.ledger.claim(touch, watch.now())
        if isinstance(claim, View):
            return to_plan(claim, self.clock)
        result: Accepted | ChannelError
        try:
            result = await (self._look(claim, claim.search, watch) if claim.search else self._send(touch, claim, watch))
        except ChannelError as error:
            result = error
        except ClaimOver:  # nothing was sent; it counts only if no other has the claim by now
            result = Unavailable(_TOO_LATE)
        if isinstance(claim.message, Call) and claim.search is None:
            return to_plan(await self.ledger.rang(touch, result, watch.now()), self.clock)
        return to_plan(await self.ledger.settle(touch, result, watch.now(), claim.deadline), self.clock)

    async def _send(self, ref: TouchRef, claim: Claim, watch: Watch) -> Accepted:
        """One request, inside the claim's time. Raises ChannelError, ClaimOver."""

        async def begin() -> None:
            await self.ledger.begin(ref, claim, watch.now())

        left = (claim.deadline - watch.now()).total_seconds() - MARGIN
        if left <= 0:  # frozen since the claim: nothing was sent, and nothing may be
            raise Unavailable(_TOO_LATE)
        limit = min(REQUEST_LIMIT, left)
        match claim.message:
            case Sms():
                return await self.sms.send(claim.message, limit, begin)
            case Email():
                return await self.email.send(claim.message, limit, begin)
            case Call():
                return await self.voice.ring(claim.message, limit)

    async def _look(self, claim: Claim, search: Search, watch: Watch) -> Accepted:
        """An earlier try may have sent it: once that is over, ask the provider's list. Raises Unseen, Unread."""
        left = (claim.deadline - watch.now()).total_seconds()
        if left > 0 and not search.over:
            raise _again("an earlier try may still be on its way", left)
        found: Accepted | None = None
        try:
            match claim.message:
                case Sms():
                    found = await self.sms.find(claim.message, search, REQUEST_LIMIT)
                case Call():
                    found = await self.voice.find(claim.message, search, REQUEST_LIMIT)
                case Email():
                    pass  # the provider keeps no list: its events may have told by now
        except ChannelError as error:
            raise Unread("the provider's list did not answer", error.code) from None
        if found is None:
            raise Unseen("the provider does not show it")
        return found


def _again(reason: str, seconds: float) -> ApplicationError:
    return ApplicationError(
        reason,
        type="Unavailable",
        next_retry_delay=timedelta(seconds=max(0.1, seconds)),
        category=ApplicationErrorCategory.BENIGN,
    )
