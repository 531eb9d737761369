"""A program's way to Tend and to its sandbox carrier: HTTP and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from domain.errors import TendError

Json = dict[str, Any]


class CallFailed(TendError):
    """A call that was not answered as hoped; the text names the call and the problem, no person's data."""


@dataclass(frozen=True, slots=True)
class Client:
    """Calls with an API key. Raises CallFailed for a refusal, httpx.HTTPError where nobody answers."""

    http: httpx.AsyncClient
    sandbox: str

    async def take_in(self, lead: Json, key: str | None = None) -> Json:
        """`POST /v1/leads`; `key` is the Idempotency-Key."""
        return await self._json("POST", "/v1/leads", lead, {"Idempotency-Key": key} if key else {})

    async def leads(self) -> list[Json]:
        return await self._pages("/v1/leads", limit="100")

    async def lead(self, lead_id: str) -> Json:
        return await self._json("GET", f"/v1/leads/{lead_id}")

    async def timeline(self, lead_id: str) -> list[Json]:
        return await self._pages(f"/v1/leads/{lead_id}/timeline")

    async def upcoming(self, lead_id: str) -> list[Json]:
        return await self._pages(f"/v1/leads/{lead_id}/upcoming")

    async def tasks(self, **query: str) -> list[Json]:
        return await self._pages("/v1/tasks", **query)

    async def post(self, path: str, body: Json | None = None) -> Json:
        return await self._json("POST", path, body or {})

    async def set_persona(self, to: str, persona: str) -> None:
        """Who answers at this number."""
        await self._json("POST", f"{self.sandbox}/_sandbox/personas", {"to": to, "persona": persona})

    async def inbound(self, sender: str, body: str) -> Json:
        """Plays a text of a lead; the answer of the product's webhook."""
        text = {"channel": "sms", "from": sender, "body": body}
        return await self._json("POST", f"{self.sandbox}/_sandbox/inbound", text)

    async def outbox(self, **query: str) -> list[Json]:
        """All that reached the carrier, oldest first."""
        return await self._pages(f"{self.sandbox}/_sandbox/outbox", limit="1000", **query)

    async def _pages(self, path: str, **query: str) -> list[Json]:
        found: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self._json("GET", path, params={**query, **cursor})
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            cursor = {"cursor": str(page["next_cursor"])}

    async def _json(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> Json:
        answer = await self.http.request(method, path, json=body, headers=headers, params=params)
        if answer.status_code >= 400:
            raise CallFailed(f"{method} {_place(path)} was answered {answer.status_code}: {_problem(answer)}")
        found: Json = answer.json()
        return found


@asynccontextmanager
async def client(endpoints: Json, key: str) -> AsyncIterator[Client]:
    """A client of the stack at these endpoints."""
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(
        base_url=endpoints["api"], headers=headers, timeout=10.0, trust_env=False, limits=limits
    ) as http:
        yield Client(http, endpoints["sandbox"])


def _place(path: str) -> str:
    return path.split("?", maxsplit=1)[0]


def _problem(answer: httpx.Response) -> str:
    """Title and field of a problem; what it quotes stays out."""
    try:
        body = answer.json()
    except ValueError:
        return "no reason given"
    field = body.get("field")
    return f"{body.get('title', 'no reason given')}" + (f" (field {field})" if field else "")
