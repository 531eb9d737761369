"""SendGrid's event webhook."""

from fastapi import APIRouter, Request, Response

from api.services import Wired
from api.webhooks.refusal import refused, unreadable
from channels.inbound_sendgrid import parse
from domain.errors import InvalidInput

router = APIRouter(prefix="/webhooks/sendgrid", tags=["webhooks"], include_in_schema=False)
_PROVIDER = "sendgrid"


@router.post("/events")
async def events(request: Request, services: Wired) -> Response:
    """Events come in batches; each is stored once, so a batch that broke off may be sent again."""
    raw = await request.body()
    signature = request.headers.get("x-twilio-email-event-webhook-signature")
    timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp")
    if services.sendgrid is None or not services.sendgrid.verify(raw, signature, timestamp):
        return refused(services, _PROVIDER)
    try:
        updates = parse(raw)
    except InvalidInput as error:
        return unreadable(services, _PROVIDER, error)
    for update in updates:
        result = "taken" if await services.inbound.update(_PROVIDER, update) else "repeated_or_unknown"
        services.meters.webhooks.labels(_PROVIDER, result).inc()
    return Response(status_code=204)
