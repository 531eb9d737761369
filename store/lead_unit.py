"""One lead under its lock, in one transaction: load, append facts, write what they change, wake the workflow.

Locks are always taken in this order: the lead's addresses by id, then the lead, then (for a stop that reaches further)
the other leads of these addresses by id. Whoever holds an address holds off every claim and stop on it.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.access import Actor
from domain.commands import both_of_a_number, opt_out
from domain.fold import fold
from domain.journal import Journal
from domain.lead_state import LeadState
from domain.next_action import Touch, next_action
from domain.patience import PATIENCE, Patience
from domain.priority import Priority, of_inquiry, of_work
from domain.restored import LOST_FOR, stop_as_lost
from domain.signals import signal_of
from domain.standing import Standing, standing
from domain.stored_fact import StoredFact
from domain.touches import Channel
from store import audit, clocks, lead_rows, outbox, owed_stops, projection, shared_stops, stops, tables
from store.engine import Store
from store.lead_rows import Address
from store.round_trip import Row, Statement, as_one, insert, together, update, upsert
from store.sequences import SequenceBook
from store.states import States
from store.stops import KIND_OF

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class _Joined(Exception):
    """The lead has an address more than those that are locked."""


@dataclass
class LeadUnit:
    """A lead that this transaction holds. Append through it only; it is written when the `lead` context ends."""

    conn: AsyncConnection
    lead_id: str
    journal: Journal
    addresses: tuple[Address, ...]
    closed: frozenset[Channel]
    now: datetime  # product time; never before its newest fact
    before: LeadState
    by_clock: datetime  # product time, whatever its facts say
    ahead: bool = False  # `now` is far ahead of the clock
    skew: timedelta = timedelta(0)  # to be added to this process's clock, which is apart from the database's
    clock: datetime = _LONG_AGO  # the database's, as it was loaded (real)
    new: bool = False  # inserted by this very transaction: its workflow is to be started
    signal: str | None = None  # for the workflow, once this is committed
    outbox_id: int | None = None
    touch_rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id: what is no projection of facts
    after: list[Statement] = field(default_factory=list)  # run once the rows of the new facts are there
    spreads: bool = True  # whether its stops reach the other leads of its addresses
    said: list[f.OptedOut] = field(default_factory=list)  # stops that do, though some may be no news of this lead
    heard_no: int = 0  # the facts up to this one were owed to it: the others of its addresses have heard
    flying: list[str] = field(
        default_factory=list
    )  # once written: what may still arrive of leads that its stops reached
    done: tuple[Actor | str, str] | None = None  # by whom and what, for the audit
    first_name: bytes | None = None  # sealed; None: of one that is new
    also: Sequence[list[Row]] = ()  # what else was asked for with the lead, under its lock
    _stands: tuple[LeadState, datetime, Standing] | None = None

    @property
    def state(self) -> LeadState:
        return self.journal.state

    def append(self, fact: f.Fact, by: str) -> f.Recorded:
        """A fact from outside: the workflow is told if one like it is waited for. A plan writes on its journal."""
        self.signal = self.signal or signal_of(fact)
        return self.journal.append(fact, self.now, by)

    def opt_out(self, channels: tuple[Channel, ...], cause: str, by: str) -> bool:
        """A stop, told again too: it holds for whoever has the address by now. Whether it is news of this lead."""
        news = opt_out(self.state, channels, cause, self.closed)
        for fact in news:
            self.append(fact, by)
        self.said.append(f.OptedOut(channels=both_of_a_number(channels), cause=cause))
        return bool(news)

    def reaches(self, addresses: Sequence[Address], joined: Collection[str]) -> None:
        """Also at those it lacked (ids): what it is to have there now it may have had already."""
        lost_at = _lost_at(a for a in addresses if a.id in joined)
        for fact in stop_as_lost(self.state, lost_at, self.now) if lost_at is not None else ():
            self.journal.append(fact, self.now, "system")

    def audit(self, actor: Actor | str, action: str) -> None:
        """Who did what: one row with the commit. Where nobody says so, the new facts tell it."""
        self.done = (actor, action)

    def standing(self) -> Standing:
        """Where it stands now, reckoned once as long as nothing changes."""
        if self._stands is None or self._stands[0] is not self.state or self._stands[1] != self.now:
            self._stands = (self.state, self.now, standing(self.state, self.journal.sequence, self.now))
        return self._stands[2]

    def address(self, channel: Channel) -> Address | None:
        return next((a for a in self.addresses if a.kind == KIND_OF[channel]), None)


@dataclass
class Leads:
    """Opens units. `now` gives product time, `product` that of a real time; `patience`: on its clock."""

    store: Store
    book: SequenceBook
    now: Callable[[], datetime]
    patience: Patience = PATIENCE
    product: Callable[[datetime], datetime] | None = None
    states: States = field(default_factory=States)
    noticed: clocks.Noticed = field(default_factory=clocks.Noticed)

    @asynccontextmanager
    async def lead(
        self, lead_id: str, now: datetime | None = None, also: Sequence[Statement] = ()
    ) -> AsyncIterator[LeadUnit]:
        """The lead under its lock, committed at the end; an exception rolls everything back. Raises NoSuchLead.

        `now`: by the caller's clock, and heeded unless that is apart from the database's.
        `also`: what else is read once the lock is there, in the same round trip.
        """
        while True:
            async with self.store.engine.begin() as conn:
                try:
                    unit = await self._load(conn, lead_id, now, locked=False, spreads=True, also=also)
                except _Joined:
                    await conn.rollback()  # so that all its addresses are locked in their order
                    continue
                yield unit
                await self._write(unit, commit=True)
            self.states.keep(unit.state)  # committed
            return

    @asynccontextmanager
    async def within(
        self,
        conn: AsyncConnection,
        lead_id: str,
        now: datetime | None = None,
        *,
        locked: bool = False,
        spreads: bool = True,
    ) -> AsyncIterator[LeadUnit]:
        """The same inside a transaction that the caller holds.

        `locked`: the caller holds one of the lead's addresses, and locking a second one now, out of order, could
        deadlock. It holds off claims and stops on that address; what another unit of this lead does on another of
        its addresses comes before or after, by the lead's own lock: look at the state anew.
        """
        unit = await self._within(conn, lead_id, now, locked=locked, spreads=spreads)
        yield unit
        await self._write(unit)

    async def _within(
        self, conn: AsyncConnection, lead_id: str, now: datetime | None, *, locked: bool, spreads: bool
    ) -> LeadUnit:
        while not locked:
            async with conn.begin_nested() as locks:
                try:
                    return await self._load(conn, lead_id, now, locked=False, spreads=spreads)
                except _Joined:
                    await locks.rollback()
        return await self._load(conn, lead_id, now, locked=True, spreads=spreads)

    async def begin(self, conn: AsyncConnection, lead_id: str, state: LeadState, now: datetime) -> LeadUnit:
        """A unit for a lead that this very transaction has inserted (its addresses are locked already)."""
        unit = LeadUnit(conn, lead_id, Journal(state, self.book), (), frozenset(), now, state, now, new=True)
        unit.addresses = await lead_rows.addresses(conn, self.store.vault, lead_id)
        unit.journal.lost_at = _lost_at(unit.addresses)
        return unit

    async def write(self, unit: LeadUnit) -> None:
        await self._write(unit)

    async def _load(
        self,
        conn: AsyncConnection,
        lead_id: str,
        now: datetime | None,
        *,
        locked: bool,
        spreads: bool,
        also: Sequence[Statement] = (),
    ) -> LeadUnit:
        """Raises _Joined where the lead has got an address while its locks were waited for."""
        known = self.states.get(lead_id)
        load = partial(lead_rows.load, conn, self.store.vault, lead_id, locked=locked, also=also)
        rows = await load(after=known.last_no if known else 0)
        if known is not None and rows.known_at != known.last_at:  # another history than the one that is remembered
            known, rows = None, await load()
        skew = await self.noticed.skew(self.store.engine, rows.ahead)
        if rows.joined and not locked:
            raise _Joined
        state = await self._known(conn, fold(lead_id, rows.records, known))
        by_clock = now if now is not None and not skew else self.now_with(skew)
        newest = state.last_at or _LONG_AGO
        unit = LeadUnit(
            conn,
            lead_id,
            Journal(state, self.book, self.patience, _lost_at(rows.addresses)),
            rows.addresses,
            rows.closed,
            max(by_clock, newest),  # another process's clock may be ahead of ours
            state,
            by_clock,
            ahead=newest - by_clock > self.patience.clocks,
            skew=skew,
            clock=rows.clock,
            spreads=spreads,
            first_name=rows.first_name,
            also=rows.also,
        )
        if rows.stops_owed:
            for said in owed_stops.in_order(rows.stops_owed):
                for fact in owed_stops.owed(said, unit.state):
                    unit.append(fact, "system")
            unit.after.append(owed_stops.paid(lead_id))
            unit.heard_no = unit.state.last_no
        return unit

    async def now_by(self, conn: AsyncConnection) -> datetime:
        """Now (product), asked of the database where our clock may be apart from its."""
        return self.now_with(await self.noticed.skew(self.store.engine, await clocks.apart(conn)))

    def now_with(self, skew: timedelta) -> datetime:
        """Now (product), by the database's clock where ours is apart from it by `skew`."""
        if not skew:
            return self.now()
        real = clocks.ours() + skew
        return self.product(real) if self.product is not None else real

    async def read(self, conn: AsyncConnection, lead_id: str) -> LeadState:
        """The state, from the facts."""
        return await self._known(conn, fold(lead_id, await self.records(conn, lead_id)))

    async def _known(self, conn: AsyncConnection, state: LeadState) -> LeadState:
        """The state, once its sequence is on file."""
        enrollment = state.enrollment
        if enrollment is not None and not self.book.knows(enrollment.sequence, enrollment.version):
            await self.book.refresh_by(conn)  # another process has published it
        return state

    async def records(self, conn: AsyncConnection, lead_id: str) -> list[f.Recorded]:
        return await lead_rows.records(conn, self.store.vault, lead_id)

    async def _write(self, unit: LeadUnit, *, commit: bool = False) -> None:
        """All rows in one round trip. A stop that reaches further comes last: it locks other leads."""
        state, appended = unit.state, unit.journal.appended
        statements = [self._fact(unit, record) for record in appended]
        if appended:
            statements += self._project(unit)
            values = projection.lead_row(state, unit.standing())
            statements.append(update(tables.leads, "id", values | {"id": unit.lead_id}))
        statements = as_one([*statements, *self._audit(unit)])
        told_at, tells = len(statements), unit.new or unit.signal is not None
        if tells:
            kind, signal = (outbox.Kind.START, None) if unit.new else (outbox.Kind.SIGNAL, unit.signal)
            priority = of_inquiry(state.source) if unit.new else Priority.INQUIRY
            first = self._first(unit) if unit.new else None
            statements += outbox.entry(unit.lead_id, kind, state.last_no, signal, priority=priority, begins=first)
        own = [record for record in appended if record.no > unit.heard_no] if unit.spreads else []
        reaching = [*stops.reaching(own), *(unit.said if unit.spreads else [])]
        ask = shared_stops.with_addresses(stops.stopped_at(unit.address, reaching), but=unit.lead_id)
        last = [*stops.shut(unit.lead_id, unit.address, own), *unit.after, *([ask] if reaching else [])]
        rows = await together(unit.conn, [*statements, *last], commit=commit and not reaching)
        if tells:
            unit.outbox_id = rows[told_at][0]["id"]
        if reaching:
            unit.flying += await shared_stops.tell(self, unit.conn, reaching, rows[-1], unit.by_clock)

    def _first(self, unit: LeadUnit) -> outbox.First | None:
        """What a new lead waits for: its workflow begins with it, and need not ask first. The claim looks anew."""
        action = next_action(unit.state, unit.journal.sequence, unit.now, self.patience)
        return outbox.first(action, of_work(unit.state, action, unit.now)) if isinstance(action, Touch) else None

    def _fact(self, unit: LeadUnit, record: f.Recorded) -> Statement:
        row = {"lead_id": unit.lead_id, "no": record.no, "at": record.at, "by_actor": record.by}
        return insert(tables.facts, self.store.vault.seal_row(tables.facts, row | asdict(StoredFact.of(record.fact))))

    def _audit(self, unit: LeadUnit) -> list[Statement]:
        """Every change has its row, in its own transaction."""
        appended = unit.journal.appended
        if unit.done is not None:
            return audit.rows(*unit.done, [unit.lead_id])
        if not appended:
            return []
        kinds = sorted({record.fact.kind for record in appended})
        return audit.rows(appended[0].by, "lead_changed", [unit.lead_id], ", ".join(kinds))

    def _project(self, unit: LeadUnit) -> list[Statement]:
        """Rows of touches, tasks and appointments that the new facts changed."""
        before, state, lead_id = unit.before, unit.state, unit.lead_id
        now = datetime.now(UTC)
        touches = [
            upsert(
                tables.touches,
                projection.touch_row(lead_id, t) | {"updated_at": now} | unit.touch_rows.get(t.touch_id, {}),
            )
            for key, t in state.touches.items()
            if before.touches.get(key) is not t and t.channel is not None
        ]
        tasks = [
            upsert(tables.tasks, self.store.vault.seal_row(tables.tasks, projection.task_row(lead_id, t)))
            for key, t in state.tasks.items()
            if before.tasks.get(key) is not t
        ]
        appointments = [
            upsert(tables.appointments, projection.appointment_row(lead_id, a))
            for key, a in state.appointments.items()
            if before.appointments.get(key) is not a
        ]
        return [*touches, *tasks, *appointments]


def _lost_at(addresses: Iterable[Address]) -> datetime | None:
    """When (real) a restore has lost what went there, as long as that counts: see tables.addresses."""
    lost_at = max((a.lost_at for a in addresses if a.lost_at is not None), default=None)
    return lost_at if lost_at is not None and clocks.ours() - lost_at < LOST_FOR else None
