import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads

from wire.codec import AesCodec
from wire.codec_server import codec_router
from wire.keyring import KeyRing

CODEC = AesCodec(KeyRing.parse(KeyRing.make()))
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"hello"')
UI = "http://127.0.0.1:8233"
HEADERS = {"Origin": "http://localhost:8233", "X-Namespace": "default", "Content-Type": "application/json"}


def app(ui_origin: str | None = UI) -> FastAPI:
    async def allow(request: Request) -> bool:
        return request.headers.get("x-not-allowed") is None

    it = FastAPI()
    it.include_router(codec_router(CODEC, allow, ui_origin))
    return it


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://tend") as it:
        yield it


async def sealed() -> dict[str, Any]:
    body: dict[str, Any] = MessageToDict(Payloads(payloads=await CODEC.encode([CLEAR, CLEAR])))
    return body


async def test_the_ui_reads_what_was_sealed(http: httpx.AsyncClient) -> None:
    answer = await http.post("/codec/decode?preserveStorageRefs=true", json=await sealed(), headers=HEADERS)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8233"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == MessageToDict(Payloads(payloads=[CLEAR, CLEAR]))
    assert base64.b64decode(answer.json()["payloads"][0]["data"]) == b'"hello"'


async def test_what_it_seals_it_opens(http: httpx.AsyncClient) -> None:
    clear = MessageToDict(Payloads(payloads=[CLEAR]))
    encoded = (await http.post("/codec/encode", json=clear, headers=HEADERS)).json()
    assert encoded != clear
    assert (await http.post("/codec/decode", json=encoded, headers=HEADERS)).json() == clear


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8233", "http://localhost:8233"])
@pytest.mark.parametrize("path", ["/codec/decode", "/codec/encode"])
async def test_the_browser_asks_first(http: httpx.AsyncClient, origin: str, path: str) -> None:
    answer = await http.options(
        path + "?preserveStorageRefs=true",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-namespace",
            "X-Not-Allowed": "an OPTIONS carries no key",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert {"content-type", "x-namespace"} <= set(answer.headers["access-control-allow-headers"].split(","))


@pytest.mark.parametrize(
    "origin", ["http://localhost:9999", "https://localhost:8233", "http://evil.example.com", "null"]
)
async def test_other_origins_are_not_named(http: httpx.AsyncClient, origin: str) -> None:
    for answer in (
        await http.options("/codec/decode", headers={"Origin": origin}),
        await http.post("/codec/decode", json=await sealed(), headers=HEADERS | {"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers


async def test_without_an_origin_of_the_ui_none_is_named() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app(None)), base_url="http://tend") as http:
        answer = await http.post("/codec/decode", json=await sealed(), headers=HEADERS)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_who_is_not_allowed_reads_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.post("/codec/decode", json=await sealed(), headers=HEADERS | {"X-Not-Allowed": "1"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "payloads" not in answer.json()
    # so that the UI can show it
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8233"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", pytest.param(b"[" * 100_000, id="deep"), b"[]", b'{"payloads": 1}', b'{"payloads": [{"data": 1}]}'],
)
async def test_a_malformed_body(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/codec/decode", content=body, headers=HEADERS)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400


async def test_a_payload_of_another_ring(http: httpx.AsyncClient) -> None:
    other = await AesCodec(KeyRing.parse(KeyRing.make())).encode([CLEAR])
    answer = await http.post("/codec/decode", json=MessageToDict(Payloads(payloads=other)), headers=HEADERS)
    assert answer.status_code == 400
