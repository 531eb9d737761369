"""Calls through Twilio: the VoiceChannel of domain/ports.py, and what is said when somebody answers."""

from twilio.twiml.voice_response import VoiceResponse

from channels.errors import unknown
from channels.twilio_client import TwilioClient
from channels.twilio_sms import LIST_SIZE, may_be
from channels.webhook_paths import callback
from domain.ports import Accepted, Call, Search

RING_SECONDS = 25  # real; long enough for a person, mostly too short for a mailbox
EVENTS = ("initiated", "ringing", "answered", "completed")


class TwilioVoice:
    """Places calls from a number (E.164). Never records. `public_url` is where Twilio reaches us."""

    def __init__(self, client: TwilioClient, public_url: str, from_: str) -> None:
        if not from_:
            raise ValueError("calls need a number to be placed from")
        self._client = client
        self._public_url = public_url
        self._from = from_

    async def dial(self, call: Call, limit: float) -> Accepted:
        request = self._client.api.calls.create_async(
            to=call.to,
            from_=self._from,
            url=callback(self._public_url, "/webhooks/twilio/voice/answer", call.touch_id),
            status_callback=callback(self._public_url, "/webhooks/twilio/voice/status", call.touch_id),
            status_callback_event=list(EVENTS),
            machine_detection="Enable",
            timeout=RING_SECONDS,
            record=False,
        )
        made = await self._client.send(request, limit)
        if not made.sid:
            raise unknown("Twilio", "its answer holds no id")
        return Accepted(str(made.sid))

    async def find(self, call: Call, search: Search, limit: float) -> Accepted | None:
        """The newest call to this number that the search allows. Raises OutcomeUnknown only.

        Always as accepted: how a call ended comes with its disposition, by callback.
        """
        request = self._client.api.calls.list_async(to=call.to, limit=LIST_SIZE, page_size=LIST_SIZE)
        for placed in await self._client.look(request, limit):
            if may_be(placed, search) and str(placed.direction).startswith("outbound"):
                return Accepted(str(placed.sid))
        return None


def is_machine(answered_by: str | None) -> bool:
    """Whether Twilio heard a machine. It is wrong in one of ten: what it does not know counts as a person."""
    word = (answered_by or "").lower()
    return word == "fax" or word.startswith("machine")


def answer_twiml(organization: str, answered_by: str | None) -> str:
    """TwiML for an answered call: a greeting that names the organization and nothing else; silence for a machine."""
    response = VoiceResponse()
    if not is_machine(answered_by):
        response.say(
            f"Hello, this is {organization}. Thank you for taking our call. "
            "A member of our team will be glad to help you. Goodbye.",
            language="en-US",
        )
    response.hangup()
    return str(response)
