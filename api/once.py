"""The guard of every route with a rule: who asks, and whether this very request was answered before."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from api.access import GuardedRoute, Right, admit
from api.commands import Commands
from api.services import Services, of
from domain.access import Actor
from domain.errors import InvalidInput
from store import idempotency

HEADER = "Idempotency-Key"
LONGEST = 200
Handler = Callable[[Request], Awaitable[Response]]


class ApiRoute(GuardedRoute):
    """Asks for the key first, then for the Idempotency-Key of a write, then runs the route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler, right = super().get_route_handler(), self.right

        async def guarded(request: Request) -> Response:
            actor = await admit(request, right)
            request.state.actor = actor
            key = request.headers.get(HEADER)
            if key is None or actor is None or right is Right.READ:
                return await handler(request)
            if not 0 < len(key) <= LONGEST or "\x00" in key:
                raise InvalidInput(HEADER, f"must have 1 to {LONGEST} characters")
            return await _once(request, actor, key, handler)

        return guarded


async def _once(request: Request, actor: Actor, key: str, handler: Handler) -> Response:
    """Runs the handler while the key is held; a second request with it waits and gets the same answer.

    Only what was done is remembered: a refused request did nothing, and may be tried again with its key.
    """
    services = of(request)
    store = services.store
    digest = sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).digest()
    async with services.once, store.engine.begin() as conn:
        replay = await idempotency.begin(conn, store.vault, actor.id, key, digest)
        if replay is not None:
            return JSONResponse(replay.answer, replay.status, {"Idempotency-Replayed": "true"})
        request.state.conn, request.state.commands = conn, services.commands.within(conn)
        response = await handler(request)
        answer = json.loads(bytes(response.body))
        await idempotency.finish(conn, store.vault, actor.id, key, response.status_code, answer)
    commands: Commands = request.state.commands
    if "workflow" not in answer or not commands.unheard or not await commands.all_heard():
        return response
    # What was kept with the command says pending; Temporal has heard of it now, and so does whoever asks again.
    answer |= {"workflow": "applied"}
    async with store.engine.begin() as conn:
        await idempotency.finish(conn, store.vault, actor.id, key, response.status_code, answer)
    return JSONResponse(answer, response.status_code)


@asynccontextmanager
async def transaction(request: Request, services: Services) -> AsyncIterator[AsyncConnection]:
    """The transaction that holds the request's Idempotency-Key, or one of its own."""
    held: AsyncConnection | None = getattr(request.state, "conn", None)
    if held is not None:
        yield held
        return
    async with services.store.engine.begin() as conn:
        yield conn
