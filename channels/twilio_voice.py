"""Calls through Twilio: the VoiceChannel of domain/ports.py."""

from channels.errors import unknown
from channels.twilio_client import TwilioClient
from channels.twilio_sms import LIST_SIZE, may_be
from channels.webhook_paths import DESK_STATUS, WHISPER, callback
from domain.ports import Accepted, Call, Search

RING_SECONDS = 25  # real; long enough for a person, mostly too short for a mailbox


class TwilioVoice:
    """Calls from a number (E.164). Never records. `public_url` is where Twilio reaches us."""

    def __init__(self, client: TwilioClient, public_url: str, from_: str) -> None:
        if not from_:
            raise ValueError("calls need a number to be placed from")
        self._client = client
        self._public_url = public_url
        self._from = from_

    async def ring(self, call: Call, limit: float) -> Accepted:
        """No machine is listened for: a mailbox presses no key."""
        request = self._client.api.calls.create_async(
            to=call.to,
            from_=self._from,
            url=callback(self._public_url, WHISPER, call.touch_id),
            status_callback=callback(self._public_url, DESK_STATUS, call.touch_id),
            status_callback_event=["completed"],
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
        within = {"parent_call_sid": search.child_of} if search.child_of is not None else {}
        request = self._client.api.calls.list_async(to=call.to, limit=LIST_SIZE, page_size=LIST_SIZE, **within)
        for placed in await self._client.look(request, limit):
            if may_be(placed, search) and str(placed.direction).startswith("outbound"):
                return Accepted(str(placed.sid))
        return None
