"""Bodies over the limit, over real sockets: what is refused unread would otherwise never hear why."""

import asyncio
import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from api import edge
from tests.api.office import Office

STATUS = "/webhooks/twilio/status"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PART = b" " * 50_000


@asynccontextmanager
async def served(office: Office) -> AsyncIterator[int]:
    """The port where it listens, as `tend api` has it served. Who connects before it is ready waits in the queue."""
    config = uvicorn.Config(office.app, http="httptools", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def send(url: str, body: bytes | Iterator[bytes], kind: str) -> int:
    """The status that a client gets which sends all before it listens, and asks for the connection to be closed."""
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=60)
    with refused.value as answer:
        assert json.load(answer)["status"] == answer.code
        return answer.code


@pytest.mark.parametrize(
    ("path", "kind", "declared", "status"),
    [
        ("/v1/leads", JSON, True, 413),
        (STATUS, FORM, True, 413),
        (STATUS, FORM, False, 413),
        ("/v1/leads", JSON, False, 401),  # refused for its key before anything is read
        ("/nowhere", JSON, False, 404),
    ],
)
async def test_who_sends_all_before_listening_hears_why_it_is_refused(
    office: Office, path: str, kind: str, declared: bool, status: int
) -> None:
    body = PART * 200 if declared else iter([PART] * 200)
    async with served(office) as port:
        assert await asyncio.to_thread(send, f"http://127.0.0.1:{port}{path}", body, kind) == status


def begin(port: int, headers: dict[str, str], body: bytes = b"") -> tuple[int, str | None]:
    """Status and `Connection` of the answer to a request whose body never comes to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", STATUS)
    connection.putheader("Content-Type", FORM)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    try:
        with connection.getresponse() as answer:
            return answer.status, answer.getheader("Connection")
    finally:
        connection.close()


async def test_a_body_that_is_not_sent_unasked_or_is_out_of_all_bounds_is_not_waited_for(office: Office) -> None:
    async with served(office) as port:
        for headers in ({"Content-Length": "2000000", "Expect": "100-continue"}, {"Content-Length": "16000001"}):
            assert await asyncio.to_thread(begin, port, headers) == (413, "close")


async def test_a_body_that_does_not_end_is_read_away_for_a_limited_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "READ_AWAY_WITHIN", 0.05)
    async with served(office) as port:
        assert await asyncio.to_thread(begin, port, {"Content-Length": "2000000"}) == (413, "close")
        chunk = b"1e8480\r\n" + b" " * 2_000_000 + b"\r\n"
        assert await asyncio.to_thread(begin, port, {"Transfer-Encoding": "chunked"}, chunk) == (413, "close")


async def test_a_body_without_end_is_read_away_up_to_a_limit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "READ_AWAY", 3_000_000)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += len(PART)
            yield PART

    headers = {"Content-Type": JSON}
    answer = await office.ask("POST", "/v1/leads", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert 3_000_000 <= read <= 4_200_000


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", STATUS, STATUS),
        ("POST", "/v1/leads/0199-a/notes", "/v1/leads/{lead_id}/notes"),
        ("PUT", STATUS, STATUS),  # as the router has it for a 405
        ("POST", "/nowhere", "unmatched"),
    ],
)
async def test_a_body_refused_before_the_router_is_counted_for_the_route_it_was_for(
    office: Office, method: str, path: str, route: str
) -> None:
    assert (await office.http.request(method, path, content=PART * 21)).status_code == 413
    counted = (await office.http.get("/metrics")).text
    assert f'tend_api_requests_total{{method="{method}",route="{route}",status="413"}} 1.0' in counted
