"""Health, metrics and documentation."""

import asyncio
import json
import secrets
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import answers
from api.dependencies import Check
from api.once import ApiRoute
from api.openapi import document
from api.problems import AWAY, status_of
from api.sequences_ready import sequences_ready
from api.services import Services, Wired
from domain.errors import ClocksApart
from store import clocks, home
from store.sweep import kept

health = APIRouter(tags=["health"])
inspection = APIRouter(tags=["documentation"], route_class=ApiRoute)
PATIENCE = 2.0  # real seconds for each dependency


@health.get("/healthz", response_model=answers.Health, summary="Whether the process serves")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@health.get(
    "/readyz",
    response_model=answers.Readiness,
    responses={int(AWAY): {"model": answers.Readiness, "description": "A dependency is away; it is named"}},
    summary="Whether every dependency answers",
)
async def readyz(services: Wired) -> Response:
    """Intake needs Postgres alone: a lead that comes while Temporal is away starts when it is back."""
    names: dict[str, Check] = {
        "postgres": partial(_postgres, services),
        "clock": partial(_clock, services),
        "copy": partial(_copy, services),
        "sequences": partial(sequences_ready, services),
        **services.dependencies,
    }
    found = await asyncio.gather(*map(_check, names.values()))
    checks = dict(zip(names, found, strict=True))
    ready = all(result == "ok" for result in checks.values())
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return JSONResponse(body, status_of(None) if ready else AWAY)


async def _check(check: Check) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await check()
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except (ClocksApart, home.Restored) as error:
        return str(error)
    except Exception as error:  # whatever a dependency's client raises: the name of the kind says enough
        return f"away ({type(error).__name__})"
    return "ok"


async def _postgres(services: Services) -> None:
    async with services.store.engine.connect() as conn:
        await conn.execute(text("SELECT 1"))


async def _clock(services: Services) -> None:
    async with services.store.engine.connect() as conn:
        await clocks.must_agree(conn)


async def _copy(services: Services) -> None:
    """Nothing is sent from one: a worker notices that it is one, and ends."""
    async with services.store.engine.connect() as conn:
        if await home.is_copy(conn):
            raise home.Restored


@inspection.get("/metrics", response_class=PlainTextResponse, summary="What Prometheus reads")
async def metrics(services: Wired) -> Response:
    with suppress(SQLAlchemyError, OSError, TimeoutError):  # then it shows what it was last told
        async with asyncio.timeout(PATIENCE), services.store.engine.connect() as conn:
            services.meters.swept.tallies = await kept(conn)
            services.meters.odd.clocks = await clocks.odd(conn)
    return Response(services.meters.text(), media_type=CONTENT_TYPE_LATEST)


@inspection.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return JSONResponse(_document(request))


@inspection.get("/docs", include_in_schema=False)
async def docs(request: Request, services: Wired) -> Response:
    """Made here, with no script and nothing from elsewhere: it works without a way to the internet."""
    made, nonce = _document(request), secrets.token_urlsafe(16)
    html = services.pages.get_template("docs.html").render(
        organization=services.organization,
        nonce=nonce,
        title=made["info"]["title"],
        description=made["info"]["description"],
        groups=_groups(made),
    )
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
    return Response(html, headers={"Content-Security-Policy": policy}, media_type="text/html")


def _document(request: Request) -> dict[str, Any]:
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = document(request.app)
    made: dict[str, Any] = state.document
    return made


def _groups(made: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            good = next((s for s in operation["responses"] if s.startswith("2")), "")
            answer = operation["responses"].get(good, {})
            groups.setdefault((operation.get("tags") or ["other"])[0], []).append(
                {
                    "id": operation["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "summary": operation.get("summary", ""),
                    "description": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                    "request": _example(made, operation.get("requestBody", {})),
                    "answer": _example(made, answer),
                    "responses": [(s, r["description"]) for s, r in operation["responses"].items()],
                }
            )
    return list(groups.items())


def _example(made: dict[str, Any], part: dict[str, Any]) -> str:
    content: dict[str, Any] = next(iter(part.get("content", {}).values()), {})
    if "example" in content:
        return json.dumps(content["example"], indent=2)
    schema = content.get("schema", {})
    for one in (schema, *schema.get("anyOf", [])):
        name = one.get("$ref", "").rpartition("/")[2]
        examples = made["components"]["schemas"].get(name, {}).get("examples")
        if examples:
            return json.dumps(examples[0], indent=2)
    return ""
