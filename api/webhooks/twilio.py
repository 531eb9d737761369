"""Twilio's callbacks."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData

from api.services import Services, Wired
from api.webhooks.described import TWIML, form
from api.webhooks.refusal import refused, unreadable
from channels.inbound_twilio import parse_call_status, parse_message_status, parse_sms
from channels.twilio_voice import answer_twiml
from domain.errors import InvalidInput
from domain.ports import TouchUpdate

router = APIRouter(prefix="/webhooks/twilio", tags=["webhooks of providers"])
_EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
_PROVIDER = "twilio"


class Twiml(Response):
    media_type = "text/xml"


async def _form(request: Request, services: Services) -> FormData | None:
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


Touch = Annotated[str, Query(examples=["9a5b7f0e-2c65-5b0e-9c3b-7a4f1f2f9f55"], description="As we asked for it.")]


@router.post(
    "/sms",
    summary="A text of somebody",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(MessageSid="SM00", From="+12125550142", To="+15005550006", Body="Please tell me more"),
)
async def sms(request: Request, services: Wired) -> Response:
    """A text of somebody. Never answered here: whatever goes out goes through the gate."""
    form = await _form(request, services)
    if form is None:
        return refused(services, _PROVIDER)
    try:
        inbound = parse_sms(form)
    except InvalidInput as error:
        return unreadable(services, _PROVIDER, error)
    new = await services.inbound.reply(inbound)
    services.meters.webhooks.labels(_PROVIDER, "taken" if new else "repeated_or_unknown").inc()
    return Twiml(_EMPTY)


@router.post(
    "/status",
    status_code=204,
    summary="What became of a text",
    openapi_extra=form(MessageSid="SM00", MessageStatus="delivered"),
)
async def status(request: Request, services: Wired, touch: Touch = "") -> Response:
    form = await _form(request, services)
    if form is None:
        return refused(services, _PROVIDER)
    try:
        return await _take(services, parse_message_status(touch, form))
    except InvalidInput as error:
        return unreadable(services, _PROVIDER, error)


@router.post(
    "/voice/status",
    status_code=204,
    summary="How a call ended",
    openapi_extra=form(CallSid="CA00", CallStatus="completed", AnsweredBy="human"),
)
async def voice_status(request: Request, services: Wired, touch: Touch = "") -> Response:
    form = await _form(request, services)
    if form is None:
        return refused(services, _PROVIDER)
    try:
        return await _take(services, parse_call_status(touch, form))
    except InvalidInput as error:
        return unreadable(services, _PROVIDER, error)


@router.post(
    "/voice/answer",
    summary="What an answered call hears",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(CallSid="CA00", CallStatus="in-progress", AnsweredBy="human"),
)
async def voice_answer(request: Request, services: Wired) -> Response:
    """What is said when somebody answers a call of ours."""
    form = await _form(request, services)
    if form is None:
        return refused(services, _PROVIDER)
    services.meters.webhooks.labels(_PROVIDER, "taken").inc()
    answered_by = form.get("AnsweredBy")
    return Twiml(answer_twiml(services.organization, answered_by if isinstance(answered_by, str) else None))


async def _take(services: Services, update: TouchUpdate | None) -> Response:
    result = "of_no_interest"
    if update is not None:
        result = "taken" if await services.inbound.update(_PROVIDER, update) else "repeated_or_unknown"
    services.meters.webhooks.labels(_PROVIDER, result).inc()
    return Response(status_code=204)
