"""The carrier's own endpoints under `/_sandbox`: what arrived, who answers, what goes wrong."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.book import Sent
from sandbox.carrier import carrier_of
from sandbox.cast import PERSONAS
from sandbox.faults import FaultRules
from sandbox.times import iso
from sandbox.webhooks import NotReached

Model = TypeVar("Model", bound=BaseModel)
Phone = Annotated[str, Field(pattern=r"^\+[1-9]\d{6,14}$")]
MOST = 1000


class Problem(Exception):
    """A refusal as application/problem+json."""

    def __init__(self, status: int, title: str, detail: str, field: str | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.field = field


async def on_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    body = {"type": "about:blank", "title": error.title, "status": error.status, "detail": error.detail}
    if error.field:
        body["field"] = error.field
    return JSONResponse(body, status_code=error.status, media_type="application/problem+json")


class InboundMessage(BaseModel):
    """A lead's reply, or a lead's call."""

    model_config = ConfigDict(extra="forbid")

    channel: Literal["sms", "voice"]
    from_: Annotated[Phone, Field(alias="from")]
    to: Phone | None = None
    body: str = ""
    subject: str | None = None  # of an e-mail, which is not imitated yet

    @field_validator("body")
    @classmethod
    def _can_be_sent(cls, body: str) -> str:
        body.encode()  # half of a surrogate pair is no text; UnicodeEncodeError is a ValueError
        return body


class PersonaChoice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: Phone
    persona: str


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body() or b"{}")
    except ValueError:
        raise Problem(422, "Invalid body", "the body must be a JSON object") from None


def _read(model: type[Model], value: Any) -> Model:
    """Raises Problem 422 that names the field; the value itself is not repeated."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "extra_forbidden":
            known = ", ".join(info.alias or name for name, info in model.model_fields.items())
            raise Problem(422, "Unknown field", f"{field} is not supported; known are {known}", field) from None
        raise Problem(422, "Invalid value", f"{field or 'body'}: {first['msg']}", field) from None


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    value = request.query_params.get(name)
    try:
        number = default if value in {None, ""} else int(str(value))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise Problem(422, "Invalid value", f"{name} must be a whole number from {least} to {most}", name)
    return number


def _utc(at: datetime) -> str:
    try:
        return iso(at.replace(tzinfo=at.tzinfo or UTC))
    except OverflowError:
        raise Problem(422, "Invalid value", "since lies outside the years 1 to 9999", "since") from None


def _cursor(request: Request) -> int:
    return _number(request, "cursor", 0, 0, 2**62)


def _paged(items: list[dict[str, Any]], cursor: int | None) -> Response:
    return JSONResponse({"items": items, "next_cursor": None if cursor is None else str(cursor)})


async def outbox(request: Request) -> Response:
    """What reached the carrier, oldest first."""
    query = request.query_params
    to, channel, since = query.get("to") or None, query.get("channel") or None, query.get("since") or None
    if channel is not None and channel not in {"sms", "voice", "email"}:
        raise Problem(422, "Invalid value", "channel must be sms, voice or email", "channel")
    if to is not None and to.startswith(" "):
        to = "+" + to.strip()  # a plus sign that was not escaped
    if since is not None:
        try:
            at = datetime.fromisoformat(since.replace(" ", "+") if "T" in since else since)
        except ValueError:
            raise Problem(422, "Invalid value", "since must be an ISO 8601 time", "since") from None
        since = _utc(at)
    limit = _number(request, "limit", 100, 1, MOST)
    rows, cursor = carrier_of(request).book.outbox(
        to=to, channel=channel, since=since, after=_cursor(request), limit=limit
    )
    return _paged([row.row() for row in rows], cursor)


async def clear_outbox(request: Request) -> Response:
    carrier_of(request).book.clear_outbox()
    return Response(status_code=204)


async def inbound(request: Request) -> Response:
    """What leads sent, oldest first, with the product's answer."""
    limit = _number(request, "limit", 100, 1, MOST)
    rows, cursor = carrier_of(request).book.inbound(_cursor(request), limit)
    return _paged([_came_in(row) for row in rows], cursor)


def _came_in(row: Sent) -> dict[str, Any]:
    shown = {"id": row.id, "channel": row.channel, "from": row.sender, "to": row.to, **row.content, "at": row.at}
    return {**shown, "status": row.state.get("answer_status"), "answer": row.state.get("answer")}


async def play_inbound(request: Request) -> Response:
    """Plays a lead's text or call; answers with what the product answered."""
    value = await _json(request)
    if isinstance(value, dict) and value.get("channel") == "email":
        raise Problem(422, "Not supported", "inbound e-mail is not imitated yet; use channel sms", "channel")
    message = _read(InboundMessage, value)
    if message.channel == "sms" and not message.body:
        raise Problem(422, "Invalid value", "body: a text needs one", "body")
    play = carrier_of(request).inbound
    try:
        if message.channel == "sms":
            answer = await play.text(message.from_, message.to, message.body)
        else:
            answer = await play.call(message.from_, message.to)
    except NotReached as error:
        raise Problem(502, "Not reached", f"the product did not answer: {error}") from None
    return JSONResponse({"status": answer.status, "body": answer.body})


async def faults(request: Request) -> Response:
    """The rules in force, as they were given; an empty object for none."""
    rules = carrier_of(request).faults.rules
    return JSONResponse({} if rules is None else rules.shown())


async def set_faults(request: Request) -> Response:
    """Replaces the faults; the random source starts anew from its seed."""
    rules = _read(FaultRules, await _json(request))
    carrier_of(request).faults.set(rules)
    return JSONResponse(rules.shown())


async def clear_faults(request: Request) -> Response:
    carrier_of(request).faults.clear()
    return Response(status_code=204)


async def personas(request: Request) -> Response:
    return _paged([dict(row) for row in carrier_of(request).memory.personas()], None)


async def set_persona(request: Request) -> Response:
    carrier = carrier_of(request)
    choice = _read(PersonaChoice, await _json(request))
    persona = PERSONAS.get(choice.persona)
    if persona is None:
        raise Problem(422, "Unknown persona", f"persona must be one of {', '.join(PERSONAS)}", "persona")
    if persona.needs_api and not carrier.config.has_api:
        detail = f"{choice.persona} talks to the API: start the carrier with --api and --staff-key-file"
        raise Problem(422, "Persona not possible", detail, "persona")
    carrier.memory.set_persona(choice.to, choice.persona, in_turn=False)
    return JSONResponse({"to": choice.to, "persona": choice.persona})


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


routes = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/_sandbox/outbox", outbox, methods=["GET"]),
    Route("/_sandbox/outbox", clear_outbox, methods=["DELETE"]),
    Route("/_sandbox/inbound", inbound, methods=["GET"]),
    Route("/_sandbox/inbound", play_inbound, methods=["POST"]),
    Route("/_sandbox/faults", faults, methods=["GET"]),
    Route("/_sandbox/faults", set_faults, methods=["POST"]),
    Route("/_sandbox/faults", clear_faults, methods=["DELETE"]),
    Route("/_sandbox/personas", personas, methods=["GET"]),
    Route("/_sandbox/personas", set_persona, methods=["POST"]),
]
