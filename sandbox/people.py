"""The people who answer: who gets which persona, and what each does once a text has arrived."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from sandbox.book import Sent
from sandbox.booking import book, link_in
from sandbox.cast import BOOKS_AFTER, COORDINATOR, NOBODY, PERSONAS, Manner, Persona, Reply
from sandbox.config import SandboxConfig
from sandbox.desk import Desk
from sandbox.inbound import AS_A_PERSON, Inbound
from sandbox.memory import Memory
from sandbox.times import ProductTime, iso
from sandbox.webhooks import Http, NotReached

log = logging.getLogger("sandbox.people")

COMPLETED_AFTER = timedelta(minutes=45)  # product time after the start
MISSED_AFTER = timedelta(minutes=30)


class People:
    """Reacts to what reaches a number. Plans live in memory: who was about to act at a restart has lost interest,
    until the next text. Who has acted is kept on disk and does not act twice."""

    def __init__(
        self,
        config: SandboxConfig,
        *,
        memory: Memory,
        clock: ProductTime,
        http: Http,
        inbound: Inbound,
        desk: Desk | None,
    ) -> None:
        self._config = config
        self._memory = memory
        self._clock = clock
        self._http = http
        self._inbound = inbound
        self._desk = desk
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def meet(self, to: str) -> None:
        """A new number gets the next persona in turn."""
        names = self._config.leads
        if names and self._memory.persona(to) is None:
            self._memory.set_persona(to, names[self._memory.met_in_turn() % len(names)], in_turn=True)

    def call_up(self, to: str) -> None:
        """Who is called outright, and is nobody known, sits at a desk: leads are dialled from there."""
        if self._memory.persona(to) is None:
            self._memory.set_persona(to, COORDINATOR, in_turn=False)

    def manner(self, to: str) -> Manner:
        return self._persona(to).manner

    def on_change(self, sent: Sent) -> None:
        """A message's status changed: a text that arrived may move somebody to act."""
        if sent.channel != "sms" or sent.status != "delivered" or sent.to in self._busy:
            return
        persona = self._persona(sent.to)
        if persona is NOBODY or self._memory.has_acted(sent.to):
            return
        if persona.reply is not None:
            self._go(sent.to, self._reply(sent.to, persona.reply))
        elif persona.shows is not None and (url := link_in(sent.content["body"])):
            self._go(sent.to, self._visit(sent.to, url, persona.shows))

    def _persona(self, to: str) -> Persona:
        name = self._memory.persona(to)
        return NOBODY if name is None else PERSONAS[name]

    def _go(self, who: str, act: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await act
            except Exception:
                log.exception("a persona broke")
            finally:
                self._busy.discard(who)

        self._busy.add(who)
        task = asyncio.create_task(run(), name="persona")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, who: str, reply: Reply) -> None:
        await self._clock.sleep(reply.after)
        self._memory.set_acted(who)
        try:
            await self._inbound.text(who, None, reply.body, AS_A_PERSON)
        except NotReached as error:
            log.warning("a persona's reply was not taken: %s", error)

    async def _visit(self, who: str, url: str, shows: bool) -> None:
        await self._clock.sleep(BOOKS_AFTER)
        self._memory.set_acted(who)
        appointment = await book(self._http, url)
        if appointment is None:
            log.warning("a persona could not book: the page offered no time, or booking failed")
            return
        if shows:
            await self._tell(appointment.id, "arrived", appointment.starts_at)
            await self._tell(appointment.id, "completed", appointment.starts_at + COMPLETED_AFTER)
        else:
            await self._tell(appointment.id, "no_show", appointment.starts_at + MISSED_AFTER)

    async def _tell(self, appointment_id: str, event: str, at: datetime) -> None:
        """As the practice's scheduler: the event, when its product time has come."""
        await self._clock.until(at)
        assert self._desk is not None, "checked when the persona was given"
        body = {"event": event, "appointment_id": appointment_id, "occurred_at": iso(at)}
        answer = await self._desk.insist("POST", "/v1/bookings", body, f"sandbox-{appointment_id}-{event}")
        if answer is None or answer.status >= 300:
            log.warning("event %s was not taken: %s", event, answer.status if answer else "nobody there")
