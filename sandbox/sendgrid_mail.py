"""SendGrid's mail/send, and what becomes of a mail."""

import base64
import hmac
import json
import math
import os
import secrets
import time
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.book import Sent, Step
from sandbox.carrier import carrier_of
from sandbox.config import SandboxConfig
from sandbox.faults import Failure, Fate
from sandbox.intake import Order, Taken, settle
from sandbox.times import iso
from sandbox.twilio_wire import shown_headers

Json = dict[str, Any]


class MailError(Exception):
    """A refusal in SendGrid's shape."""

    def __init__(self, message: str, field: str | None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status


async def on_mail_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, MailError):
        raise error
    return error_answer(error.message, error.field, error.status)


def error_answer(message: str, field: str | None, status: int) -> Response:
    return JSONResponse({"errors": [{"message": message, "field": field, "help": None}]}, status_code=status)


async def send(request: Request) -> Response:
    carrier = carrier_of(request)
    expected = f"Bearer {carrier.config.sendgrid_api_key}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode()):
        raise MailError("The provided authorization grant is invalid, expired, or revoked", None, 401)
    try:
        mail = _validated(await request.body())
    except (TypeError, AttributeError):
        raise MailError("Bad Request: of the wrong type", None) from None
    _check_shapes(mail)
    if (mail.get("mail_settings") or {}).get("sandbox_mode", {}).get("enable"):
        return Response(status_code=200)  # validated, not sent, no events: as SendGrid's own sandbox mode
    recipients = [to["email"] for part in mail["personalizations"] for to in part["to"]]
    return await settle(
        carrier.intake,
        request,
        Order("email", shown_headers(request), json.dumps(mail)),
        carrier.faults.judge("email", recipients),
        taken=lambda taken: Response(status_code=202, headers={"X-Message-Id": taken.sent[0].id}),
        failed=fault_answer,
    )


def fault_answer(failure: Failure) -> Response:
    """The answer that a fault asks for. SendGrid tells by X-RateLimit-Reset (epoch seconds) when to come again."""
    text = "too many requests" if failure.status == 429 else "an internal error has occurred"
    answer = error_answer(text, None, failure.status)
    if failure.retry_after is not None:
        answer.headers["Retry-After"] = str(failure.retry_after)
        answer.headers["X-RateLimit-Remaining"] = "0"
        answer.headers["X-RateLimit-Reset"] = str(math.ceil(time.time()) + failure.retry_after)
    return answer


def make(config: SandboxConfig, order: Order, fate: Fate, at: datetime) -> Taken:
    """The mails that an order becomes, one for each recipient, and their events to come."""
    mail = json.loads(order.body)
    message_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    sent = _kept(order, mail, message_id, iso(at))
    steps = [
        step
        for n, one in enumerate(sent)
        for step in fate.part(str(n)).spread(_course(config, one, mail, message_id, fate.refused))
    ]
    return Taken(sent, steps)


class _Shape(BaseModel):
    """Of what is read beside the parts that have errors of their own."""

    class Settings(BaseModel):
        class Switch(BaseModel):
            enable: bool = False

        sandbox_mode: Switch = Switch()

    class Part(BaseModel):
        headers: dict[str, str] | None = None

    class Piece(BaseModel):
        type: str

    mail_settings: Settings | None = None
    categories: list[str] | None = None
    headers: dict[str, str] | None = None
    personalizations: list[Part]
    content: list[Piece]


def _check_shapes(mail: Json) -> None:
    """Raises MailError for what is of another kind than SendGrid takes, or holds half a character."""
    try:
        _Shape.model_validate(mail)
        json.dumps(mail, ensure_ascii=False).encode()
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise MailError("Bad Request: of the wrong type", field) from None
    except UnicodeEncodeError:
        raise MailError("Bad Request: not a valid text", None) from None


def _validated(body: bytes) -> Json:
    """The mail, if it has the least that SendGrid asks for. Raises MailError."""
    try:
        mail = json.loads(body)
    except (ValueError, RecursionError):
        raise MailError("Bad Request: the body is not valid JSON", None) from None
    if not isinstance(mail, dict):
        raise MailError("Bad Request: the body must be an object", None)
    _check_personalizations(mail)
    _check_address(mail.get("from"), "from.email")
    _check_custom_args(mail, "custom_args")
    content = mail.get("content")
    if not isinstance(content, list) or not content:
        raise MailError("Unless a valid template_id is provided, the content parameter is required", "content")
    for i, piece in enumerate(content):
        if not isinstance(piece, dict) or not piece.get("type") or not isinstance(piece.get("value"), str):
            raise MailError("The content needs a type and a value", f"content.{i}")
        if not piece["value"]:
            raise MailError("The content value must be a string at least one character in length", f"content.{i}.value")
    kinds = [piece["type"] for piece in content]
    if "text/plain" in kinds and kinds[0] != "text/plain":
        raise MailError("If present, text/plain must be first, followed by text/html, followed by any other", "content")
    if len(mail.get("categories") or []) > 10:
        raise MailError("There is a limit of 10 categories", "categories")
    return mail


