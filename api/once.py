"""The guard of every route with a rule: who asks, one transaction for each change, and whether it was done before."""

import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext, suppress
from hashlib import sha256
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from api.access import CHANGE_NOTHING, GuardedRoute, admit
from api.services import of
from domain.access import Actor
from domain.errors import InvalidInput
from store import audit, idempotency

HEADER: Final = "Idempotency-Key"
KEY: Final = re.compile(r"[!-~]{1,200}")
Handler = Callable[[Request], Awaitable[Response]]


class ApiRoute(GuardedRoute):
    """Asks for the key first, then runs the route; one that changes something, in one transaction.

    `is_behind`: by its body, whether a request goes behind everybody else's.
    """

    is_behind: Callable[[bytes], bool] = staticmethod(lambda _: False)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler, right = super().get_route_handler(), self.right

        async def guarded(request: Request) -> Response:
            actor = await admit(request, right)
            request.state.actor = actor
            if actor is None or right in CHANGE_NOTHING:
                return await handler(request)
            key = request.headers.get(HEADER)
            if key is not None and not KEY.fullmatch(key):
                raise InvalidInput(HEADER, "must be 1 to 200 visible ASCII characters, without spaces")
            body = await _body(request)  # before a connection is held: others need not wait for a slow sender
            lists = of(request).lists
            async with lists.turn(actor.id, request.is_disconnected) if self.is_behind(body) else nullcontext():
                return await _once(request, actor, key, body, handler)

        return guarded


async def _once(request: Request, actor: Actor, key: str | None, body: bytes, handler: Handler) -> Response:
    """Runs the handler in one transaction: with an error nothing was done but what store/bare_stops.py does,
    and with the answer everything.

    While it runs it holds the key, if there is one; a second request with it waits and gets the same answer. Only
    what was done is remembered: a refused request did nothing, and may be tried again with its key.
    """
    services = of(request)
    store = services.store
    async with services.once, store.engine.begin() as conn:
        if key is not None:
            digest = sha256(f"{request.method} {request.url.path}\n".encode() + body).digest()
            replay = await idempotency.begin(conn, store.vault, actor.id, key, digest)
            if replay is not None:
                lead_id = request.path_params.get("lead_id") or replay.answer.get("lead_id")
                await audit.append(conn, actor, "answer_repeated", lead_id)  # it shows again what was done
                return JSONResponse(replay.answer, replay.status, {"Idempotency-Replayed": "true"})
        commands = request.state.commands = services.commands.within(conn)
        response = await handler(request)
        answer = json.loads(bytes(response.body))
        if key is not None:
            await idempotency.finish(conn, store.vault, actor.id, key, response.status_code, answer)
    if "workflow" not in answer or not commands.unheard or not await commands.all_heard():
        return response
    # What was kept with the command says pending; Temporal has heard of it now, and so does whoever asks again.
    answer |= {"workflow": "applied"}
    if key is not None:
        with suppress(SQLAlchemyError):  # it is done: a database that went away since is no reason to say otherwise
            async with store.engine.begin() as conn:
                await idempotency.finish(conn, store.vault, actor.id, key, response.status_code, answer)
    return JSONResponse(answer, response.status_code)


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        raise InvalidInput("body", "broke off") from None
