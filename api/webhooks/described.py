"""How the OpenAPI document describes what providers send: as they send it, with an example."""

from typing import Any

TWIML: dict[int | str, dict[str, Any]] = {
    200: {"description": "TwiML", "content": {"text/xml": {"schema": {"type": "string"}, "example": "<Response/>"}}}
}


def form(**example: str) -> dict[str, Any]:
    """A form, signed in `X-Twilio-Signature`."""
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return _body("application/x-www-form-urlencoded", schema, example)


def events(**example: Any) -> dict[str, Any]:
    """An array of events, signed in `X-Twilio-Email-Event-Webhook-Signature`."""
    schema = {"type": "array", "items": {"type": "object"}}
    return _body("application/json", schema, [example])


def _body(kind: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema, "example": example}}}}
