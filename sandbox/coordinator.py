"""The coordinator: a person at a desk who claims what is due, calls leads and answers their messages."""

import asyncio
import logging
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from sandbox.desk import Desk, as_object
from sandbox.times import ProductTime
from sandbox.webhooks import NotReached

log = logging.getLogger("sandbox.coordinator")

LOOKS_EVERY = 0.25  # real seconds
WATCHES_EVERY = 0.25  # real seconds, while a call runs
WATCHES_FOR = 180.0  # real seconds
SPARES = 5.0  # real seconds until a task that could not be done is looked at again
TALKS = 120.0  # product seconds after an answered call until the outcome is entered
PAGES = 5
AT_ONCE = 20
ANSWER = "Thank you for your message. We will call you today."
NOT_THEIRS = "wrong number"  # a message with this needs no answer


class Coordinator:
    """Works through the open tasks of kind call, reply and callback until cancelled; whatever fails, goes on."""

    def __init__(self, desk: Desk, clock: ProductTime) -> None:
        self._desk = desk
        self._clock = clock
        self._in_hand: set[str] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for task in await self._due():
                        self._in_hand.add(task["id"])
                        group.create_task(self._take(task), name="coordinator's task")
                except NotReached:
                    pass  # the API is away: look again
                except Exception:
                    log.exception("looking at the tasks failed")
                await asyncio.sleep(LOOKS_EVERY)

    async def _due(self) -> list[dict[str, Any]]:
        """Open tasks that are not in hand. A reply is due by a time and taken at once, all else from its time on."""
        found: list[dict[str, Any]] = []
        path = "/v1/tasks?state=open"
        for _ in range(PAGES):
            answer = await self._desk.ask("GET", path)
            if answer.status != 200:
                break
            page = as_object(answer)
            now = self._clock.now()
            for task in page.get("items", []):
                due_at = task.get("due_at")
                due = task["kind"] == "reply" or due_at is None or datetime.fromisoformat(due_at) <= now
                if due and task["kind"] in {"call", "reply", "callback"} and task["id"] not in self._in_hand:
                    found.append(task)
            if not page.get("next_cursor"):
                break
            path = f"/v1/tasks?state=open&cursor={quote(str(page['next_cursor']), safe='')}"
        return found

    async def _take(self, task: dict[str, Any]) -> None:
        spare = 0.0
        try:
            async with self._room:
                done = await (self._call(task["id"]) if task["kind"] == "call" else self._answer(task))
                spare = 0.0 if done else SPARES
        except NotReached:
            spare = SPARES
        except Exception:
            log.exception("a task could not be worked on")
            spare = SPARES
        await asyncio.sleep(spare)
        self._in_hand.discard(task["id"])

    async def _call(self, task_id: str) -> bool:
        """Claims, dials, and enters the outcome if a person answered."""
        if not await self._did(task_id, "claim") or not await self._did(task_id, "dial"):
            return False
        seen = await self._watch(task_id)
        if seen.get("disposition") != "answered_by_person" or seen.get("state") != "claimed":
            return True
        await self._clock.sleep(TALKS)
        outcome = {"disposition": "answered_by_person", "outcome": "reached", "notes": "Spoke with the lead"}
        return await self._did(task_id, "complete", outcome)

    async def _watch(self, task_id: str) -> dict[str, Any]:
        """The task once its call has a disposition, or is no longer claimed; empty if that takes too long."""
        for _ in range(int(WATCHES_FOR / WATCHES_EVERY)):
            try:
                answer = await self._desk.ask("GET", f"/v1/tasks/{task_id}")
            except NotReached:
                await asyncio.sleep(LOOKS_EVERY)
                continue
            seen = as_object(answer) if answer.status == 200 else {}
            if seen.get("disposition") or (seen and seen.get("state") != "claimed"):
                return seen
            await asyncio.sleep(WATCHES_EVERY)
        return {}

    async def _answer(self, task: dict[str, Any]) -> bool:
        """Writes back, and closes the task unless the answer did so already. A wrong number is entered as such."""
        if not await self._did(task["id"], "claim"):
            return False
        if NOT_THEIRS in (task.get("message") or "").lower():
            return await self._did(task["id"], "complete", {"outcome": "wrong_number", "notes": "Not their number"})
        body = {"channel": "sms", "body": ANSWER}
        key = f"sandbox-answer-{task['id']}"
        written = await self._desk.insist("POST", f"/v1/leads/{task['lead_id']}/messages", body, key)
        if written is None or written.status >= 500:
            return False
        if written.status >= 400:
            log.warning("an answer was refused: %s", written.status)  # stopped in the meantime: the task is still done
        return await self._did(task["id"], "complete", {"outcome": "reached", "notes": "Answered"})

    async def _did(self, task_id: str, verb: str, body: dict[str, Any] | None = None) -> bool:
        """One command on a task. A refusal (409: somebody was faster) is no fault, but nothing was done."""
        answer = await self._desk.insist("POST", f"/v1/tasks/{task_id}/{verb}", body or {}, uuid4().hex)
        if answer is None or answer.status >= 400:
            if answer is not None and answer.status != 409:
                log.warning("%s of a task was answered %s", verb, answer.status)
            return False
        return True
