"""A small real HTTP server that answers as a provider might, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, list[str]]
    json: Any
    headers: dict[str, str]


@dataclass
class Provider:
    """Answers every request by `act`; `seen` holds what came."""

    base: str = ""
    seen: list[Seen] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    act: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    def answer(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        async def act(_request: web.Request) -> web.StreamResponse:
            if isinstance(body, str):
                return web.Response(status=status, text=body, headers=headers)
            return web.json_response(body if body is not None else {}, status=status, headers=headers)

        self.act = act

    def hang(self) -> None:
        async def act(_request: web.Request) -> web.StreamResponse:
            await self.released.wait()
            return web.Response(status=500)

        self.act = act

    def trickle(self) -> None:
        """A byte now and then for ever: no pause is long enough for a socket's own time limit."""

        async def act(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=201)
            await response.prepare(request)
            while not self.released.is_set():
                await response.write(b" ")
                try:
                    await asyncio.wait_for(self.released.wait(), 0.05)
                except TimeoutError:
                    continue
            return response

        self.act = act

    def cut(self) -> None:
        async def act(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        self.act = act

    async def handle(self, request: web.Request) -> web.StreamResponse:
        is_json = request.content_type == "application/json"
        form: dict[str, list[str]] = {}
        if request.method == "POST" and not is_json:
            for name, value in (await request.post()).items():
                form.setdefault(name, []).append(str(value))
        self.seen.append(
            Seen(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                form=form,
                json=await request.json() if request.method == "POST" and is_json else None,
                headers=dict(request.headers),
            )
        )
        assert self.act is not None
        return await self.act(request)

    @property
    def posts(self) -> int:
        return sum(1 for seen in self.seen if seen.method == "POST")
