"""Signed requests to the product, as the providers make them. Nothing is retried here."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twilio.request_validator import RequestValidator
from yarl import URL

# Twilio's own defaults: 5 s to connect, 15 s to answer
TIMES = aiohttp.ClientTimeout(total=30, connect=None, sock_connect=5, sock_read=15)


class NotReached(Exception):
    """The connection could not be made, broke, or brought no answer in time. The text holds no address."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What the fragment of an address asks for: how often `again`, and whether after a 5xx too. By default once."""

    again: int = 1
    errors: bool = False

    @classmethod
    def of(cls, url: str) -> "Tries":
        asked = dict(parse_qsl(urlsplit(url).fragment))
        again = asked.get("rc", "1")
        kinds = asked.get("rp", "ct").split(",")
        return cls(min(5, int(again)) if again.isdecimal() else 1, "5xx" in kinds or "all" in kinds)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. `url` is where the answer finally came from (after redirects)."""

    status: int
    body: str = field(repr=False)
    url: str = field(default="", repr=False)


class Http:
    """One client for all that goes out. Proxies of the environment are not used: everything is close by."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=TIMES, connector=aiohttp.TCPConnector(limit=100), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        redirects: bool = False,
    ) -> Answer:
        """One request, its address sent byte for byte as given. Raises NotReached."""
        if self._session is None:
            raise NotReached("the carrier is stopping")
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=data, headers=headers, allow_redirects=redirects
            ) as answer:
                body = await answer.text(errors="replace")
                return Answer(answer.status, body, str(answer.url))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotReached(type(error).__name__) from None


class Webhooks:
    """Signs as Twilio (X-Twilio-Signature) and as SendGrid (ECDSA over timestamp and body)."""

    def __init__(self, http: Http, auth_token: str, sendgrid_key: ec.EllipticCurvePrivateKey) -> None:
        self._http = http
        self._validator = RequestValidator(auth_token)
        self._key = sendgrid_key

    async def twilio(self, url: str, params: dict[str, str], *, token: str = "") -> Answer:
        """A form POST. `token` stays the same over retries. Raises NotReached."""
        target = urlunsplit(
            urlsplit(url)._replace(fragment="")
        )  # a fragment holds settings, is neither sent nor signed
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": self._validator.compute_signature(target, params),
            "I-Twilio-Idempotency-Token": token or uuid4().hex,
            "User-Agent": "TwilioProxy/1.1",
        }
        return await self._http.ask("POST", target, data=urlencode(params).encode(), headers=headers)

    async def sendgrid(self, url: str, events: list[dict[str, Any]]) -> Answer:
        """A JSON array of events. Raises NotReached."""
        body = json.dumps(events, ensure_ascii=False).encode()
        stamp = str(int(time.time()))
        signature = self._key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "User-Agent": "SendGrid Event API",
        }
        return await self._http.ask("POST", url, data=body, headers=headers)
