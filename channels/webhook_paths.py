"""Addresses at which Twilio calls us back. They carry the touch's opaque id and nothing of a person."""

from typing import Final
from urllib.parse import urlencode

# For Twilio itself, which neither sends nor signs it: try again up to five times, whatever went wrong (15 s in all).
# Left out, it tries once more, and only if it could not connect: a restart of ours would lose what it had to say.
RETRIES: Final = "#rc=5&rp=all"


SMS_STATUS: Final = "/webhooks/twilio/status"
# Of a call, in order: what the coordinator hears, the key they press, how their call ends; then of the lead's
WHISPER: Final = "/webhooks/twilio/voice/desk"
KEY: Final = "/webhooks/twilio/voice/desk/key"
DESK_STATUS: Final = "/webhooks/twilio/voice/desk/status"
CALL_STATUS: Final = "/webhooks/twilio/voice/status"
MACHINE: Final = "/webhooks/twilio/voice/machine"
DIALLED: Final = "/webhooks/twilio/voice/dialled"


def callback(public_url: str, path: str, touch_id: str) -> str:
    return f"{public_url.rstrip('/')}{path}?{urlencode({'touch': touch_id})}{RETRIES}"
