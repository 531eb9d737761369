"""What the sweep asks the database, and what it leaves there. Times are real (UTC) unless said."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select, text, union, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.lead_state import DIAL, ESCALATED_AFTER, STAFF, STOP, LeadState, State
from domain.priority import Priority
from domain.restored import LOST_FOR
from domain.sequence import Sequence
from domain.sweep import Missed, Stuck, Tally, needs_workflow, stands_still
from store import clocks, outbox
from store.engine import HOLDS
from store.lead_unit import Leads
from store.tables import leads, sweep_tallies, tasks, touches
from store.tables import outbox as entries

log = logging.getLogger(__name__)
# Of strangers not even the number is kept, once nobody of a lost time may come back there.
_FORGETS = text(
    "DELETE FROM addresses a WHERE lost_at < clock_timestamp() - CAST(:lost_for AS interval)"
    " AND NOT EXISTS (SELECT 1 FROM lead_addresses la WHERE la.address_id = a.id)"
    " AND NOT EXISTS (SELECT 1 FROM stops s WHERE s.address_id = a.id)"
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lead that should have a workflow, and when it was taken in."""

    lead_id: str
    since: datetime


@dataclass(frozen=True)
class SweepStore:
    leads: Leads

    async def must_agree(self) -> None:
        """Raises ClocksApart: by a clock that is wrong, who is in time is late, or who is late in time."""
        async with self.leads.store.engine.connect() as conn:
            await clocks.must_agree(conn)

    async def unheard(self, before: datetime) -> Tally:
        """Entries of the outbox that wait for too long though workers are there to deliver them."""
        query = select(func.count(), func.min(entries.c.created_at)).where(waits_too_long(before))
        async with self.leads.store.engine.connect() as conn:
            count, oldest = (await conn.execute(query)).one()
        age = datetime.now(UTC) - oldest if oldest is not None else timedelta(0)
        return Tally(Missed.UNHEARD, count, oldest=age)

    async def hurry(self, before: datetime) -> int:
        """Has the relays try the unheard again at once, and answers how many had been put off."""
        late = (entries.c.created_at < before, entries.c.not_before > func.clock_timestamp())
        async with self.leads.store.engine.begin() as conn:
            put_off = await conn.execute(update(entries).where(*late).values(not_before=func.clock_timestamp()))
            await conn.execute(select(func.pg_notify(outbox.WAKE, ""), literal_column(HOLDS)))
        return put_off.rowcount

    async def claims(self, before: datetime, most: int) -> list[Stuck]:
        """Whose claim's deadline was before that time; each lead once, the oldest first."""
        since = func.min(touches.c.deadline)
        query = (
            select(touches.c.lead_id, since)
            .where(touches.c.status == "claimed", touches.c.deadline < before, ~_told(touches.c.lead_id))
            .group_by(touches.c.lead_id)
            .order_by(since)
            .limit(most)
        )
        async with self.leads.store.engine.connect() as conn:
            return [Stuck(Missed.CLAIM, str(i), at) for i, at in (await conn.execute(query)).all()]

    async def claimed_often(self, tries: int, most: int) -> list[Stuck]:
        """Whose touch was claimed more often than so, and is: each try may claim anew, so no deadline ever passes."""
        since = func.min(touches.c.claimed_at)
        query = (
            select(touches.c.lead_id, since)
            .where(touches.c.status == "claimed", touches.c.deadline.is_not(None), touches.c.attempts > tries)
            .group_by(touches.c.lead_id)
            .order_by(since)
            .limit(most)
        )
        async with self.leads.store.engine.connect() as conn:
            return [Stuck(Missed.FAILING, str(i), at) for i, at in (await conn.execute(query)).all()]

    async def perhaps_due(self, product: datetime, most: int) -> list[str]:
        """Who may have had something to do by then, on the product's clock; where those are more, so many drawn."""
        async with self.leads.store.engine.connect() as conn:
            return [str(i) for i in (await conn.execute(_perhaps_due(product, most))).scalars()]

    async def standing_still(self, perhaps: Iterable[str], then: datetime, product: datetime) -> list[Stuck]:
        """Who of these had something to do at `then`, which is `product` on the product's clock, and has not moved."""
        found: list[Stuck] = []

        def rule(state: LeadState, sequence: Sequence | None) -> Missed | None:
            return stands_still(state, sequence, product, self.leads.patience)

        for lead_id in perhaps:
            kind: Missed | None = await self._says(lead_id, rule, Missed.OVERDUE)
            if kind is not None:
                found.append(Stuck(kind, lead_id, then))
        return found

    async def with_something_to_come(self, after: str | None, before: datetime, most: int) -> list[Waiting]:
        """A page of the leads that may need a workflow, in the order of their ids, taken in before that time."""
        query = (
            select(leads.c.id, leads.c.recorded_at)
            .where(outbox.with_something_to_come(), leads.c.recorded_at < before)
            .order_by(leads.c.id)
            .limit(most)
        )
        if after is not None:
            query = query.where(leads.c.id > after)
        async with self.leads.store.engine.connect() as conn:
            return [Waiting(str(i), at) for i, at in (await conn.execute(query)).all()]

    async def count(self) -> int:
        """How many leads may need a workflow."""
        async with self.leads.store.engine.connect() as conn:
            query = select(func.count()).select_from(leads).where(outbox.with_something_to_come())
            return int(await conn.scalar(query) or 0)

    async def needing(self, missing: list[Waiting]) -> list[Waiting]:
        """Of those without a workflow: who is to have one. Whom Temporal is about to hear of needs no more."""
        ids = [w.lead_id for w in missing]
        told = select(entries.c.lead_id).where(entries.c.lead_id.in_(ids))
        needed = []

        def rule(state: LeadState, sequence: Sequence | None) -> bool:
            return needs_workflow(state, sequence, self.leads.now(), self.leads.patience)

        async with self.leads.store.engine.connect() as conn:
            known = {str(i) for i in (await conn.execute(told)).scalars()} if ids else set()
        for one in missing:
            if one.lead_id not in known and await self._says(one.lead_id, rule, otherwise=True):
                needed.append(one)
        return needed

    async def wake(self, lead_ids: Iterable[str]) -> set[str]:
        """Wakes each once, behind whatever anybody waits for; who was not told already."""
        async with self.leads.store.engine.begin() as conn:
            return await outbox.wake(conn, set(lead_ids), outbox.ANY_SIGNAL)

    async def keep(self, tallies: Iterable[Tally]) -> None:
        """For the metrics of whatever process is asked."""
        rows = [
            {
                "kind": t.kind.value,
                "found": t.found,
                "repaired": t.repaired,
                "oldest": t.oldest.total_seconds(),
                "swept_at": datetime.now(UTC),
            }
            for t in tallies
        ]
        new = insert(sweep_tallies)
        changed: dict[str, Any] = {c: new.excluded[c] for c in ("found", "oldest", "swept_at")}
        changed["repaired"] = sweep_tallies.c.repaired + new.excluded.repaired
        async with self.leads.store.engine.begin() as conn:
            await conn.execute(new.on_conflict_do_update(index_elements=["kind"], set_=changed), rows)
        with suppress(IntegrityError):  # somebody asks from one of these just now
            async with self.leads.store.engine.begin() as conn:
                await conn.execute(_FORGETS, {"lost_for": LOST_FOR})

    async def _says(self, lead_id: str, rule: Callable[[LeadState, Sequence | None], _T], otherwise: _T) -> _T:
        """What the domain says of a lead; `otherwise` where it cannot be read or judged, whatever the cause.

        One such lead must not hide all others. Its own plan fails for the same cause, and is found failing.
        """
        try:
            async with self.leads.store.engine.connect() as conn:
                state = await self.leads.read(conn, lead_id)
            enrollment = state.enrollment
            sequence = self.leads.book.get(enrollment.sequence, enrollment.version) if enrollment else None
            return rule(state, sequence)
        except (SQLAlchemyError, OSError):  # of the database, not of the lead
            raise
        except Exception as error:
            # Its text may hold what was read: only its type is told.
            log.warning("lead %s cannot be judged: %s", lead_id, type(error).__name__)
            return otherwise


