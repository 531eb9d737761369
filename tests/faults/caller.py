"""Asks the API as a careful client does: what was cut or answered 5xx is asked again with its Idempotency-Key."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from tests.faults.record import Json, Told

RETRIES_FOR = 75.0  # real seconds; longer than any freeze
PAUSE = 0.4
ASKS_FOR = 12.0
LOOKS_FOR = 8.0
LOOKS_EVERY = 0.1  # a call may be claimed for ten minutes, which are a quarter of a second
WORK = ("call", "callback", "reply")  # what is taken on; reviews are left to be read
PLAYS_FOR = 30.0  # the carrier itself tries once more to hand on a text


@dataclass(frozen=True, slots=True)
class Caller:
    """`api` bears the key; `told` hears of each last answer."""

    api: httpx.AsyncClient
    sandbox: str
    told: Callable[[Told], None]

    async def ask(
        self, verb: str, number: int, mark: str, path: str, body: Json, *, lead_id: str | None = None
    ) -> Told:
        """`mark` tells this request from all others, and is its Idempotency-Key: asked twice, it is one."""
        asked_at, until = datetime.now(UTC), time.monotonic() + RETRIES_FOR
        status: int | None = None
        answer: Json = {}
        while True:
            try:
                response = await self.api.post(path, json=body, headers={"Idempotency-Key": mark}, timeout=ASKS_FOR)
            except httpx.HTTPError:
                status, answer = None, {}
            else:
                status, answer = response.status_code, _json(response)
                if status < 500:
                    break
            if time.monotonic() > until:
                status = None
                break
            await asyncio.sleep(PAUSE)
        return self._tell(Told(number, verb, mark, asked_at, _answered(status), status, answer, body, lead_id))

    async def text(self, verb: str, number: int, sender: str, body: str, lead_id: str | None) -> Told:
        """A lead's text, by way of the carrier; nobody writes it again if it was not handed on."""
        asked_at = datetime.now(UTC)
        status: int | None = None
        message = {"channel": "sms", "from": sender, "body": body}
        try:
            played = await self.api.post(f"{self.sandbox}/_sandbox/inbound", json=message, timeout=PLAYS_FOR)
            if played.status_code == 200:
                status = int(played.json()["status"])
        except httpx.HTTPError:
            pass
        if status is not None and status >= 500:
            status = None
        return self._tell(Told(number, verb, body, asked_at, _answered(status), status, lead_id=lead_id))

    async def work(self, lead_id: str) -> Json | None:
        """An open task of the lead, waited for a little; not a reply that is perhaps a relative's."""
        until, query = time.monotonic() + LOOKS_FOR, {"lead_id": lead_id, "state": "open"}
        while True:
            try:
                found = _json(await self.api.get("/v1/tasks", params=query, timeout=LOOKS_FOR / 4)).get("items", [])
            except httpx.HTTPError:
                found = []
            own = [t for t in found if t["kind"] in WORK and not t["candidates"]]
            if own or time.monotonic() > until:
                return min(own, key=lambda t: t["claim_by"] is not None, default=None)  # rather what has time
            await asyncio.sleep(LOOKS_EVERY)

    def _tell(self, told: Told) -> Told:
        if told.status == 422:
            raise AssertionError(f"the driver asked for what cannot be: {told.verb}, {told.answer.get('field')}")
        self.told(told)
        return told


def _answered(status: int | None) -> datetime | None:
    return datetime.now(UTC) if status is not None else None


def _json(response: httpx.Response) -> Json:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
