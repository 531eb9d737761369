"""SendGrid's event webhook."""

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.problems import problem
from api.services import Services, Wired
from api.webhooks import described
from api.webhooks.refusal import refused, too_old, unreadable
from api.webhooks.touch_news import take_in
from channels.inbound_sendgrid import fresh, parse
from domain.errors import InvalidInput
from domain.ports import NoMoreMail, TouchUpdate
from store import clocks, home
from store.engine import AWAY

router = APIRouter(prefix="/webhooks/sendgrid", tags=["webhooks of providers"])
_PROVIDER = "sendgrid"


@router.post(
    "/events",
    status_code=204,
    summary="What became of mails",
    openapi_extra=described.events(
        event="delivered", sg_event_id="ZXZlbnQ", touch_id="9a5b7f0e-2c65-5b0e-9c3b-7a4f1f2f9f55", timestamp=1767225600
    ),
)
async def events(request: Request, services: Wired) -> Response:
    """Events come in batches; each is stored once, so a batch that broke off may be sent again.

    One that cannot be understood is counted and left out: refused, it would lose the good ones beside it. Nor does
    one that fails keep the others back: each is tried, stops first, before the batch is asked for again. So is one of
    a touch that a copy of the database does not know, until it was compared: it may get to know it.
    """
    raw = await request.body()
    signature = request.headers.get("x-twilio-email-event-webhook-signature")
    timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp")
    if services.sendgrid is None or not services.sendgrid.verify(raw, signature, timestamp):
        return refused(services, _PROVIDER)
    if not fresh(timestamp, datetime.now(UTC)):
        async with services.store.engine.connect() as conn:
            now = await clocks.theirs(conn)  # ours may be wrong
        if not fresh(timestamp, now):
            return too_old(services, _PROVIDER)
    try:
        batch = parse(raw)
    except InvalidInput as error:
        return unreadable(services, _PROVIDER, error)
    services.meters.webhooks.labels(_PROVIDER, "unreadable").inc(batch.unreadable)
    failed: Exception | None = None
    known = True
    for item in sorted(batch.news, key=lambda item: not isinstance(item, NoMoreMail)):
        try:
            known = await _take(services, item) and known
        except Exception as error:
            failed = failed or error
            if isinstance(error, AWAY) and isinstance(item, TouchUpdate):
                break  # each would wait for the database in vain, and they come again
    if failed is not None:
        raise failed
    if not known:
        async with services.store.engine.connect() as conn:
            if await home.is_copy(conn):
                return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(home.Restored()))
    return Response(status_code=204)


async def _take(services: Services, item: TouchUpdate | NoMoreMail) -> bool:
    """False of a mail that is not known."""
    match item:
        case TouchUpdate():
            return await take_in(services, _PROVIDER, item)
        case NoMoreMail():
            new = await services.inbound.no_more_mail(_PROVIDER, item)
            services.meters.webhooks.labels(_PROVIDER, "taken" if new else "repeated_or_unknown").inc()
            return True