def _check_personalizations(mail: Json) -> None:
    parts = mail.get("personalizations")
    if not isinstance(parts, list) or not 0 < len(parts) <= 1000:
        raise MailError(
            "The personalizations field is required and must have at least one personalization", "personalizations"
        )
    for i, part in enumerate(parts):
        at = f"personalizations.{i}"
        to = part.get("to") if isinstance(part, dict) else None
        if not isinstance(to, list) or not to:
            raise MailError(
                "The to array is required for all personalization objects, and must have at least one email object",
                f"{at}.to",
            )
        for n, address in enumerate(to):
            _check_address(address, f"{at}.to.{n}.email")
        _check_custom_args(part, f"{at}.custom_args")
        if not (part.get("subject") or mail.get("subject")):
            raise MailError(
                "The subject is required. You can get around this requirement if you use a template", "subject"
            )


def _check_address(address: Any, field: str) -> None:
    email = address.get("email") if isinstance(address, dict) else None
    if not isinstance(email, str) or not email:
        raise MailError("The email is required and must be a string", field)
    local, at, domain = email.rpartition("@")
    if not (local and at and "." in domain) or any(letter.isspace() for letter in email):
        raise MailError("Does not contain a valid address", field)


def _check_custom_args(holder: Json, field: str) -> None:
    args = holder.get("custom_args") or {}
    if not isinstance(args, dict) or not all(isinstance(value, str) for value in args.values()):
        raise MailError("Custom args must be an object whose values are strings", field)


def _custom_args(mail: Json, part: Json) -> Json:
    return {**(mail.get("custom_args") or {}), **(part.get("custom_args") or {})}


def _kept(order: Order, mail: Json, message_id: str, at: str) -> list[Sent]:
    """One row for each recipient. `headers` are the request's and, in their own spelling, the mail's."""
    content = {piece["type"]: piece["value"] for piece in mail["content"]}
    rows: list[Sent] = []
    for part in mail["personalizations"]:
        for to in part["to"]:
            args = _custom_args(mail, part)
            rows.append(
                Sent(
                    id=message_id if not rows else f"{message_id}.{len(rows)}",
                    channel="email",
                    to=to["email"],
                    sender=mail["from"]["email"],
                    at=at,
                    touch_id=args.get("touch_id") or args.get("touch"),
                    content={
                        "subject": part.get("subject") or mail["subject"],
                        "text": content.get("text/plain"),
                        "html": content.get("text/html"),
                    },
                    headers={
                        **order.headers,
                        **(mail.get("headers") or {}),
                        **(part.get("headers") or {}),
                    },
                    request=mail,
                    status="processed",
                    state={"updated_at": at, "args": args},
                )
            )
    return rows


def _course(config: SandboxConfig, sent: Sent, mail: Json, message_id: str, refused: bool) -> list[Step]:
    """The events to come. What SendGrid has within one moment comes in one array."""
    local = sent.to.rpartition("@")[0].lower()
    now = time.time()
    common = {
        "email": sent.to,
        "timestamp": int(now),
        "smtp-id": f"<{message_id}@sandbox.example.com>",
        "sg_message_id": f"{message_id}.recvd-{secrets.token_hex(5)}-1-{secrets.token_hex(4).upper()}-0.0",
        **({"category": mail["categories"]} if mail.get("categories") else {}),
        **sent.state["args"],
    }

    def event(name: str, **more: Any) -> Json:
        return {
            **common,
            "event": name,
            "sg_event_id": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
            **more,
        }

    batches = [[event("processed")]]
    if "+dropped" in local:
        batches = [[event("dropped", reason="Bounced Address", status="5.0.0")]]
    elif local == "bounce" or "+bounce" in local or refused:
        batches[0].append(event("bounce", type="bounce", status="5.1.1", reason="550 5.1.1 No such mailbox"))
    elif "+blocked" in local:
        batches[0].append(event("bounce", type="blocked", status="5.7.1", reason="554 5.7.1 Rejected by policy"))
    else:
        batches[0].append(event("delivered", response="250 OK"))
        if "+spam" in local:
            batches.append([event("spamreport")])
    url, after = config.email_events_url, config.delivered_after
    return [
        Step(now + after * (n + 1), "sendgrid", batch, url, sent.id, str(batch[-1]["event"]))
        for n, batch in enumerate(batches)
    ]


routes = [Route("/v3/mail/send", send, methods=["POST"])]
