"""The twilio SDK in its async form, with what it lacks: a total time limit, one session, no retries, our errors."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from channels.base_url import sandbox_base
from channels.errors import CONNECT_WITHIN, clean_code, twilio_error, unknown, unreachable
from domain.ports import Begin, ChannelError, OutcomeUnknown, Unavailable

T = TypeVar("T")

# A connection idle for longer is not used again: a server that closes it just then would leave us with an outcome
# that nobody knows.
KEEP_ALIVE = 4.0

for _name in ("twilio.http_client", "twilio.async_http_client"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # at INFO the SDK writes numbers into the log


class TwilioClient:
    """One account at Twilio. Use `api` for the SDK's resources, inside `send` or `look`.

    `base_url` points it at the sandbox carrier (loopback or private addresses only, else ValueError); proxy variables
    of the environment count only without it. Lives on one event loop; close it with `aclose`.
    """

    def __init__(self, account_sid: str, auth_token: str, base_url: str | None = None) -> None:
        if not account_sid or not auth_token:
            raise ValueError("Twilio needs an account SID and an auth token")
        self._http = _Http(sandbox_base(base_url) if base_url else None)
        # An environment of its own: the SDK would read TWILIO_REGION and TWILIO_EDGE behind our back.
        self.api: Any = Client(account_sid, auth_token, http_client=self._http, environment={"TWILIO_EDGE": ""})
        # The SDK imports its resources at first use: better now than with the first text.
        _ = self.api.messages, self.api.calls

    async def send(self, request: Awaitable[T], limit: float, begin: Begin | None = None) -> T:
        """Awaits a request that makes something, at most `limit` real seconds.

        Raises Unavailable, Rejected, OutcomeUnknown. It is posted once or not at all, never twice; and not after
        `limit`, should this process have been frozen before it wrote.
        """
        turn = _Turn(time.monotonic() + limit, begin)
        _turn.set(turn)
        try:
            async with asyncio.timeout(limit):
                return await request
        except TimeoutError:
            if not turn.begun:
                late = "its claim was not used" if turn.connected else "no connection"
                raise Unavailable(f"Twilio: {late} in time, nothing was sent") from None
            raise unknown("Twilio", f"no answer within {limit:g} s") from None
        except (TwilioException, ValueError, TypeError, KeyError, AttributeError):
            # what the SDK makes of an answer that is not the JSON it expects
            raise unknown("Twilio", "its answer cannot be read") from None

    async def look(self, request: Awaitable[T], limit: float) -> T:
        """Awaits a request that only reads. Whatever goes wrong is OutcomeUnknown: not having seen proves nothing."""
        try:
            return await self.send(request, limit)
        except OutcomeUnknown:
            raise
        except ChannelError as error:
            raise OutcomeUnknown(f"could not look: {error.reason}", error.code) from None

    async def aclose(self) -> None:
        await self._http.close()


@dataclass
class _Turn:
    """A request's right to be written, until then on the monotonic clock, which goes on while we are frozen."""

    until: float
    begin: Begin | None
    connected: bool = False
    begun: bool = False

    async def take(self) -> None:
        """With the connection in hand, right before the first byte. What it raises means: nothing was sent."""
        self.connected = True
        if self.begin is not None:
            await self.begin()
        if time.monotonic() >= self.until:
            raise Unavailable("the time for the request had passed before it was written")
        self.begun = True


_turn: ContextVar[_Turn] = ContextVar("turn")


class _Connector(aiohttp.TCPConnector):
    """Hands out a connection, new or kept, once the request's turn was taken; if it may not be written, closes it."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        try:
            # only the connection: how long the turn takes is the database's time, not the carrier's
            async with asyncio.timeout(CONNECT_WITHIN):
                connection = await super().connect(req, traces, timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        try:
            await _turn.get().take()
        except BaseException:
            connection.close()
            raise
        return connection


class _Http(AsyncTwilioHttpClient):  # type: ignore[misc]  # the SDK carries no types
    def __init__(self, base: str | None) -> None:
        # no pool of the parent's: it would make its session before there is a loop; no retries: it repeats POSTs
        super().__init__(pool_connections=False, max_retries=None)
        self._base = base
        self._session: aiohttp.ClientSession | None = None

    async def request(  # noqa: PLR0917  # the SDK's signature
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002
        allow_redirects: bool = False,  # noqa: ARG002
    ) -> Response:
        """One request, one attempt. Answers outside 2xx are raised here, where their headers are still known.

        `timeout` and `allow_redirects` are the SDK's and not obeyed: the limit is TwilioClient's, redirects never.
        """
        headers = dict(headers or {})
        if auth is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(*auth)
        try:
            async with self._open().request(
                method.upper(),
                self._target(url),
                params=params or None,  # type: ignore[arg-type]  # str and int values, as the SDK fills them in
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError):
            raise unreachable("Twilio") from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise unknown("Twilio", "the connection was cut") from None
        if not 200 <= answer.status < 300:
            raise twilio_error(answer.status, _code(text), _seconds(answer.headers.get("Retry-After")))
        return Response(answer.status, text, answer.headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(keepalive_timeout=KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._base is None,
            )
        return self._session

    def _target(self, url: str) -> str:
        if self._base is None:
            return url
        parts = urlsplit(url)
        return self._base + parts.path + (f"?{parts.query}" if parts.query else "")


def _code(text: str) -> str | None:
    try:
        return clean_code(json.loads(text)["code"])
    except (ValueError, TypeError, KeyError):
        return None


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None  # an HTTP date; the usual pause will do
