"""What our voice webhooks answer Twilio with, as TwiML. What is said comes from `content/spoken.py`."""

from dataclasses import dataclass

from twilio.twiml.voice_response import VoiceResponse

from channels.twilio_voice import RING_SECONDS
from channels.webhook_paths import CALL_STATUS, DIALLED, KEY, MACHINE, callback
from domain.desk import TALKS

_KEY_WITHIN = 10  # real seconds
_EVENTS = "initiated ringing answered completed"  # each is a witness that the lead was dialled
_LANGUAGE = "en-US"


def said(text: str | None = None) -> str:
    """Says this, if anything, and hangs up."""
    response = VoiceResponse()
    if text is not None:
        response.say(text, language=_LANGUAGE)
    response.hangup()
    return str(response)


@dataclass(frozen=True, slots=True)
class CallFlow:
    """`public_url` is where Twilio reaches us, `caller` the number that a lead sees (None: the one that calls)."""

    public_url: str
    caller: str | None

    def whisper(self, touch_id: str, text: str, if_silent: str) -> str:
        """Asks the coordinator for one key, and hangs up if none is pressed."""
        response = VoiceResponse()
        action = callback(self.public_url, KEY, touch_id)
        response.gather(num_digits=1, timeout=_KEY_WITHIN, action=action).say(text, language=_LANGUAGE)
        response.say(if_silent, language=_LANGUAGE)
        response.hangup()
        return str(response)

    def dial(self, touch_id: str, number: str) -> str:
        """Connects the coordinator with the lead, for as long as a task is its holder's at most.

        A machine is listened for on the lead's line while the two are connected: it tells how the call ended, and
        nothing is played to it.
        """
        response = VoiceResponse()
        action = callback(self.public_url, DIALLED, touch_id)
        longest = int(TALKS.total_seconds())
        response.dial(action=action, timeout=RING_SECONDS, caller_id=self.caller, time_limit=longest).number(
            number,
            status_callback=callback(self.public_url, CALL_STATUS, touch_id),
            status_callback_event=_EVENTS,
            machine_detection="Enable",
            amd_status_callback=callback(self.public_url, MACHINE, touch_id),
        )
        return str(response)
