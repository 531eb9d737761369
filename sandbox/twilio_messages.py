"""Twilio's Messages: create, list, fetch, and what becomes of a text."""

import math
import time
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.book import Sent, Step
from sandbox.carrier import Carrier, carrier_of
from sandbox.config import SandboxConfig
from sandbox.faults import Fate
from sandbox.intake import Order, Taken, settle
from sandbox.times import iso, rfc2822
from sandbox.twilio_lists import Reading
from sandbox.twilio_wire import (
    E164,
    REFUSED,
    SENDER,
    Form,
    TwilioError,
    check_access,
    check_url,
    error_answer,
    fault_answer,
    shown_headers,
    touch_of,
)

UNDELIVERED = {f"+1500555{code - 27000}": code for code in (30003, 30005, 30006, 30007, 30008)}
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")


def segments(body: str) -> int:
    """How many parts the network splits a text into."""
    if all(letter in _GSM or letter in _GSM_TWICE for letter in body):
        length = len(body) + sum(count for letter, count in Counter(body).items() if letter in _GSM_TWICE)
        one, many = 160, 153
    else:
        length, one, many = len(body.encode("utf-16-be")) // 2, 70, 67
    return 1 if length <= one else math.ceil(length / many)


async def create(request: Request) -> Response:
    carrier = carrier_of(request)
    check_access(request, carrier.config)
    body = (await request.body()).decode("utf-8", "replace")
    to = _validated(Form(body), carrier)
    return await settle(
        carrier.intake,
        request,
        Order("sms", shown_headers(request), body),
        carrier.faults.judge("sms", [to]),
        taken=lambda taken: JSONResponse(show(taken.sent[0], carrier.config.account_sid), status_code=201),
        failed=fault_answer,
    )


def make(config: SandboxConfig, order: Order, fate: Fate, at: datetime) -> Taken:
    """The message that an order becomes, and the statuses to come."""
    form = Form(order.body)
    to, service, callback = form.one("To") or "", form.one("MessagingServiceSid"), form.one("StatusCallback")
    sent = Sent(
        id=("MM" if form.one("MediaUrl") else "SM") + uuid4().hex,
        channel="sms",
        to=to,
        sender=form.one("From") or config.pool_number,
        at=iso(at),
        touch_id=touch_of(callback),
        content={"body": form.one("Body") or ""},
        headers=order.headers,
        request=form.plain(),
        status="accepted" if service else "queued",
        state={"service": service, "updated_at": iso(at)},
        listed_at=fate.listed_at(at),
    )
    failure = (fate.error_code or 30003) if fate.refused else UNDELIVERED.get(to)
    return Taken([sent], fate.spread(_course(config, sent, callback, failure)))


def _validated(form: Form, carrier: Carrier) -> str:
    """The number it goes to. Raises TwilioError."""
    to = form.one("To")
    if to is None:
        raise TwilioError(21604, "A 'To' phone number is required.")
    if not E164.fullmatch(to):
        raise TwilioError(21211, f"The 'To' number {to} is not a valid phone number.")
    sender = form.one("From")
    if sender is None and form.one("MessagingServiceSid") is None:
        raise TwilioError(21603, "A 'From' phone number is required.")
    if sender is not None and not SENDER.fullmatch(sender):
        raise TwilioError(21212, f"The 'From' number {sender} is not a valid phone number.")
    body = form.one("Body") or ""
    if not body and form.one("MediaUrl") is None:
        raise TwilioError(21602, "Message body is required.")
    if len(body) > 1600:
        raise TwilioError(21617, "The concatenated message body exceeds the 1600 character limit.")
    check_url(form.one("StatusCallback"), 21609, "StatusCallback")
    if to in REFUSED:
        raise TwilioError(*REFUSED[to])
    if carrier.config.carrier_opt_out and carrier.memory.is_stopped(to):
        raise TwilioError(21610, "Attempt to send to unsubscribed recipient")
    return to


def _course(config: SandboxConfig, sent: Sent, callback: str | None, failure: int | None) -> list[Step]:
    """The statuses to come, each with its callback if one is wanted. The initial status has none."""
    now = time.time()
    end = "delivered" if failure is None else "undelivered"
    steps = []
    for status, after in (("sent", config.sent_after), (end, config.delivered_after)):
        code = failure if status == "undelivered" else None
        params = {
            "MessageSid": sent.id,
            "MessageStatus": status,
            "SmsSid": sent.id,
            "SmsStatus": status,
            "To": sent.to,
            "From": sent.sender,
            "AccountSid": config.account_sid,
            "ApiVersion": "2010-04-01",
        }
        if sent.state["service"]:
            params["MessagingServiceSid"] = sent.state["service"]
        if code is not None:
            params["ErrorCode"] = str(code)
        steps.append(Step(now + after, "twilio", params, callback, sent.id, status, code))
    return steps


def show(sent: Sent, account: str) -> dict[str, Any]:
    """A message as Twilio's JSON."""
    uri = f"/2010-04-01/Accounts/{account}/Messages/{sent.id}"
    code = sent.state.get("error_code")
    service = sent.state.get("service")
    body = sent.content["body"]
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": body,
        "date_created": rfc2822(sent.at),
        "date_sent": rfc2822(sent.state.get("sent_at")),
        "date_updated": rfc2822(sent.state["updated_at"]),
        "direction": sent.direction,
        "error_code": code,
        "error_message": None if code is None else f"Delivery error {code}",
        # a messaging service picks the number only as it sends
        "from": None if service and sent.status == "accepted" else sent.sender,
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": str(segments(body)),
        "price": None,
        "price_unit": "USD",
        "sid": sent.id,
        "status": sent.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": sent.to,
        "uri": f"{uri}.json",
    }


async def absent(request: Request) -> Response:
    """Everything of Twilio that is not imitated."""
    check_access(request, carrier_of(request).config)
    return error_answer(20404, f"The sandbox carrier does not imitate {request.url.path}", 404)


_BASE = "/2010-04-01/Accounts/{account}"
routes = [
    Route(f"{_BASE}/Messages.json", create, methods=["POST"]),
    *Reading("Messages", "sms", show, times={"DateSent": "sent_at"}).routes(_BASE),
]
