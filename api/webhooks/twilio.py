"""Twilio's callbacks about texts. Those about calls are in `twilio_voice`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData

from api.services import Services, Wired
from api.webhooks.described import TWIML, form
from api.webhooks.refusal import refused, unreadable
from api.webhooks.touch_news import take_in
from channels.inbound_twilio import parse_message_status, parse_sms
from domain.errors import InvalidInput
from domain.ports import TouchUpdate

router = APIRouter(prefix="/webhooks/twilio", tags=["webhooks of providers"])
_EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
PROVIDER = "twilio"


class Twiml(Response):
    media_type = "text/xml"


async def signed(request: Request, services: Services) -> FormData | None:
    """The form, if Twilio signed it for the very address it was sent to; else None."""
    form = await request.form(max_files=0)
    signature = request.headers.get("x-twilio-signature")
    if services.twilio is not None and services.twilio.verify(_as_asked(request), form, signature):
        return form
    return None


def _as_asked(request: Request) -> str:
    """Path and query as they came over the wire: Twilio signs %-escapes, which the server's `path` has undone."""
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


TouchId = Annotated[str, Query(examples=["9a5b7f0e-2c65-5b0e-9c3b-7a4f1f2f9f55"], description="As we asked for it.")]


@router.post(
    "/sms",
    summary="A text of somebody",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(MessageSid="SM00", From="+12125550142", To="+15005550006", Body="Please tell me more"),
)
async def sms(request: Request, services: Wired) -> Response:
    """A text of somebody. Never answered here: whatever goes out goes through the gate."""
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        inbound = parse_sms(form)
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)
    new = await services.inbound.reply(inbound)
    services.meters.webhooks.labels(PROVIDER, "taken" if new else "repeated_or_unknown").inc()
    return Twiml(_EMPTY)


@router.post(
    "/status",
    status_code=204,
    summary="What became of a text",
    openapi_extra=form(MessageSid="SM00", MessageStatus="delivered"),
)
async def status(request: Request, services: Wired, touch: TouchId = "") -> Response:
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        return await take(services, parse_message_status(touch, form))
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)


async def take(services: Services, update: TouchUpdate | None) -> Response:
    if update is not None:
        await take_in(services, PROVIDER, update)
    else:
        services.meters.webhooks.labels(PROVIDER, "of_no_interest").inc()
    return Response(status_code=204)
