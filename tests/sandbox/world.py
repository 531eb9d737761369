"""A carrier running over HTTP in a thread, and a receiver that stands for the product."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from domain.clock import parse_pace, virtual_clock
from sandbox.app import create_app
from sandbox.config import SandboxConfig
from sandbox.keys import ensure_sendgrid_keys
from sandbox.server import make_server

ACCOUNT = "AC" + "0" * 32
TOKEN = "test-auth-token"
MAIL_KEY = "SG.test-key"
SERVICE = "MG" + "1" * 32
FROM = "+12125550199"
DEADLINE = 20.0


@dataclass(frozen=True)
class Got:
    """One request that the receiver got."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def signed_by_twilio(self) -> bool:
        return bool(RequestValidator(TOKEN).validate(self.url, self.form, self.headers.get("x-twilio-signature", "")))

    def signed_by_sendgrid(self, public_key: str) -> bool:
        prefix = "x-twilio-email-event-webhook-"
        signature, stamp = self.headers[prefix + "signature"], self.headers[prefix + "timestamp"]
        return bool(EventWebhook(public_key).verify_signature(self.body.decode(), signature, stamp))


Reply = tuple[int, str]


@dataclass
class Receiver:
    """Stands for the product. `answers` maps "METHOD /path" to what it says; else 204 for POST, 404 for GET."""

    base: str = ""
    got: list[Got] = field(default_factory=list)
    answers: dict[str, Callable[[Got], Reply]] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def all(self, path: str, method: str = "POST") -> list[Got]:
        return [got for got in list(self.got) if got.path == path and got.method == method]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """The first true value of `condition`, looked at whenever something came. Fails after the deadline."""
        with self.news:
            value = self.news.wait_for(condition, DEADLINE)
        assert value, f"did not come; got {[(g.method, g.path) for g in self.got]}"
        return value

    def wait_for(self, path: str, count: int = 1, method: str = "POST") -> list[Got]:
        self.wait(lambda: len(self.all(path, method)) >= count)
        return self.all(path, method)

    def statuses(self, path: str, name: str) -> list[str]:
        return [got.form[name] for got in self.all(path)]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.command, receiver.base + self.path, headers, body)
            known = receiver.answers.get(f"{got.method} {got.path}")
            status, text = known(got) if known else (404 if got.method == "GET" else 204, "")
            with receiver.news:
                receiver.got.append(got)
                receiver.news.notify_all()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _handle

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class SwappedHttpClient(TwilioHttpClient):  # type: ignore[misc]
    """The SDK's own client, pointed at another host."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=10)
        self._base = urlsplit(base)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        there = urlunsplit(urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc))
        return super().request(method, there, *args, **kwargs)


@dataclass(frozen=True)
class Carrier:
    base: str
    directory: Path

    def twilio(self, token: str = TOKEN) -> Client:
        return Client(ACCOUNT, token, http_client=SwappedHttpClient(self.base))

    def sendgrid(self, key: str = MAIL_KEY) -> SendGridAPIClient:
        client = SendGridAPIClient(key, host=self.base)
        client.client.timeout = 10
        return client

    @property
    def public_key(self) -> str:
        return ensure_sendgrid_keys(self.directory)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def outbox(self, **filters: Any) -> list[dict[str, Any]]:
        status, page = self.ask("GET", "/_sandbox/outbox?" + urlencode(filters))
        assert status == 200, page
        return list(page["items"])

    def eventually(self, look: Callable[[], Any]) -> Any:
        """The first true value of `look`, asked again and again. Fails after the deadline."""
        end, pause = time.monotonic() + DEADLINE, threading.Event()
        while not (value := look()):
            assert time.monotonic() < end, "did not happen in time"
            pause.wait(0.02)
        return value


def config_for(directory: Path, receiver: Receiver, **changes: Any) -> SandboxConfig:
    values: dict[str, Any] = {
        "directory": directory,
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "sendgrid_api_key": MAIL_KEY,
        "inbound_sms_url": f"{receiver.base}/sms",
        "inbound_voice_url": f"{receiver.base}/voice",
        "email_events_url": f"{receiver.base}/events",
        "rings": 0.2,
    }
    return SandboxConfig(**{**values, **changes})


def staffed(directory: Path, receiver: Receiver, *personas: str, pace: str = "3600") -> SandboxConfig:
    """Personas on a fast clock, with the receiver as the API."""
    directory.mkdir(parents=True, exist_ok=True)
    clock, key = directory / "clock.json", directory / "staff.key"
    now = datetime.now(UTC)
    clock.write_text(virtual_clock(now, now, parse_pace(pace)).dump())
    key.write_text("staff-key\n")
    return config_for(directory, receiver, personas=personas, clock_file=clock, api=receiver.base, staff_key_file=key)


@contextmanager
def running(config: SandboxConfig) -> Iterator[Carrier]:
    """The carrier on a free port, until the block ends."""
    # named TCP outright, or asyncio leaves Nagle on and every answer takes 40 ms
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    server = make_server(create_app(config), "127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(sockets=[sock]))  # as the product: under uvloop
    thread.start()
    carrier = Carrier(f"http://127.0.0.1:{sock.getsockname()[1]}", config.directory)
    try:
        carrier.eventually(lambda: server.started or not thread.is_alive())
        assert server.started, "the carrier did not start"
        yield carrier
    finally:
        server.should_exit = True
        thread.join(DEADLINE)
        sock.close()
        assert not thread.is_alive(), "the carrier did not stop"
