"""A carrier of texts as lean as can be, in the process that makes the load: the same for the product and the bare one.

It answers Twilio's Messages after 5 ms and plays two signed callbacks a text. It checks nothing and keeps nothing on
disk: the sandbox carrier, which does, would take a good part of the processors from what is measured.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from twilio.request_validator import RequestValidator

from bench.lean_http import Caller, serve

ACCOUNT, TOKEN, SENDER = "AC" + "0" * 32, "0" * 32, "+15005550006"
ANSWERS_AFTER = 0.005  # real seconds, all of them
SENT_AFTER, DELIVERED_AFTER, REPLY_AFTER = 0.05, 0.3, 0.3
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Text:
    """One text as it reached the carrier, at Unix time `at`; the `nth` to this number."""

    to: str
    touch_id: str
    at: float
    nth: int
    sid: str = ""
    body: str = ""


@dataclass
class Carrier:
    """`replies` says after which text a number replies, None for never; `heard` is told of each text."""

    replies: Callable[[str], int | None] = lambda _: None
    heard: Callable[[Text], None] = lambda _: None
    replied: Callable[[str], None] = lambda _: None  # once a reply was answered
    texts: list[Text] = field(default_factory=list)
    after_reply: int = 0  # texts that came although their number's reply had been answered
    failed: int = 0  # callbacks and replies that were not answered 2xx
    url: str = ""
    _count: dict[str, int] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)
    _callers: dict[str, Caller] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)
    _sign: RequestValidator = field(default_factory=lambda: RequestValidator(TOKEN))

    @property
    def settings(self) -> dict[str, str]:
        """What makes the product send its texts here."""
        told = {"TWILIO_BASE_URL": self.url, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
        return {f"TEND_{name}": value for name, value in (told | {"TWILIO_FROM": SENDER}).items()}

    async def reply(self, origin: str, number: str, body: str) -> int:
        """Plays a text of somebody; the status of the answer."""
        form = {"MessageSid": f"SMr{next(self._ids):030}", "From": number, "To": SENDER, "Body": body}
        return await self._post(f"{origin}/webhooks/twilio/sms", form)

    async def take(self, method: str, path: str, body: bytes) -> bytes:
        if method != "POST":
            return self._listed(dict(parse_qsl(urlsplit(path).query)).get("To"))
        at, form = time.time(), dict(parse_qsl(body.decode()))
        to, callback = form["To"], urlsplit(form["StatusCallback"])._replace(fragment="")
        nth = self._count[to] = self._count.get(to, 0) + 1
        self.after_reply += to in self._answered
        sid = f"SM{next(self._ids):032}"
        text = Text(to, dict(parse_qsl(callback.query)).get("touch", ""), at, nth, sid, form.get("Body", ""))
        self.texts.append(text)
        self.heard(text)
        task = asyncio.create_task(self._course(text, callback.geturl()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.sleep(ANSWERS_AFTER)
        return f'{{"sid": "{sid}", "status": "queued"}}'.encode()

    def _listed(self, to: str | None) -> bytes:
        """Its texts to a number, newest first, as far as they are looked for."""
        found = [
            {
                "sid": text.sid,
                "status": "delivered",
                "to": text.to,
                "body": text.body,
                "date_created": format_datetime(datetime.fromtimestamp(text.at, UTC)),
            }
            for text in reversed(self.texts)
            if text.to == to
        ]
        return json.dumps({"messages": found, "next_page_uri": None}).encode()

    async def _course(self, text: Text, callback: str) -> None:
        begun = time.monotonic()
        for status, after in (("sent", SENT_AFTER), ("delivered", DELIVERED_AFTER)):
            await asyncio.sleep(begun + after - time.monotonic())
            form = {"MessageSid": text.sid, "MessageStatus": status, "To": text.to, "From": SENDER}
            self.failed += await self._post(callback, form) >= 300
        if self.replies(text.to) == text.nth:
            parts = urlsplit(callback)
            await asyncio.sleep(REPLY_AFTER)
            if await self.reply(f"{parts.scheme}://{parts.netloc}", text.to, "Please tell me more") == 200:
                self._answered.add(text.to)
                self.replied(text.to)
            else:
                self.failed += 1

    async def _post(self, url: str, form: dict[str, str]) -> int:
        """The status; 599 where nobody answered."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        caller = self._callers.setdefault(origin, Caller(origin))
        headers = {"Content-Type": FORM, "X-Twilio-Signature": self._sign.compute_signature(url, form)}
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            return (await caller.post(path, urlencode(form).encode(), headers))[0]
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return 599

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for caller in self._callers.values():
            caller.close()


@asynccontextmanager
async def carrier(replies: Callable[[str], int | None] = lambda _: None) -> AsyncIterator[Carrier]:
    made = Carrier(replies)
    server, made.url = await serve(made.take)
    try:
        yield made
    finally:
        await made.close()
        server.close()
