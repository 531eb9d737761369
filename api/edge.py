"""Around every request: a limit on its body, one log line, counts, security headers, and the answer to a bug.

Paths and query strings appear nowhere: they hold ids, tokens and what somebody searched for. Nor do the texts of
unexpected errors, which may quote a person's data: their kind and place say enough.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.meters import Meters
from api.problems import TooLarge, fault, too_large
from config.quiet_log import types_and_places

BODY_LIMIT = 1_000_000  # bytes
READ_AWAY = 16_000_000  # bytes; what is longer is cut off
READ_AWAY_WITHIN = 5.0  # real seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class ResponseCut(Exception):
    """An answer broke off after it had begun; the log has said why."""


class Edge:
    """`routes`: the app's, to name the one that a refused body was for. `secure`: people reach us by https alone."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], meters: Meters, log: Any, secure: bool) -> None:
        self._app = app
        self._routes = routes
        self._meters = meters
        self._log = log
        self._headers = _HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, request_id = time.perf_counter(), 0, secrets.token_hex(8)
        body = _Body(scope, receive)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request_id
                if not await body.read_away():
                    headers["Connection"] = "close"
            await send(message)

        try:
            if body.declared > BODY_LIMIT:
                scope["route"] = _meant(self._routes, scope)  # the router never sees it
                await too_large()(scope, receive, answer)
            else:
                await self._app(scope, body.receive, answer)
        except Exception as error:
            self._log.error("request failed", request_id=request_id, error=types_and_places(error))
            if status:
                raise ResponseCut from None
            await fault(request_id)(scope, receive, answer)
        finally:
            self._tell(scope, status, time.perf_counter() - began, request_id)

    def _tell(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._meters.requests.labels(method, route, str(status)).inc()
        self._meters.seconds.labels(method, route).observe(seconds)
        self._log.info(
            "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), request_id=request_id
        )


def _meant(routes: Sequence[BaseRoute], scope: Scope) -> BaseRoute | None:
    """The route that the router would choose: the first for path and method, else the first for the path."""
    found = [(route.matches(scope)[0], route) for route in routes]
    return next((route for wanted in (Match.FULL, Match.PARTIAL) for match, route in found if match is wanted), None)


class _Body:
    """The body of one request: what the app reads of it, and what it has left unread when it answers."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        self.declared = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        self._receive = receive
        self._held_back = headers.get("expect", "").lower() == "100-continue"  # until somebody asks for it
        self._seen, self._ended = 0, False

    async def receive(self) -> Message:
        """For the app. Raises TooLarge for a body that had not said how long it is."""
        message = await self._next()
        if message["type"] == "http.request" and self._seen > BODY_LIMIT:
            raise TooLarge
        return message

    async def read_away(self) -> bool:
        """Reads what is left, and keeps nothing of it; says whether that was all.

        Many clients send all before they listen: one whose connection is closed meanwhile never hears the answer.
        """
        if self._ended or self._held_back or self.declared > READ_AWAY:
            return self._ended
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_AWAY_WITHIN):
                while not self._ended and self._seen < READ_AWAY:
                    await self._next()
        return self._ended

    async def _next(self) -> Message:
        self._held_back = False
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)  # nor does more come after a disconnect
        return message
