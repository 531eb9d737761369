"""Carries out what is due: changes of status and signed callbacks, kept on disk until the product took them.

A callback that finds nobody or a 5xx is tried again with growing delay, about five minutes in all: the product may be
restarting. Any other answer ends it, as with the real providers.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Iterable

from sandbox.book import Book, Sent, Step
from sandbox.webhooks import NotReached, Webhooks

log = logging.getLogger("sandbox.callbacks")

DELAYS = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 30, 30, 30, 60, 60, 60)  # real seconds
AT_ONCE = 50


class Callbacks:
    """The queue of steps. `on_change` hears of each message whose status changed."""

    def __init__(self, book: Book, webhooks: Webhooks, on_change: Callable[[Sent], None]) -> None:
        self._book = book
        self._webhooks = webhooks
        self._on_change = on_change
        self._due: list[tuple[float, int]] = []
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with what an earlier run left undone."""
        self._due = self._book.pending()
        heapq.heapify(self._due)
        self._loop = asyncio.create_task(self._run(), name="callbacks")

    async def stop(self) -> None:
        tasks = [*self._running, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def expect(self, steps: Iterable[Step]) -> None:
        """Steps that the book has kept already."""
        for step in steps:
            heapq.heappush(self._due, (step.due, step.id))
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            now = time.time()
            while self._due and self._due[0][0] <= now:
                _, step_id = heapq.heappop(self._due)
                task = asyncio.create_task(self._carry_out(step_id))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            wait = self._due[0][0] - now if self._due else None
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _carry_out(self, step_id: int) -> None:
        try:
            begun = self._book.begin_step(step_id)  # a status waits for nobody who is slow to hear of it
            if begun is None:
                return
            step, changed = begun
            if changed is not None:
                self._on_change(changed)
            problem = None if step.url is None else await self._send(step, step.url)
            if problem is None:
                self._book.end_step(step_id)
            elif step.tries < len(DELAYS):
                due = time.time() + DELAYS[step.tries]
                self._book.put_off(step_id, due)
                heapq.heappush(self._due, (due, step_id))
                self._news.set()
            else:
                self._book.end_step(step_id)
                log.warning("callback %s of %s given up: %s", step.status, step.sent_id, problem)
        except Exception:
            log.exception("callback step %s failed", step_id)

    async def _send(self, step: Step, url: str) -> str | None:
        """None if it is done with, else why it must be tried again."""
        try:
            async with self._room:
                if step.provider == "sendgrid":
                    answer = await self._webhooks.sendgrid(url, step.payload)
                else:
                    answer = await self._webhooks.twilio(url, step.payload, token=f"step-{step.id}")
        except NotReached as error:
            return str(error)
        if answer.status >= 500:
            return f"HTTP {answer.status}"
        if answer.status >= 300:
            log.warning("callback %s of %s was answered %s", step.status, step.sent_id, answer.status)
        return None
