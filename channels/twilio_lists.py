"""What Twilio has kept of texts and calls: the CarrierList of domain/ports.py."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from channels.inbound_twilio import e164
from channels.twilio_client import TwilioClient
from channels.twilio_sms import same
from domain.clock import DATED_BEFORE
from domain.ports import Listed
from domain.touches import Channel

PAGE_SIZE = 1000
PAGE_LIMIT = 30.0  # real seconds for one page
# What is no number, nor one that is hidden (+1212555XXXX): an app's user, a SIP address, a device, a page, who is known
# to WhatsApp by an id alone, a short code.
_NO_NUMBER = re.compile(r"(?:client|sips?|sim|messenger):.*|whatsapp:[^+].*|[0-9]{5,6}", re.IGNORECASE)


@dataclass(frozen=True)
class TwilioLists:
    """Of the whole account: what other programs send from it is listed too.

    Where the account has numbers hidden (its redaction, or AddressRetention=obfuscate) `person` is empty.
    """

    client: TwilioClient

    async def since(self, since: datetime) -> AsyncIterator[Listed]:
        """Newest first, texts and then calls, until a whole page is older.

        No date filter: Twilio filters by the time of sending, which a queued text does not have yet.
        """
        api = self.client.api
        for channel, resource in ((Channel.SMS, api.messages), (Channel.VOICE, api.calls)):
            page = await self.client.look(resource.page_async(page_size=PAGE_SIZE), PAGE_LIMIT)
            while page is not None:
                young = [record for record in page if _at(record) >= since - DATED_BEFORE]
                for one in filter(None, (_listed(channel, record) for record in young)):
                    yield one
                page = await self.client.look(page.next_page_async(), PAGE_LIMIT) if young else None

    def same(self, listed: str, body: str) -> bool:
        return same(listed, body)


def _listed(channel: Channel, record: Any) -> Listed | None:
    """None where it holds no id, for what the carrier answers by itself (HELP, STOP: nobody here sent that), where the
    other end is certainly no number, for that is no lead's, and for calls to us from a number that is withheld."""
    direction = str(record.direction or "")
    inbound = direction == "inbound"
    sender, to = str(_from(record) or ""), str(record.to or "")
    person, ours = (sender, to) if inbound else (to, sender)
    number = e164(person)
    if not record.sid or direction == "outbound-reply":
        return None
    if number is None and (_NO_NUMBER.fullmatch(person.strip()) or (inbound and channel is Channel.VOICE)):
        return None
    return Listed(
        str(record.sid),
        channel,
        inbound,
        person=number or "",
        ours=e164(ours) or ours,  # a short code, or a sender's name
        body=str(getattr(record, "body", None) or ""),
        at=record.date_created,
    )


def _at(record: Any) -> datetime:
    at: datetime | None = record.date_created
    return at if at is not None else datetime.min.replace(tzinfo=UTC)


def _from(record: Any) -> Any:
    return getattr(record, "from_", None) or getattr(record, "_from", None)
