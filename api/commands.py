"""Commands of people: decided under the lead's lock, written as facts with their audit row, then signalled."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import commands, task_commands
from domain import facts as f
from domain.access import Actor, Role, in_scope
from domain.errors import InvalidInput, NotFound
from domain.lead_state import Hold
from domain.schedule import in_flight
from domain.touches import Channel, Disposition
from relay.delivered import DeliveredListener, Waiter
from store import audit, tables
from store.bare_stops import lock_own, stop_at
from store.bookings import Booked, Booking, Bookings, Places, may_arrive_at
from store.lead_unit import Leads, LeadUnit
from store.owed_stops import BLAMELESS
from store.persons import living_selves
from store.reading import facility_of
from store.replies import assign_reply
from store.stops import KIND_OF

Decide = Callable[[LeadUnit], list[f.Fact]]
TEMPORAL_TAKES_WITHIN = 0.2  # real seconds that a stop waits to learn whether Temporal has heard of it


@dataclass(frozen=True)
class Applied:
    """The new state; whether Temporal has taken the signal; and touches that may still arrive, whatever it stopped."""

    state: dict[str, object]
    workflow: str
    in_flight: list[str]


@dataclass
class _Open:
    unit: LeadUnit
    waiter: Waiter | None = None
    in_flight: list[str] = field(default_factory=list)  # beside the lead's own


@dataclass(frozen=True)
class Commands:
    """All that people do with leads and tasks. Raises NotFound, Refused, InvalidInput."""

    leads: Leads
    listener: DeliveredListener
    lease: timedelta = field(default=timedelta(minutes=15))  # product time that a claimed task is held
    held: AsyncConnection | None = None  # a transaction of the caller's, which also keeps the answer
    unheard: list[Waiter] = field(default_factory=list)  # signals of that transaction, to wait for after its commit

    def within(self, conn: AsyncConnection) -> "Commands":
        """The same commands inside a transaction that the caller commits; `unheard` is the caller's to wait for."""
        return replace(self, held=conn, unheard=[])

    async def all_heard(self) -> bool:
        """After the caller's commit: whether Temporal takes every signal of it in time."""
        heard = await asyncio.gather(*(waiter.wait(TEMPORAL_TAKES_WITHIN) for waiter in self.unheard))
        return all(heard)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """The caller's transaction, or one of its own, committed at the end."""
        if self.held is not None:
            yield self.held
        else:
            async with self.leads.store.engine.begin() as conn:
                yield conn

    @property
    def now(self) -> datetime:
        return self.leads.now()

    @asynccontextmanager
    async def _open(self, actor: Actor, lead_id: str, action: str) -> AsyncIterator[_Open]:
        async with self.transaction() as conn:
            async with self.leads.within(conn, lead_id) as unit:
                in_scope(actor, unit.state.facility)
                unit.audit(actor, action)
                held = _Open(unit)
                yield held
            if unit.outbox_id is not None:
                held.waiter = self.listener.expect(unit.outbox_id)

    async def _apply(
        self,
        actor: Actor,
        lead_id: str,
        action: str,
        decide: Decide,
        stops: tuple[Channel, ...] = (),
    ) -> Applied:
        """`stops`: the channels it stops, for every lead with the same address."""
        async with self._open(actor, lead_id, action) as held:
            if stops:
                held.in_flight = await _claimed(held.unit, stops)
            facts = decide(held.unit)
            for fact in facts:
                held.unit.append(fact, actor.name)
        return await self._applied(held)

    async def _applied(self, held: _Open) -> Applied:
        state = held.unit.state
        if self.held is not None and held.waiter is not None:
            self.unheard.append(held.waiter)
            applied = False
        else:
            applied = held.waiter is None or await held.waiter.wait(TEMPORAL_TAKES_WITHIN)
        flying = list(dict.fromkeys(in_flight(state, held.unit.now) + held.in_flight + held.unit.flying))
        return Applied(commands.snapshot(state), "applied" if applied else "pending", flying)

    # --- the lead ----------------------------------------------------------------------------------------------------

    async def pause(self, actor: Actor, lead_id: str, reason: str, until: datetime | None = None) -> Applied:
        def decide(u: LeadUnit) -> list[f.Fact]:
            return commands.pause(u.state, reason, until, u.now)

        return await self._apply(actor, lead_id, "lead_paused", decide)

    async def resume(self, actor: Actor, lead_id: str, mode: commands.Mode, of: Hold | None = None) -> Applied:
        def decide(u: LeadUnit) -> list[f.Fact]:
            return commands.resume(u.state, u.journal.sequence, u.now, mode, of)

        return await self._apply(actor, lead_id, "lead_resumed", decide)

    async def skip(self, actor: Actor, lead_id: str, step: str | None = None) -> tuple[Applied, str]:
        """Answers which step it has left out, too."""
        async with self._open(actor, lead_id, "step_skipped") as held:
            unit = held.unit
            [fact] = commands.skip(unit.state, unit.journal.sequence, unit.now, step)
            skipped = commands.left_out(unit.state, fact)
            unit.append(fact, actor.name)
        return await self._applied(held), skipped

    async def opt_out(self, actor: Actor, lead_id: str, channels: tuple[Channel, ...] | None) -> Applied:
        """Raises NewerFact, with the stop taken: its addresses are shut, and it is told of it once it can be read."""
        wanted, action = channels or tuple(Channel), "lead_opted_out"

        def decide(u: LeadUnit) -> list[f.Fact]:
            u.opt_out(wanted, "entered by a person", actor.name)
            return []

        try:
            async with self._lets_go():
                return await self._apply(actor, lead_id, action, decide, wanted)
        except BLAMELESS:
            raise
        except Exception:
            async with self.leads.store.engine.begin() as conn:
                in_scope(actor, await facility_of(conn, lead_id))
                await stop_at(self.leads, conn, await lock_own(conn, lead_id, wanted))
                await audit.append(conn, actor, action, lead_id, "addresses")
            raise

    def _lets_go(self) -> AbstractAsyncContextManager[object]:
        """Of what failed a transaction of the caller's keeps no lock: another one goes on beside it."""
        return self.held.begin_nested() if self.held is not None else nullcontext()

    async def disqualify(self, actor: Actor, lead_id: str, reason: str) -> Applied:
        def decide(u: LeadUnit) -> list[f.Fact]:
            return commands.disqualify(u.state, reason)

        return await self._apply(actor, lead_id, "lead_disqualified", decide)

    async def enroll(self, actor: Actor, lead_id: str, sequence: str, version: int | None) -> Applied:
        book = self.leads.book
        try:
            wanted = book.latest(sequence) if version is None else book.get(sequence, version)
        except NotFound as e:
            raise InvalidInput("sequence" if version is None else "version", str(e)) from None
        async with self._open(actor, lead_id, "lead_enrolled") as held:
            unit = held.unit
            selves = await living_selves(unit.conn, self.leads.store.vault, lead_id)
            for fact in commands.enroll(unit.state, wanted, unit.now, *selves):
                unit.append(fact, actor.name)
        return await self._applied(held)

    async def note(self, actor: Actor, lead_id: str, text: str) -> Applied:
        async with self._open(actor, lead_id, "note_added") as held:
            held.unit.append(f.Noted(text=text), actor.name)
        return await self._applied(held)

    async def assign(self, actor: Actor, lead_id: str, key_id: str) -> Applied:
        async with self._open(actor, lead_id, "lead_assigned") as held:
            table = tables.api_keys
            query = select(table.c.name, table.c.role).where(
                table.c.id == _uuid("to", key_id), table.c.revoked_at.is_(None)
            )
            key = (await held.unit.conn.execute(query)).first()
            for fact in commands.assign(Actor(key_id, key.name, Role(key.role)) if key is not None else None):
                held.unit.append(fact, actor.name)
        return await self._applied(held)

    async def message(self, actor: Actor, lead_id: str, channel: Channel, body: str, read_to: int | None = None) -> str:
        """A person's own answer, by way of the gate. Answers the touch's id."""
        message_id = str(uuid.uuid4())
        async with self._open(actor, lead_id, "message_written") as held:
            unit = held.unit
            facts = commands.message(unit.state, channel, message_id, unit.now, read_to, actor)
            row = {
                "id": message_id,
                "lead_id": lead_id,
                "direction": "out",
                "channel": channel.value,
                "body": body,
                "at": unit.now,
            }
            sealed = self.leads.store.vault.seal_row(tables.messages, row)
            await unit.conn.execute(insert(tables.messages).values(sealed))
            for fact in facts:
                unit.append(fact, actor.name)
        return facts[0].touch_id

    async def booking(self, actor: Actor | str, booking: Booking, *, free_at: Places = ()) -> Booked:
        async with self.transaction() as conn:
            return await Bookings(self.leads).within(conn, actor, booking, free_at=free_at)

    # --- tasks -------------------------------------------------------------------------------------------------------

    async def claim_task(self, actor: Actor, task_id: str) -> None:
        def decide(u: LeadUnit) -> list[f.Fact]:
            return task_commands.claim(u.state, task_id, actor, u.now, self.lease)

        await self._apply(actor, await self._lead_of(task_id), "task_claimed", decide)

    async def release_task(self, actor: Actor, task_id: str) -> None:
        def decide(u: LeadUnit) -> list[f.Fact]:
            return task_commands.release(u.state, task_id, actor, u.now)

        await self._apply(actor, await self._lead_of(task_id), "task_released", decide)

    async def dial_task(self, actor: Actor, task_id: str) -> None:
        """The actor's own line is called first, so it is kept with the touch."""
        async with self._open(actor, await self._lead_of(task_id), "task_dialled") as held:
            unit, table = held.unit, tables.touches
            for fact in task_commands.dial(unit.state, task_id, actor, unit.now, unit.journal.patience):
                unit.append(fact, actor.name)
                line = self.leads.store.vault.seal_row(table, {"id": fact.touch_id, "line": actor.phone})
                unit.touch_rows[fact.touch_id] = line
        await self._applied(held)

    async def complete_task(
        self,
        actor: Actor,
        task_id: str,
        *,
        disposition: Disposition | None = None,
        outcome: f.Outcome | None = None,
        notes: str | None = None,
        callback_at: datetime | None = None,
        lead_id: str | None = None,
    ) -> Applied:
        """`lead_id`: for a reply that several leads may have written, whose it is."""
        owner = await self._lead_of(task_id)
        async with self._open(actor, owner, "task_completed") as held:
            unit = held.unit
            facts = task_commands.complete(
                unit.state, task_id, actor, disposition, outcome, notes, callback_at, unit.now, lead_id
            )
            for fact in facts:
                unit.append(fact, actor.name)
            stops = [r.fact for r in unit.journal.appended if isinstance(r.fact, f.OptedOut)]
            for stop in stops:  # told on the phone: of whoever has the number, like any other
                held.in_flight += await _claimed(unit, stop.channels)
            task = unit.state.tasks[task_id]
            if task.candidates and lead_id is not None:
                await assign_reply(self.leads, unit, task, lead_id, actor)
        return await self._applied(held)

    async def _lead_of(self, task_id: str) -> str:
        table = tables.tasks
        async with self.transaction() as conn:
            found = await conn.scalar(select(table.c.lead_id).where(table.c.id == _uuid("task_id", task_id)))
        if found is None:
            raise NotFound("no task with this id")
        return str(found)


async def _claimed(unit: LeadUnit, channels: tuple[Channel, ...]) -> list[str]:
    """What may still arrive at the unit's own addresses of these channels, whichever lead's it is."""
    kinds = {KIND_OF[channel] for channel in channels}
    query = may_arrive_at(a for a in unit.addresses if a.kind in kinds and not a.wrong)
    return [str(i) for i in (await unit.conn.execute(query)).scalars()]


def _uuid(field_: str, text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise NotFound(f"no {field_.removesuffix('_id')} with this id") from None
