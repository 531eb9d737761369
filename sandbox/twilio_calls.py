"""Twilio's Calls: create, list, fetch. What becomes of a call is in `voice`."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.book import Sent
from sandbox.call_reports import EVENTS
from sandbox.carrier import carrier_of
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
    fault_answer,
    shown_headers,
    touch_of,
)


async def create(request: Request) -> Response:
    carrier = carrier_of(request)
    check_access(request, carrier.config)
    body = (await request.body()).decode("utf-8", "replace")
    to = _validated(Form(body))
    return await settle(
        carrier.intake,
        request,
        Order("voice", shown_headers(request), body),
        carrier.faults.judge("voice", [to]),
        taken=lambda taken: JSONResponse(show(taken.sent[0], carrier.config.account_sid), status_code=201),
        failed=fault_answer,
    )


def make(_config: SandboxConfig, order: Order, fate: Fate, at: datetime) -> Taken:
    """The call that an order becomes. What becomes of it follows as it goes on."""
    form = Form(order.body)
    call = Sent(
        id="CA" + uuid4().hex,
        channel="voice",
        to=form.one("To") or "",
        sender=form.one("From") or "",
        at=iso(at),
        touch_id=touch_of(form.one("StatusCallback"), form.one("Url")),
        content={"body": form.one("Twiml") or ""},
        headers=order.headers,
        request=form.plain(),
        status="queued",
        state={
            "updated_at": iso(at),
            "url": form.one("Url"),
            "twiml": form.one("Twiml"),
            "callback": form.one("StatusCallback"),
            "events": _events(form),
            "timeout": _whole(form, "Timeout", 60),
            "machine_detection": form.one("MachineDetection"),
            "fate": "failed" if fate.refused else None,
            "faults": fate.dump(),
        },
        listed_at=fate.listed_at(at),
    )
    return Taken([call], [])


def _validated(form: Form) -> str:
    """The number that is called. Raises TwilioError."""
    to, sender = form.one("To"), form.one("From")
    if to is None:
        raise TwilioError(21201, "No 'To' number is specified")
    if not E164.fullmatch(to):
        raise TwilioError(21211, f"The 'To' number {to} is not a valid phone number.")
    if sender is None:
        raise TwilioError(21213, "'From' phone number is required")
    if not SENDER.fullmatch(sender):
        raise TwilioError(21212, f"The 'From' number {sender} is not a valid phone number.")
    if form.one("Url") is None and form.one("Twiml") is None:
        raise TwilioError(21205, "Url or Twiml is required")
    if len(form.one("Twiml") or "") > 4000:
        raise TwilioError(21218, "Twiml must not be longer than 4000 characters")
    check_url(form.one("Url"), 21205, "Url")
    check_url(form.one("StatusCallback"), 21609, "StatusCallback")
    if (form.one("Method") or "POST").upper() != "POST":
        raise TwilioError(21403, "The sandbox carrier asks for TwiML by POST only: set Method to POST")
    detection = form.one("MachineDetection")
    if detection not in {None, "Enable", "DetectMessageEnd"}:
        raise TwilioError(21220, "MachineDetection must be Enable or DetectMessageEnd")
    if to in REFUSED:
        raise TwilioError(*REFUSED[to])
    _events(form)
    _whole(form, "Timeout", 60)
    return to


def _events(form: Form) -> list[str]:
    """The events asked for; `completed` alone if none are named. Several may stand in one value."""
    events = [event for value in form.all("StatusCallbackEvent") for event in value.split()]
    for event in events:
        if event not in EVENTS:
            raise TwilioError(21626, f"StatusCallbackEvent must be of {', '.join(EVENTS)}")
    return events or ["completed"]


def _whole(form: Form, name: str, default: int) -> int:
    try:
        return int(form.one(name) or default)
    except ValueError:
        raise TwilioError(20001, f"{name} must be a whole number") from None


def show(call: Sent, account: str) -> dict[str, Any]:
    """A call as Twilio's JSON."""
    uri = f"/2010-04-01/Accounts/{account}/Calls/{call.id}"
    ended = call.state.get("ended_at")
    return {
        "account_sid": account,
        "annotation": None,
        "answered_by": call.state.get("answered_by"),
        "api_version": "2010-04-01",
        "caller_name": None,
        "date_created": rfc2822(call.at),
        "date_updated": rfc2822(call.state["updated_at"]),
        "direction": call.direction,
        "duration": str(call.state.get("duration", 0)) if ended else None,
        "end_time": rfc2822(ended),
        "forwarded_from": None,
        "from": call.sender,
        "from_formatted": call.sender,
        "group_sid": None,
        "parent_call_sid": call.parent,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.id,
        "start_time": rfc2822(call.state.get("started_at")),
        "status": call.status,
        "subresource_uris": {"notifications": f"{uri}/Notifications.json"},
        "to": call.to,
        "to_formatted": call.to,
        "trunk_sid": None,
        "uri": f"{uri}.json",
    }


_BASE = "/2010-04-01/Accounts/{account}"
routes = [
    Route(f"{_BASE}/Calls.json", create, methods=["POST"]),
    *Reading(
        "Calls",
        "voice",
        show,
        times={"StartTime": "started_at", "EndTime": "ended_at"},
        also={"Status": "status", "ParentCallSid": "parent"},
    ).routes(_BASE),
]