def waits_too_long(before: datetime, *, moving: bool = True) -> ColumnElement[bool]:
    """Entries of the outbox from before that time (real), but for those that only wait for their turn.

    What comes in bulk (lists, everybody anew) goes behind all else, lists at a pace of their own: that may take hours.
    While somebody delivers (`moving`) it is late only where its delivery has failed, or was put off.
    """
    old = entries.c.created_at < before
    tried = or_(entries.c.attempts > 0, entries.c.not_before > func.clock_timestamp())
    return and_(old, or_(entries.c.priority <= Priority.CADENCE.value, tried)) if moving else old


def _told(lead_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether Temporal is about to hear of the lead."""
    return select(1).where(entries.c.lead_id == lead_id).exists()


def _perhaps_due(product: datetime, most: int) -> Select[tuple[str]]:
    """Leads that may have had something to do by then: more than have, never fewer.

    Drawn anew each time: of more than can be judged at once nobody stays behind the same others.
    """
    unclaimed = and_(
        tasks.c.claim_by.is_(None),
        tasks.c.escalation < len(ESCALATED_AFTER),
        tasks.c.opened_at <= product - ESCALATED_AFTER[0],
    )
    late = or_(
        and_(tasks.c.state == "claimed", tasks.c.lease_until <= product),
        and_(tasks.c.state == "open", or_(tasks.c.claim_by <= product, unclaimed)),
    )
    living = tasks.c.state.in_(("open", "claimed"))
    # Of several who may have written all wait, for a task of one of them.
    whose = union_all(
        select(tasks.c.lead_id).where(living), select(func.unnest(tasks.c.candidates)).where(living)
    ).subquery()
    asked = select(1).where(whose.c.lead_id == leads.c.id).exists()
    # What a person or a stop asked for goes out all the same (domain.schedule.direct): words, a dialled call.
    goes = or_(
        leads.c.state.not_in((State.PAUSED.value, State.RESTING.value, State.FINISHED.value)),
        touches.c.step.in_((STAFF, STOP)),
        touches.c.part.startswith(DIAL),
    )
    may = union(
        select(leads.c.id).where(leads.c.exit_reason.is_(None), leads.c.next_at <= product),
        # Who rests for a person has no such time until the rest is over. Where no such work is open, the row is behind:
        # another release, which reads the same facts otherwise, wrote it.
        select(leads.c.id).where(leads.c.state == State.RESTING.value, leads.c.next_at.is_(None), ~asked),
        select(touches.c.lead_id)
        .join(leads, leads.c.id == touches.c.lead_id)
        .where(touches.c.status.in_(("planned", "delayed")), touches.c.due_at <= product, goes),
        select(touches.c.lead_id).where(touches.c.look_at <= product),
        select(tasks.c.lead_id).where(late),
    ).subquery()
    return select(may.c.id).where(~_told(may.c.id)).order_by(func.random()).limit(most)


async def kept(conn: AsyncConnection) -> list[tuple[Tally, datetime]]:
    """What the last sweep found, and what all have repaired, with its time."""
    table = sweep_tallies.c
    rows = await conn.execute(select(table.kind, table.found, table.repaired, table.oldest, table.swept_at))
    return [(Tally(Missed(k), f, r, timedelta(seconds=o)), at) for k, f, r, o, at in rows.all()]
