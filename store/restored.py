"""A database that was put back from a copy, compared with what the carrier knows; before anything is sent from it."""

import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.fold import fold
from domain.lead_state import LeadState
from domain.opt_out_words import is_opt_out
from domain.ports import CarrierList, InboundSms, Listed
from domain.restored import Claimed, perhaps_mailed, perhaps_sent, stop_for_review, unexplained, waiting, was_sent
from domain.touches import Channel
from store.engine import HOLDS
from store.home import Home
from store.inbound import Inbound
from store.keys import lines
from store.lead_unit import Leads, LeadUnit
from store.round_trip import insert_new, together
from store.tables import addresses, inbound_events, lead_addresses, leads, messages, touches

_LOST_BEFORE = "SELECT lost_at FROM addresses WHERE kind = %(kind)s AND blind = %(blind)s FOR UPDATE"
_LOST = "UPDATE addresses SET lost_at = %(lost_at)s WHERE kind = %(kind)s AND blind = %(blind)s"
# What waits still was not: that a callback has told of it meanwhile does not explain it.
_HANDED_OVER = ("claimed", "accepted", "delivered", "undelivered", "failed", "unknown")
_HOLD = (f"SELECT {HOLDS}", dict[str, Any]())
SLACK = timedelta(minutes=2)  # real: the copy was begun at most so long after a worker had said that it is at work
PAGE = 500


@dataclass
class Compared:
    """What came of it. `strangers`: texts and calls to numbers of no living lead in the copy: it lost who inquired.

    `found`: texts that waited in the copy and were sent since.
    """

    since: datetime  # real
    known: int = 0
    found: int = 0
    stopped: int = 0  # leads, for review
    strangers: int = 0
    replies: int = 0
    stops: int = 0
    mails: int = 0  # of leads, now unknown


