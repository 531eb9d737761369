"""Mail through SendGrid: the EmailChannel of domain/ports.py.

The SDK is synchronous, so each mail is posted from a thread. SendGrid signs no BAA: nothing of a person's health may be
in a mail, and nothing but the touch's opaque id goes into its custom arguments.
"""

import asyncio
import http.client
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.error import URLError

from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import (
    ClickTracking,
    CustomArg,
    From,
    Ganalytics,
    Header,
    Mail,
    OpenTracking,
    SubscriptionTracking,
    To,
    TrackingSettings,
)

from channels.base_url import sandbox_base
from channels.errors import sendgrid_error, unknown, unreachable
from channels.sendgrid_http import MailClient, NotConnected, Turn, handlers_for
from domain.ports import Accepted, Begin, ChannelError, Email, Unavailable

SENDGRID = "https://api.sendgrid.com"
THREADS = 16

logging.getLogger("python_http_client").setLevel(logging.WARNING)  # at DEBUG it writes mails and the API key


class SendGridEmail:
    """Sends from `sender` (an address), shown as `sender_name`.

    `base_url` points it at the sandbox carrier (loopback or private addresses only, else ValueError); proxy variables
    of the environment count only without it. Close it with `aclose`.
    """

    def __init__(self, api_key: str, sender: str, sender_name: str | None = None, base_url: str | None = None) -> None:
        if not api_key:
            raise ValueError("SendGrid needs an API key")
        self._host = sandbox_base(base_url) if base_url else SENDGRID
        self._proxies = base_url is None
        self._headers = dict(SendGridAPIClient(api_key, host=self._host).client.request_headers)
        self._sender = sender
        self._sender_name = sender_name
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sendgrid")

    async def send(self, email: Email, limit: float, begin: Begin | None = None) -> Accepted:
        """Posts once, within `limit` from now, however long it waits for a thread.

        A thread cannot be stopped once it writes: after a timeout the mail may still get through, hence OutcomeUnknown.
        """
        loop = asyncio.get_running_loop()
        turn = Turn(limit, partial(_in_thread, loop, begin) if begin is not None else None)
        job = self._pool.submit(self._post, self._build(email), turn)
        try:
            async with asyncio.timeout(limit):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            if turn.take_away():
                raise Unavailable("SendGrid: no thread, connection or claim in time, nothing was sent") from None
            raise unknown("SendGrid", f"no answer within {limit:g} s") from None
        finally:
            turn.take_away()  # whoever was cancelled writes no more

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _build(self, email: Email) -> dict[str, Any]:
        to = To()
        to.email = email.to  # not through the constructor, which would take the address apart
        mail = Mail(
            from_email=From(self._sender, self._sender_name),
            to_emails=to,
            subject=email.subject,
            plain_text_content=email.text,
            html_content=email.html,
        )
        mail.add_custom_arg(CustomArg("touch_id", email.touch_id))
        for name, value in email.headers:
            mail.add_header(Header(name, value))
        # Left out, the account's defaults would hold: rewritten links and a pixel in a patient's mail.
        mail.tracking_settings = TrackingSettings(
            click_tracking=ClickTracking(enable=False, enable_text=False),
            open_tracking=OpenTracking(enable=False),
            subscription_tracking=SubscriptionTracking(enable=False),
            ganalytics=Ganalytics(enable=False),
        )
        body: dict[str, Any] = mail.get()
        return body

    def _post(self, body: dict[str, Any], turn: Turn) -> Accepted:
        error: ChannelError
        if (left := turn.left()) <= 0:
            raise Unavailable("SendGrid: no thread in time, nothing was sent")
        client = MailClient(host=self._host, request_headers=dict(self._headers), version=3)
        client.handlers = handlers_for(turn, proxies=self._proxies)
        try:
            answer = client.mail.send.post(request_body=body, timeout=left)
        except HTTPError as refusal:
            error = sendgrid_error(int(refusal.status_code), _until_reset(refusal.headers))
        except URLError as fault:
            if isinstance(fault.reason, NotConnected):
                error = unreachable("SendGrid")
            else:
                error = unknown("SendGrid", "the connection was cut or timed out")
        except (OSError, http.client.HTTPException):
            error = unknown("SendGrid", "the connection was cut or timed out")
        else:
            return Accepted(answer.headers.get("X-Message-Id") or "")
        raise error  # outside the handlers: their exceptions hold SendGrid's text


def _in_thread(loop: asyncio.AbstractEventLoop, begin: Begin, left: float) -> None:
    """Asks from the mail's thread. Raises what `begin` raises, and NotConnected if it takes too long."""

    async def ask() -> None:
        await begin()

    asked = asyncio.run_coroutine_threadsafe(ask(), loop)
    try:
        asked.result(left)
    except TimeoutError:
        asked.cancel()
        raise NotConnected from None  # nothing is written


def _until_reset(headers: Mapping[str, str] | None) -> float | None:
    """Real seconds until the rate limit opens again; the header is a Unix time."""
    try:
        return float((headers or {}).get("X-RateLimit-Reset", "")) - time.time()
    except ValueError:
        return None
