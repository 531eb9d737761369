"""What a lead sends to us: texts and calls, handed to the product as Twilio does."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from sandbox.book import INBOUND, REPLY, Book, Sent
from sandbox.config import SandboxConfig
from sandbox.memory import Memory
from sandbox.times import iso
from sandbox.webhooks import Answer, NotReached, Webhooks

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "UNSTOP"})
STOPPED_TEXT = "You have successfully been unsubscribed. You will not receive any more messages. Reply START to resume."
STARTED_TEXT = "You have successfully been re-subscribed to messages from this number. Reply STOP to unsubscribe."
AS_TWILIO = (0.5,)  # one more try after a failed connection (real seconds)
AS_A_PERSON = (0.5, 1, 2, 4, 8, 15, 15, 15)  # who got no answer looks again


class Inbound:
    """Plays what people send. Everything is kept before it is handed on."""

    def __init__(self, config: SandboxConfig, book: Book, memory: Memory, webhooks: Webhooks) -> None:
        self._config = config
        self._book = book
        self._memory = memory
        self._webhooks = webhooks

    async def text(self, sender: str, to: str | None, body: str, tries: tuple[float, ...] = AS_TWILIO) -> Answer:
        """A text to one of our numbers (default: the one that last wrote to `sender`). Raises NotReached."""
        sid = "SM" + uuid4().hex
        to = to or self._book.last_sender(sender) or self._config.pool_number
        self._keep(sid, "sms", sender, to, body)
        params = {
            "MessageSid": sid,
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "AccountSid": self._config.account_sid,
            "ApiVersion": "2010-04-01",
            "From": sender,
            "FromCountry": "US",
            "To": to,
            "ToCountry": "US",
            "Body": body,
            "NumMedia": "0",
            "NumSegments": "1",
        }
        if self._config.carrier_opt_out and (word := self._obey(sender, to, body)):
            params["OptOutType"] = word
        return await self._hand_on(sid, self._config.inbound_sms_url, params, tries)

    async def call(self, sender: str, to: str | None) -> Answer:
        """A call to one of our numbers; the answer is the TwiML, which nobody obeys. Raises NotReached."""
        sid = "CA" + uuid4().hex
        to = to or self._book.last_sender(sender) or self._config.pool_number
        self._keep(sid, "voice", sender, to, None)
        params = {
            "CallSid": sid,
            "AccountSid": self._config.account_sid,
            "ApiVersion": "2010-04-01",
            "From": sender,
            "To": to,
            "CallStatus": "ringing",
            "Direction": "inbound",
        }
        return await self._hand_on(sid, self._config.inbound_voice_url, params, AS_TWILIO)

    def _keep(self, sid: str, channel: str, sender: str, to: str, body: str | None) -> None:
        """A call is over at once: nobody obeys its TwiML."""
        at = iso(datetime.now(UTC))
        came = Sent(
            id=sid,
            channel=channel,
            to=to,
            sender=sender,
            at=at,
            touch_id=None,
            content={"body": body},
            headers={},
            request={},
            status="received" if channel == "sms" else "completed",
            state={"updated_at": at, "sent_at": at, "started_at": at, "ended_at": at},
            direction=INBOUND,
        )
        self._book.keep([came])

    async def _hand_on(self, sid: str, url: str, params: dict[str, str], tries: tuple[float, ...]) -> Answer:
        for pause in (*tries, None):
            try:
                answer = await self._webhooks.twilio(url, params, token=sid)
            except NotReached:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                self._book.change(sid, None, {"answer_status": answer.status, "answer": answer.body})
                return answer
        raise NotReached("no try was made")

    def _obey(self, sender: str, to: str, body: str) -> str | None:
        """The carrier's own handling of STOP and START: one confirmation each, which shows in the outbox."""
        word = body.strip().upper()
        if word not in STOP_WORDS | START_WORDS:
            return None
        stop = word in STOP_WORDS
        if self._memory.is_stopped(sender) != stop:
            self._memory.set_stopped(sender, stop)
            text = STOPPED_TEXT if stop else STARTED_TEXT
            at = iso(datetime.now(UTC))
            self._book.keep(
                [
                    Sent(
                        id="SM" + uuid4().hex,
                        channel="sms",
                        to=sender,
                        sender=to,
                        at=at,
                        touch_id=None,
                        content={"body": text, "by": "carrier"},
                        headers={},
                        request={},
                        status="delivered",
                        state={"sent_at": at, "updated_at": at},
                        direction=REPLY,
                    )
                ]
            )
        return "STOP" if stop else "START"
