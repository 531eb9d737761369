"""One message by each channel through the real SDKs, and faults set for it."""

import urllib.error
from typing import Any

import requests
from sendgrid.helpers.mail import CustomArg, Mail

from tests.sandbox.world import FROM, Carrier, Receiver

TO = "+12125550120"
HOUR = 3_600_000
CUT = (requests.exceptions.ConnectionError, urllib.error.URLError, ConnectionError)


def text(carrier: Carrier, receiver: Receiver, touch: str = "t-1", to: str = TO) -> Any:
    url = f"{receiver.base}/status?touch={touch}"
    return carrier.twilio().messages.create(to=to, from_=FROM, body="Hello", status_callback=url)


def dial(carrier: Carrier, receiver: Receiver, touch: str = "t-1") -> Any:
    """A call to somebody who lets the phone ring."""
    assert carrier.ask("POST", "/_sandbox/personas", {"to": TO, "persona": "silent"})[0] == 200
    url = f"{receiver.base}/call?touch={touch}"
    return carrier.twilio().calls.create(to=TO, from_=FROM, twiml="<Response/>", status_callback=url)


def mail(carrier: Carrier, _receiver: Receiver, touch: str = "t-1") -> Any:
    one = Mail("care@example.com", "lead@example.com", "Your question", "Hello", "<p>Hello</p>")
    one.add_custom_arg(CustomArg("touch_id", touch))
    return carrier.sendgrid().send(one)


def faults(carrier: Carrier, **rules: Any) -> None:
    status, shown = carrier.ask("POST", "/_sandbox/faults", rules)
    assert (status, shown) == (200, rules)
