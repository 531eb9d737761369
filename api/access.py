"""Who may do what. A route that is in neither table below is refused when the app is made."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from api.services import of
from domain.access import Actor, Role
from domain.errors import TendError
from store.keys import find_key


class Right(StrEnum):
    TAKE_IN = "take in leads"
    READ = "see leads and tasks"
    WORDS = "read what was written: messages, notes"
    BOOK = "enter bookings"
    WORK = "steer leads and work on tasks"
    CODEC = "read Temporal's payloads"
    INSPECT = "see documentation and metrics"


_ALL = frozenset(Right)
CHANGE_NOTHING: Final = frozenset({Right.READ, Right.INSPECT})
GRANTS: Final[dict[Role, frozenset[Right]]] = {
    Role.ADMIN: _ALL,
    Role.MANAGER: _ALL - {Right.CODEC},
    Role.COORDINATOR: _ALL - {Right.CODEC},
    Role.SCHEDULER: frozenset({Right.READ, Right.WORDS, Right.BOOK, Right.INSPECT}),
    Role.COMPLIANCE: frozenset({Right.READ, Right.WORDS, Right.INSPECT}),
    Role.MARKETER: frozenset({Right.READ, Right.INSPECT}),
    Role.ENGINEER: frozenset({Right.READ, Right.CODEC, Right.INSPECT}),
    Role.INTAKE: frozenset({Right.TAKE_IN}),
}

RULES: Final[dict[str, Right]] = {
    "POST /v1/leads": Right.TAKE_IN,
    "GET /v1/leads": Right.READ,
    "POST /v1/leads/search": Right.READ,
    "GET /v1/leads/{lead_id}": Right.READ,
    "GET /v1/leads/{lead_id}/timeline": Right.READ,
    "GET /v1/leads/{lead_id}/upcoming": Right.READ,
    "POST /v1/leads/{lead_id}/pause": Right.WORK,
    "POST /v1/leads/{lead_id}/resume": Right.WORK,
    "POST /v1/leads/{lead_id}/skip": Right.WORK,
    "POST /v1/leads/{lead_id}/opt-out": Right.WORK,
    "POST /v1/leads/{lead_id}/disqualify": Right.WORK,
    "POST /v1/leads/{lead_id}/enroll": Right.WORK,
    "POST /v1/leads/{lead_id}/messages": Right.WORK,
    "POST /v1/leads/{lead_id}/notes": Right.WORK,
    "POST /v1/leads/{lead_id}/assign": Right.WORK,
    "POST /v1/bookings": Right.BOOK,
    "GET /v1/tasks": Right.READ,
    "GET /v1/tasks/{task_id}": Right.READ,
    "POST /v1/tasks/{task_id}/claim": Right.WORK,
    "POST /v1/tasks/{task_id}/release": Right.WORK,
    "POST /v1/tasks/{task_id}/dial": Right.WORK,
    "POST /v1/tasks/{task_id}/complete": Right.WORK,
    # without a key in development
    "GET /openapi.json": Right.INSPECT,
    "GET /docs": Right.INSPECT,
    "GET /metrics": Right.INSPECT,
}

OPEN: Final[frozenset[str]] = frozenset(
    {
        "GET /healthz",
        "GET /readyz",
        # signed by the provider
        "POST /webhooks/twilio/sms",
        "POST /webhooks/twilio/status",
        "POST /webhooks/twilio/voice/desk",
        "POST /webhooks/twilio/voice/desk/key",
        "POST /webhooks/twilio/voice/desk/status",
        "POST /webhooks/twilio/voice/dialled",
        "POST /webhooks/twilio/voice/machine",
        "POST /webhooks/twilio/voice/status",
        "POST /webhooks/sendgrid/events",
        # the link is signed
        "GET /b/{token}",
        "POST /b/{token}",
        "GET /u/{token}",
        "POST /u/{token}",
        # ask `may_use_codec` themselves
        "POST /codec/decode",
        "POST /codec/encode",
        "OPTIONS /codec/decode",
        "OPTIONS /codec/encode",
    }
)


class NoKey(TendError):
    """No key came with the request, or none that is in use."""

    def __init__(self) -> None:
        super().__init__("send a key in use as `Authorization: Bearer <key>`")


class NotAllowed(TendError):
    """The key's role does not reach so far."""

    def __init__(self, actor: Actor, right: Right) -> None:
        super().__init__(f"the role {actor.role} may not {right}")


class GuardedRoute(APIRoute):
    """A route with an access rule. The key is asked for before the body is read; its actor is `request.state.actor`."""

    @property
    def right(self) -> Right:
        rights = {RULES[name] for name in rule_names(self)}  # KeyError: a route without a rule
        (right,) = rights
        return right


async def admit(request: Request, right: Right) -> Actor | None:
    """The actor, who has this right. None where development asks for no key. Raises NoKey, NotAllowed."""
    if right is Right.INSPECT and not of(request).production:
        return None
    actor = await actor_of(request)
    if right not in GRANTS[actor.role]:
        raise NotAllowed(actor, right)
    return actor


async def actor_of(request: Request) -> Actor:
    """Looked up for each request: a revoked key is refused from then on. Raises NoKey."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise NoKey
    store = of(request).store
    async with store.engine.begin() as conn:
        actor = await find_key(conn, store.vault, secret)
    if actor is None:
        raise NoKey
    return actor


def may(actor: Actor, right: Right) -> bool:
    return right in GRANTS[actor.role]


def rule_names(route: Route) -> list[str]:
    return [f"{method} {route.path}" for method in sorted(route.methods or ()) if method != "HEAD"]


def check_rules(routes: Iterable[BaseRoute]) -> None:
    """Raises RuntimeError for a route that nobody has thought about."""
    for route in routes:
        if not isinstance(route, Route):
            raise RuntimeError(f"{route!r}: only plain routes have access rules")  # noqa: TRY004
        for name in rule_names(route):
            if not (name in RULES if isinstance(route, GuardedRoute) else name in OPEN):
                raise RuntimeError(f"{name}: give it a rule in api/access.py")