@dataclass(frozen=True)
class Comparison:
    """Each step may be done again: what was taken in, stopped or marked is so once."""

    leads: Leads
    clock: Clock
    carrier: CarrierList

    async def compare(self, home: Home) -> Compared:
        """Raises OutcomeUnknown where the carrier's list cannot be read: then nothing is known."""
        assert home.noticed_at is not None
        due = self.clock.product(home.noticed_at)  # what was due later was not sent: nobody has sent since
        await self._doubt_claims()
        done = Compared(home.alive_at - SLACK)
        found = sorted([one async for one in self.carrier.since(done.since)], key=lambda one: one.at)
        unknown: dict[str, list[Listed]] = defaultdict(list)
        for one in await self._unknown(found):
            unknown[one.person].append(one)
        done.known = sum(not one.inbound for one in found) - sum(map(len, unknown.values()))
        wrote = await self._wrote(found, home.noticed_at)
        for one in found:
            if one.inbound and one.channel is Channel.SMS:
                await self._take_in(one, done)
        for number, theirs in unknown.items():
            await self._account(number, theirs, home.noticed_at, due, done)
        await self._mails(due, wrote, done)
        return done

    async def _doubt_claims(self) -> None:
        """That a claim was not used holds of the moment of the copy: it may have been a moment later."""
        async with self.leads.store.engine.begin() as conn:
            await conn.execute(update(touches).where(touches.c.unused.is_not(None)).values(unused=None))

    async def _unknown(self, found: list[Listed]) -> list[Listed]:
        """What was sent, and no touch of the copy knows by its id. A coordinator's own line tells nothing of a lead."""
        sent = [one for one in found if not one.inbound]
        unknown: list[Listed] = []
        for start in range(0, len(sent), PAGE):
            page = sent[start : start + PAGE]
            ids = [one.provider_id for one in page]
            async with self.leads.store.engine.connect() as conn:  # for each: no transaction may last
                sent_by_us = (touches.c.provider_id.in_(ids), touches.c.status.in_(_HANDED_OVER))
                rows = await conn.execute(select(touches.c.provider_id).where(*sent_by_us))
                known = set(rows.scalars())
            unknown += [one for one in page if one.provider_id not in known]
        async with self.leads.store.engine.connect() as conn:
            desks = await lines(conn, self.leads.store.vault)
        return [one for one in unknown if one.channel is not Channel.VOICE or one.person not in desks]

    async def _wrote(self, found: list[Listed], noticed: datetime) -> dict[str, datetime]:
        """When each number wrote first (product) of what the copy did not know; `found` the earliest first."""
        texts = {_event(one): one for one in found if one.inbound and one.channel is Channel.SMS}
        ids, known = list(texts), set[str]()
        for start in range(0, len(ids), PAGE):
            query = select(inbound_events.c.event_id).where(
                inbound_events.c.provider == "twilio",
                inbound_events.c.event_id.in_(ids[start : start + PAGE]),
                inbound_events.c.received_at < noticed,  # later is what we take in
            )
            async with self.leads.store.engine.connect() as conn:
                known |= set((await conn.execute(query)).scalars())
        wrote: dict[str, datetime] = {}
        for event, one in texts.items():
            if event not in known:
                wrote.setdefault(one.person, self.clock.product(one.at))
        return wrote

    async def _take_in(self, one: Listed, done: Compared) -> None:
        """As if the carrier had called us now; what the copy has of it already is not taken again.

        A stop was confirmed at its time: a second confirmation would be one text too many.
        """
        text = InboundSms(_event(one), one.person, one.ours, one.body)
        if await Inbound(self.leads, confirm=False).reply(text):
            done.stops += is_opt_out(one.body)
            done.replies += not is_opt_out(one.body)

    async def _account(self, number: str, left: list[Listed], noticed: datetime, due: datetime, done: Compared) -> None:
        """What neither a claim nor a text that waited accounts for stops all leads of the number."""
        was, ids = await self._lost(number, noticed)
        for lead_id in ids:
            async with self.leads.lead(lead_id) as unit:
                left = unexplained(left, await self._claimed(unit), self.carrier.same)
        for lead_id in ids:
            async with self.leads.lead(lead_id) as unit:
                left = await self._found(unit, number, left, due, done)
        if not left:
            if was != noticed:  # else an earlier run of this restore has marked it: what it was before nobody knows
                await self._not_lost(number, was)
            return
        somebodys = False
        for lead_id in ids:
            async with self.leads.lead(lead_id) as unit:
                calls = sum(one.channel is Channel.VOICE for one in left)
                stopped = stop_for_review(unit.state, noticed, len(left) - calls, calls, unit.now)
                for fact in [*stopped, *perhaps_sent(unit.state, {one.channel for one in left}, due)]:
                    unit.append(fact, "system")
                done.stopped += bool(stopped)
                # to who stopped it was the confirmation
                somebodys = somebodys or unit.state.exit_reason is None or bool(unit.closed)
        if not somebodys:
            done.strangers += len(left)

    async def _lost(self, number: str, noticed: datetime) -> tuple[datetime | None, list[str]]:
        """Has every sequence that begins there from now on stopped for review; the restore (real) that had this done
        before, and who has the number already."""
        vault = self.leads.store.vault
        at = {"kind": "phone", "blind": vault.blind("phone", number)}
        row = vault.seal_row(addresses, {"id": str(uuid.uuid4()), "value": number} | at)
        async with self.leads.store.engine.begin() as conn:
            mark = (_LOST, at | {"lost_at": noticed})
            _, rows, *_ = await together(conn, [insert_new(addresses, row), (_LOST_BEFORE, at), mark, _HOLD])
            return rows[0]["lost_at"], await self._leads_at(conn, number)

    async def _not_lost(self, number: str, was: datetime | None) -> None:
        """As it was: what a restore before could not explain is not explained by this one."""
        at = {"kind": "phone", "blind": self.leads.store.vault.blind("phone", number)}
        async with self.leads.store.engine.begin() as conn:
            await together(conn, [(_LOST, at | {"lost_at": was}), _HOLD])

    async def _claimed(self, unit: LeadUnit) -> list[Claimed]:
        """Touches that were handed over and whose outcome the copy does not know."""
        query = select(touches).where(
            touches.c.lead_id == unit.lead_id,
            touches.c.status.in_(("claimed", "unknown")),
            touches.c.claimed_at.is_not(None),
        )
        rows = (await unit.conn.execute(query)).mappings().all()
        opened = [self.leads.store.vault.open_row(touches, row) for row in rows]
        return [Claimed(Channel(row["channel"]), row["claimed_at"], row["body"]) for row in opened]

    async def _found(
        self, unit: LeadUnit, number: str, left: list[Listed], due: datetime, done: Compared
    ) -> list[Listed]:
        """Settles texts that a person wrote and that the carrier lists; what is left."""
        texts = [touch for touch in waiting(unit.state, {Channel.SMS}, due) if touch.message_id is not None]
        address = next((a.id for a in unit.addresses if a.value == number), None)
        for touch in texts if left else []:
            query = select(messages).where(messages.c.id == touch.message_id)
            row = (await unit.conn.execute(query)).mappings().one()
            body = self.leads.store.vault.open_row(messages, row)["body"]
            same = (one for one in left if one.channel is Channel.SMS and self.carrier.same(one.body, body))
            if (own := next(same, None)) is not None:
                for fact in was_sent(touch):
                    unit.append(fact, "system")
                sent = {"provider_id": own.provider_id, "address_id": address, "claimed_at": own.at}
                unit.touch_rows[touch.touch_id] = sent
                left = [one for one in left if one is not own]
                done.found += 1
        return left

    async def _leads_at(self, conn: AsyncConnection, number: str) -> list[str]:
        blind = self.leads.store.vault.blind("phone", number)
        query = (
            select(leads.c.id)
            .join(lead_addresses, lead_addresses.c.lead_id == leads.c.id)
            .join(addresses, addresses.c.id == lead_addresses.c.address_id)
            .where(addresses.c.kind == "phone", addresses.c.blind == blind, ~lead_addresses.c.wrong)
            .order_by(leads.c.id)
        )
        return [str(i) for i in (await conn.execute(query)).scalars()]

    async def _mails(self, due: datetime, wrote: dict[str, datetime], done: Compared) -> None:
        """What was due by then (product): nothing has been sent since. A finished lead may have been written to.

        `wrote`: when who has that number wrote first (product).
        """
        open_ = touches.c.status.in_(("planned", "delayed", "claimed"))
        written = select(touches.c.lead_id).where(touches.c.channel == Channel.EMAIL.value, open_)
        may = or_(leads.c.exit_reason.is_(None), leads.c.id.in_(written))
        after: str | None = None
        while True:
            query = select(leads.c.id).where(may).order_by(leads.c.id).limit(PAGE)
            async with self.leads.store.engine.connect() as conn:
                rows = await conn.execute(query.where(leads.c.id > after) if after else query)
                page = [str(i) for i in rows.scalars()]
            for lead_id in page:
                async with self.leads.lead(lead_id) as unit:
                    wrote_at = min((wrote[a.value] for a in unit.addresses if a.value in wrote), default=None)
                    copied = await self._copied(unit, due)
                    sequence, now = unit.journal.sequence, unit.now
                    mailed = perhaps_mailed(unit.state, sequence, due, wrote_at=wrote_at, copied=copied, compared=now)
                    facts = list(mailed)
                    for fact in facts:
                        unit.append(fact, "system")
                    done.mails += bool(facts)
            if len(page) < PAGE:
                return
            after = page[-1]

    async def _copied(self, unit: LeadUnit, due: datetime) -> LeadState:
        """The lead as it was when the copy was noticed: no pause or rest that began later has held anything."""
        if unit.state.last_at is None or unit.state.last_at <= due:
            return unit.state
        records = await self.leads.records(unit.conn, unit.lead_id)
        return fold(unit.lead_id, (record for record in records if record.at <= due))


def _event(one: Listed) -> str:
    """The id that its callback has."""
    return f"{one.provider_id}:received"
