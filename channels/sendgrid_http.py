"""How a mail travels to SendGrid: the SDK's transport without redirects, and with a time of its own to connect.

The SDK posts by urllib, from a thread that nobody can stop. So each mail has a `Turn`: the thread takes it when it is
connected and about to write, the caller takes it away when time is up. Whoever is first decides whether it leaves.
"""

import http.client
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from python_http_client.client import Client

from channels.errors import CONNECT_WITHIN

_LEAST = 0.001  # seconds; zero would make a socket that does not wait at all


class NotConnected(OSError):
    """No connection came about in time: not one byte of the mail was written."""


class Turn:
    """One mail's right to be written, for `limit` real seconds from now.

    `begin` is asked last, with the seconds that are left; what it raises means that nothing is written. While it is
    asked nothing is, so until its answer the turn can be taken away.
    """

    def __init__(self, limit: float, begin: Callable[[float], None] | None = None) -> None:
        self._until = monotonic() + limit
        self._begin = begin
        self._taken = threading.Lock()

    def left(self) -> float:
        return self._until - monotonic()

    def take(self) -> bool:
        """By the thread. False if it is too late to write."""
        if self.left() <= 0 or self._taken.locked():
            return False
        if self._begin is not None:
            self._begin(self.left())
        return self.left() > 0 and self._taken.acquire(blocking=False)

    def take_away(self) -> bool:
        """By the caller. True if nothing was written, nor will be."""
        return self._taken.acquire(blocking=False)


class MailClient(Client):  # type: ignore[misc]  # the SDK carries no types
    """The SDK's transport. `handlers` are those of one mail."""

    handlers: tuple[urllib.request.BaseHandler, ...] = ()

    def _build_client(self, name: str | None = None) -> "MailClient":
        # the parent's makes its own class, which would lose ours at the first segment of the path
        made = type(self)(
            host=self.host,
            version=self._version,
            request_headers=dict(self.request_headers),
            url_path=[*self._url_path, name] if name else self._url_path,
            append_slash=self.append_slash,
            timeout=self.timeout,
        )
        made.handlers = self.handlers
        return made

    def _make_request(self, _opener: object, request: urllib.request.Request, timeout: float | None = None) -> Any:
        return super()._make_request(urllib.request.build_opener(*self.handlers), request, timeout=timeout)


def handlers_for(turn: Turn, *, proxies: bool) -> tuple[urllib.request.BaseHandler, ...]:
    """`proxies`: whether those of the environment count; what goes to the sandbox stays on this network."""
    own = (_NoRedirects(), _Plain(turn), _Tls(turn))
    return own if proxies else (*own, urllib.request.ProxyHandler({}))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None  # a redirect would carry the API key elsewhere and lose the mail; it is raised as an HTTPError


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PlainConnection, self._turn), req)


class _Tls(urllib.request.HTTPSHandler):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, self._turn), req)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, turn: Turn, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = turn

    def connect(self) -> None:
        _connect(self, super().connect, self._turn)


class _TlsConnection(http.client.HTTPSConnection):
    def __init__(self, turn: Turn, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = turn

    def connect(self) -> None:
        _connect(self, super().connect, self._turn)


def _connect(connection: http.client.HTTPConnection, connect: Callable[[], None], turn: Turn) -> None:
    """TCP, a proxy's tunnel and TLS: all of it comes before the first byte of the mail. Raises NotConnected."""
    connection.timeout = max(_LEAST, min(CONNECT_WITHIN, turn.left()))
    try:
        connect()
    except (OSError, http.client.HTTPException):
        raise NotConnected from None
    if not turn.take():
        raise NotConnected
    connection.sock.settimeout(max(_LEAST, turn.left()))
