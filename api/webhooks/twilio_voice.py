"""Twilio's requests about calls: click-to-call, first at the coordinator's line, then at the lead's."""

from fastapi import APIRouter, Request, Response

from api.services import Services, Wired
from api.webhooks.described import TWIML, form
from api.webhooks.refusal import refused, unreadable
from api.webhooks.twilio import PROVIDER, TouchId, Twiml, signed, take
from channels.inbound_twilio import parse_call_status, parse_desk_status, parse_dialled, parse_key, parse_machine
from channels.twilio_twiml import said
from content import spoken
from domain.errors import InvalidInput
from store.click_to_call import Connected

router = APIRouter(prefix="/webhooks/twilio/voice", tags=["webhooks of providers"])


@router.post(
    "/desk",
    summary="What the coordinator hears first",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(CallSid="CA00", CallStatus="in-progress"),
)
async def desk(request: Request, services: Wired, touch: TouchId = "") -> Response:
    """Asks for one key. Nothing of the lead is said: nobody knows yet who picked up."""
    if await signed(request, services) is None:
        return refused(services, PROVIDER)
    _count(services, "taken")
    return Twiml(services.calls.whisper(touch, spoken.whisper(services.organization), spoken.NO_KEY))


@router.post(
    "/desk/key",
    summary="The key that the coordinator pressed",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(CallSid="CA00", Digits="1"),
)
async def key(request: Request, services: Wired, touch: TouchId = "") -> Response:
    """With 1 the gate is asked, and the answer dials the lead. The same request repeated gets the same answer."""
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        leg, digits = parse_key(form)
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)
    if digits != "1":
        _count(services, "of_no_interest")
        return Twiml(said(spoken.GOODBYE))
    answer = await services.click_to_call.connect(touch, leg)
    _count(services, "taken")
    if isinstance(answer, Connected):
        return Twiml(services.calls.dial(touch, answer.number))
    return Twiml(said(spoken.not_connected(answer.rule)))


@router.post(
    "/desk/status",
    status_code=204,
    summary="How the coordinator's call ended",
    openapi_extra=form(CallSid="CA00", CallStatus="no-answer"),
)
async def desk_status(request: Request, services: Wired, touch: TouchId = "") -> Response:
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        told = parse_desk_status(touch, form)
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)
    new = told is not None and await services.click_to_call.leg_ended(told)
    _count(services, "taken" if new else "of_no_interest")
    return Response(status_code=204)


@router.post(
    "/status",
    status_code=204,
    summary="What became of the lead's call",
    openapi_extra=form(CallSid="CA01", ParentCallSid="CA00", CallStatus="completed", AnsweredBy="human"),
)
async def status(request: Request, services: Wired, touch: TouchId = "") -> Response:
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        return await take(services, parse_call_status(touch, form))
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)


@router.post(
    "/machine",
    status_code=204,
    summary="Whether a machine picked up the lead's phone",
    openapi_extra=form(CallSid="CA01", AnsweredBy="machine_start"),
)
async def machine(request: Request, services: Wired, touch: TouchId = "") -> Response:
    """Told while the call goes on. It is kept, and decides when the call has ended."""
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        told = parse_machine(touch, form)
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)
    new = told is not None and await services.news.heard_machine(told)
    _count(services, "taken" if new else "of_no_interest")
    return Response(status_code=204)


@router.post(
    "/dialled",
    summary="What the coordinator hears when the lead's call is over",
    response_class=Twiml,
    responses=TWIML,
    openapi_extra=form(CallSid="CA00", DialCallSid="CA01", DialCallStatus="no-answer"),
)
async def dialled(request: Request, services: Wired, touch: TouchId = "") -> Response:
    form = await signed(request, services)
    if form is None:
        return refused(services, PROVIDER)
    try:
        told = parse_dialled(touch, form)
    except InvalidInput as error:
        return unreadable(services, PROVIDER, error)
    await take(services, told)
    return Twiml(said(spoken.ended(told.disposition) if told is not None and told.disposition else None))


def _count(services: Services, result: str) -> None:
    services.meters.webhooks.labels(PROVIDER, result).inc()
