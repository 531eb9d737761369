"""What the Temporal Web UI asks to show payloads in clear: POST /codec/decode and /codec/encode.

The UI is a page of another origin, so its browser asks with OPTIONS first, and the answers name that origin.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

Allow = Callable[[Request], bool | Awaitable[bool]]
Step = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]

_LOOPBACK = ("127.0.0.1", "localhost")


def codec_router(codec: PayloadCodec, allow: Allow, ui_origin: str | None) -> APIRouter:
    """The router. `allow` decides each request but the browser's OPTIONS (401 if not).

    `ui_origin` is where the UI is opened, as http://127.0.0.1:8233; for a loopback one both spellings count.
    """
    router = APIRouter(prefix="/codec", tags=["codec"])
    origins = spellings(ui_origin)

    async def run(request: Request, step: Step) -> Response:
        headers = _cors(request, origins)
        allowed = allow(request)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            return _problem(HTTPStatus.UNAUTHORIZED, "Reading payloads needs an engineer's key.", headers)
        try:
            body = _payloads(await request.body())
        except (ParseError, ValueError, RecursionError):
            return _problem(
                HTTPStatus.BAD_REQUEST,
                'The body must be {"payloads": [...]} with base64 in metadata and data.',
                headers,
            )
        try:
            done = Payloads(payloads=await step(body.payloads))
        except ValueError:
            return _problem(HTTPStatus.BAD_REQUEST, "A payload was not sealed with a key of this ring.", headers)
        return JSONResponse(MessageToDict(done), headers=headers)

    @router.post(
        "/decode", summary="Opens sealed payloads for the Temporal Web UI", openapi_extra=_described("c2VhbGVk")
    )
    async def decode(request: Request) -> Response:
        return await run(request, codec.decode)

    @router.post("/encode", summary="Seals payloads for the Temporal Web UI", openapi_extra=_described("eyJ4IjogMX0="))
    async def encode(request: Request) -> Response:
        return await run(request, codec.encode)

    @router.options("/decode", include_in_schema=False)
    @router.options("/encode", include_in_schema=False)
    async def preflight(request: Request) -> Response:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=_cors(request, origins))

    return router


def _described(data: str) -> dict[str, Any]:
    """Temporal's own form of payloads, asked for and answered alike: metadata and data in base64."""
    example = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": data}]}
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    answer = {"description": "The payloads, turned", "content": content}
    return {"requestBody": {"required": True, "content": content}, "responses": {"200": answer}}


def _payloads(raw: bytes) -> Payloads:
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("not an object")  # noqa: TRY004  # one kind of error for all that is malformed
    return ParseDict(body, Payloads(), ignore_unknown_fields=True)


def spellings(origin: str | None) -> frozenset[str]:
    """The origin as a browser may write it: nobody remembers whether they typed 127.0.0.1 or localhost."""
    if not origin:
        return frozenset()
    parts = urlsplit(origin)
    port = f":{parts.port}" if parts.port else ""
    hosts = _LOOPBACK if parts.hostname in _LOOPBACK else (parts.hostname or "",)
    return frozenset(f"{parts.scheme}://{host}{port}" for host in hosts)


def _cors(request: Request, origins: frozenset[str]) -> dict[str, str]:
    origin = request.headers.get("origin", "")
    headers = {"Vary": "Origin", "Cache-Control": "no-store"}
    if origin in origins:
        headers |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "authorization,content-type,x-namespace",
        }
    return headers


def _problem(status: HTTPStatus, detail: str, headers: dict[str, str]) -> Response:
    content = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    return JSONResponse(content, status, headers, media_type="application/problem+json")
