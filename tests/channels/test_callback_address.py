"""The addresses we give to Twilio: its instructions in the fragment are neither sent nor signed."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from channels.inbound_twilio import TwilioWebhooks
from channels.webhook_paths import callback
from sandbox.webhooks import Http, Webhooks
from tests.channels.fake_provider import Provider

TOUCH = "8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50"
STATUS = {"MessageSid": "SM1", "MessageStatus": "delivered"}


@pytest.mark.parametrize("public_url", ["https://tend.example.com", "https://tend.example.com/at/tend/"])
def test_twilio_is_asked_to_try_again_whatever_went_wrong(public_url: str) -> None:
    address = urlsplit(callback(public_url, "/webhooks/twilio/status", TOUCH))
    assert address.path.endswith("/webhooks/twilio/status")
    assert parse_qs(address.query) == {"touch": [TOUCH]}
    assert parse_qs(address.fragment) == {"rc": ["5"], "rp": ["all"]}


async def test_a_callback_to_such_an_address_is_signed_right(provider: Provider) -> None:
    provider.answer(204, "")
    carrier = Http()
    await carrier.open()
    try:
        webhooks = Webhooks(carrier, "token", ec.generate_private_key(ec.SECP256R1()))
        await webhooks.twilio(callback(provider.base, "/webhooks/twilio/status", TOUCH), STATUS)
    finally:
        await carrier.close()
    (seen,) = provider.seen
    asked = f"{seen.path}?{urlencode(seen.query)}"
    assert asked == f"/webhooks/twilio/status?touch={TOUCH}"
    assert TwilioWebhooks("token", provider.base).verify(asked, STATUS, seen.headers["X-Twilio-Signature"])
