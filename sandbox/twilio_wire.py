"""How Twilio speaks: sign-in, errors and forms of its REST API."""

import base64
import binascii
import hmac
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.config import SandboxConfig
from sandbox.faults import Failure

E164 = re.compile(r"\+[1-9]\d{6,14}")
SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|[A-Za-z0-9 ]{1,11}")
REFUSED = {
    "+15005550001": (21211, "Invalid 'To' Phone Number: +15005550001"),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable using the 'From' phone number"),
    "+15005550003": (21408, "Permission to send has not been enabled for the region indicated by the 'To' number"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


class TwilioError(Exception):
    """An answer that refuses. `code` is Twilio's, `status` HTTP's."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


async def on_twilio_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, TwilioError):
        raise error
    return error_answer(error.code, error.message, error.status)


def error_answer(code: int, message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    if status == 401:
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'}
    return JSONResponse(
        {"code": code, "message": message, "more_info": more, "status": status}, status_code=status, headers=headers
    )


def fault_answer(failure: Failure) -> Response:
    """The answer that a fault asks for."""
    status = failure.status
    code = failure.code or {429: 20429, 503: 20503}.get(status, 20500)
    text = "Too Many Requests" if status == 429 else "An internal server error has occurred"
    wait = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    return error_answer(code, text, status, wait)


def check_access(request: Request, config: SandboxConfig) -> None:
    """Raises TwilioError 20003 for a wrong account or token, 20404 for an account that is not ours."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = password = ""
    good = hmac.compare_digest(user.encode(), config.account_sid.encode())
    good &= hmac.compare_digest(password.encode(), config.auth_token.encode())
    if scheme.lower() != "basic" or not good:
        raise TwilioError(20003, "Authenticate", 401)
    if request.path_params["account"] != config.account_sid:
        raise not_found(request)


def not_found(request: Request) -> TwilioError:
    return TwilioError(20404, f"The requested resource {request.url.path} was not found", 404)


def shown_headers(request: Request) -> dict[str, Any]:
    """The request's headers without what proves who sent it."""
    return {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}


class Form:
    """A form as it came: `one` value of a name, or `all`."""

    def __init__(self, body: str) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(body, keep_blank_values=True):
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        return self._values.get(name, [""])[-1] or None

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def plain(self) -> dict[str, str | list[str]]:
        """For the outbox: a list only where a name came more than once."""
        return {name: values[0] if len(values) == 1 else values for name, values in self._values.items()}


def touch_of(*urls: str | None) -> str | None:
    """The sender's own id, as found in the query of a callback address."""
    for url in urls:
        query = parse_qs(urlsplit(url or "").query)
        for name in ("touch", "touch_id"):
            if query.get(name):
                return query[name][0]
    return None


def check_url(url: str | None, code: int, name: str) -> None:
    """Raises TwilioError for an address that is not http(s)."""
    if url is not None:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            valid = False
        if not valid:
            raise TwilioError(
                code, f"{name} is not a valid URL: it must begin with http:// or https:// and name a host"
            )
