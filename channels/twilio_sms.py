"""Texts through Twilio: the SmsChannel of domain/ports.py."""

import unicodedata
from datetime import datetime
from typing import Any, Final

from channels.errors import clean_code, twilio_remedy, unknown
from channels.twilio_client import TwilioClient
from channels.webhook_paths import SMS_STATUS, callback
from domain.clock import DATED_BEFORE
from domain.ports import Accepted, Begin, Remedy, Search, Sms
from domain.touches import TouchStatus

# Real seconds a text may lie in Twilio's queue at most (its own default is 10 hours); a text's own limit is the end of
# its contact window, so that none slips into the night. Twilio takes no less than one second.
VALIDITY = 14_400
LIST_SIZE = 100

# In answers and in callbacks. Not here: accepted, scheduled, queued, sending (on the way), receiving, received.
MESSAGE_STATUSES: Final = {
    "sent": TouchStatus.ACCEPTED,
    "delivered": TouchStatus.DELIVERED,
    "read": TouchStatus.DELIVERED,
    "partially_delivered": TouchStatus.DELIVERED,
    "undelivered": TouchStatus.UNDELIVERED,
    "failed": TouchStatus.FAILED,
    "canceled": TouchStatus.FAILED,
}

# What smart encoding writes instead, and NFKC does not.
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "«": '"', "»": '"'})


class TwilioSms:
    """Sends from a messaging service if one is given, else from a number (E.164).

    `public_url` is where Twilio reaches us. Raises ValueError without a sender.
    """

    def __init__(
        self,
        client: TwilioClient,
        public_url: str,
        *,
        messaging_service_sid: str | None = None,
        from_: str | None = None,
        validity: int = VALIDITY,
    ) -> None:
        if not messaging_service_sid and not from_:
            raise ValueError("texts need a messaging service or a number to be sent from")
        self._client = client
        self._public_url = public_url
        self._sender = {"messaging_service_sid": messaging_service_sid} if messaging_service_sid else {"from_": from_}
        self._validity = validity

    async def send(self, sms: Sms, limit: float, begin: Begin | None = None) -> Accepted:
        request = self._client.api.messages.create_async(
            to=sms.to,
            body=sms.body,
            status_callback=callback(self._public_url, SMS_STATUS, sms.touch_id),
            validity_period=self._lasting(sms),
            smart_encoded=True,
            **self._sender,
        )
        return accepted(await self._client.send(request, limit, begin))

    def _lasting(self, sms: Sms) -> int:
        return self._validity if sms.valid_for is None else max(1, min(self._validity, int(sms.valid_for)))

    async def find(self, sms: Sms, search: Search, limit: float) -> Accepted | None:
        """The newest text with this To and body that the search allows. Raises OutcomeUnknown only.

        No date filter: Twilio filters by the time of sending, which a queued text does not have yet.
        """
        request = self._client.api.messages.list_async(to=sms.to, limit=LIST_SIZE, page_size=LIST_SIZE)
        for message in await self._client.look(request, limit):
            if may_be(message, search) and same(str(message.body or ""), sms.body):
                return accepted(message)
        return None


def accepted(message: Any) -> Accepted:
    """What Twilio's record of a text says in our words."""
    if not message.sid:
        raise unknown("Twilio", "its answer holds no id")
    status = MESSAGE_STATUSES.get(str(message.status), TouchStatus.ACCEPTED)
    return Accepted(str(message.sid), status, *what_went_wrong(status, message.error_code))


def what_went_wrong(status: TouchStatus, error_code: object) -> tuple[str | None, Remedy | None]:
    """Code and remedy of a text that did not arrive, whether an answer, a list or a callback says so."""
    if status not in (TouchStatus.UNDELIVERED, TouchStatus.FAILED):
        return None, None
    code = clean_code(error_code)
    return code, twilio_remedy(code)


def may_be(record: Any, search: Search) -> bool:
    """Whether Twilio's record of a text or call is the one that is looked for, by its id and time.

    Both ends are moved alike, so that what may be the next touch's is not this one's.
    """
    made: datetime | None = record.date_created
    if made is None or not record.sid or str(record.sid) in search.known:
        return False
    made += DATED_BEFORE
    return search.since <= made and (search.until is None or made < search.until)


def same(listed: str, body: str) -> bool:
    """Whether Twilio lists a text with this body of ours so."""
    return _plain(listed) == _plain(body)


def _plain(body: str) -> str:
    """The body as smart encoding leaves it: Twilio lists what it sent, not what we gave it."""
    return unicodedata.normalize("NFKC", body.translate(_PLAIN)).strip()
