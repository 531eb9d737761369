"""A database that was put back from a copy, compared with what the carrier knows; before anything is sent from it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.opt_out_words import is_opt_out
from domain.ports import CarrierList, InboundSms, Listed
from domain.restored import perhaps_mailed, stop_for_review
from domain.touches import Channel
from store.home import Home
from store.inbound import Inbound
from store.keys import lines
from store.lead_unit import Leads
from store.tables import addresses, lead_addresses, leads, touches

SLACK = timedelta(minutes=2)  # real: the copy was begun at most so long after a worker had said that it is at work
PAGE = 500


@dataclass
class Compared:
    """What came of it. `strangers`: texts and calls to numbers of no lead in the copy, which are inquiries it lost."""

    since: datetime  # real
    known: int = 0
    stopped: int = 0  # leads, for review
    strangers: int = 0
    replies: int = 0
    stops: int = 0
    mails: int = 0  # of leads, now unknown


@dataclass
class _Unknown:
    texts: list[Listed] = field(default_factory=list)
    calls: list[Listed] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Each step may be done again: what was taken in, stopped or marked is so once."""

    leads: Leads
    clock: Clock
    carrier: CarrierList

    async def compare(self, home: Home) -> Compared:
        """Raises OutcomeUnknown where the carrier's list cannot be read: then nothing is known."""
        assert home.noticed_at is not None
        done = Compared(home.alive_at - SLACK)
        found = sorted([one async for one in self.carrier.since(done.since)], key=lambda one: one.at)
        unknown: dict[str, _Unknown] = defaultdict(_Unknown)
        for one in await self._unknown(found):
            (unknown[one.person].texts if one.channel is Channel.SMS else unknown[one.person].calls).append(one)
        done.known = sum(not one.inbound for one in found) - sum(len(u.texts) + len(u.calls) for u in unknown.values())
        for one in found:
            if one.inbound and one.channel is Channel.SMS:
                await self._take_in(one, done)
        for number, theirs in unknown.items():
            await self._stop(number, theirs, home.noticed_at, done)
        await self._mails(self.clock.product(home.noticed_at), done)
        return done

    async def _unknown(self, found: list[Listed]) -> list[Listed]:
        """What was sent, and no touch of the copy knows by its id. A coordinator's own line tells nothing of a lead."""
        sent = [one for one in found if not one.inbound]
        unknown: list[Listed] = []
        async with self.leads.store.engine.connect() as conn:
            for start in range(0, len(sent), PAGE):
                page = sent[start : start + PAGE]
                ids = [one.provider_id for one in page]
                rows = await conn.execute(select(touches.c.provider_id).where(touches.c.provider_id.in_(ids)))
                known = set(rows.scalars())
                unknown += [one for one in page if one.provider_id not in known]
            desks = await lines(conn, self.leads.store.vault)
        return [one for one in unknown if one.channel is not Channel.VOICE or one.person not in desks]

    async def _take_in(self, one: Listed, done: Compared) -> None:
        """As if the carrier had called us now; what the copy has of it already is not taken again.

        A stop was confirmed at its time: a second confirmation would be one text too many.
        """
        text = InboundSms(f"{one.provider_id}:received", one.person, one.ours, one.body)
        if await Inbound(self.leads, confirm=False).reply(text):
            done.stops += is_opt_out(one.body)
            done.replies += not is_opt_out(one.body)

    async def _stop(self, number: str, found: _Unknown, noticed: datetime, done: Compared) -> None:
        async with self.leads.store.engine.connect() as conn:
            ids = await self._leads_at(conn, number)
        if not ids:
            done.strangers += len(found.texts) + len(found.calls)
        for lead_id in ids:
            async with self.leads.lead(lead_id) as unit:
                claimed = await _claimed(unit.conn, lead_id)
                texts = _unexplained(found.texts, claimed[Channel.SMS])
                calls = _unexplained(found.calls, claimed[Channel.VOICE])
                facts = stop_for_review(unit.state, noticed, texts, calls, unit.now) if texts or calls else []
                for fact in facts:
                    unit.append(fact, "system")
                done.stopped += bool(facts)

    async def _leads_at(self, conn: AsyncConnection, number: str) -> list[str]:
        blind = self.leads.store.vault.blind("phone", number)
        query = (
            select(leads.c.id)
            .join(lead_addresses, lead_addresses.c.lead_id == leads.c.id)
            .join(addresses, addresses.c.id == lead_addresses.c.address_id)
            .where(addresses.c.kind == "phone", addresses.c.blind == blind)
            .order_by(leads.c.id)
        )
        return [str(i) for i in (await conn.execute(query)).scalars()]

    async def _mails(self, noticed: datetime, done: Compared) -> None:
        """What was due before it was noticed (product): nothing has been sent since."""
        after: str | None = None
        while True:
            query = select(leads.c.id).where(leads.c.exit_reason.is_(None)).order_by(leads.c.id).limit(PAGE)
            async with self.leads.store.engine.connect() as conn:
                rows = await conn.execute(query.where(leads.c.id > after) if after else query)
                page = [str(i) for i in rows.scalars()]
            for lead_id in page:
                async with self.leads.lead(lead_id) as unit:
                    facts = list(perhaps_mailed(unit.state, unit.journal.sequence, noticed))
                    for fact in facts:
                        unit.append(fact, "system")
                    done.mails += bool(facts)
            if len(page) < PAGE:
                return
            after = page[-1]


async def _claimed(conn: AsyncConnection, lead_id: str) -> dict[Channel, list[datetime]]:
    """When touches were handed over whose outcome the copy does not know: they are looked for by themselves."""
    query = select(touches.c.channel, touches.c.claimed_at).where(
        touches.c.lead_id == lead_id,
        touches.c.status.in_(("claimed", "unknown")),
        touches.c.claimed_at.is_not(None),
    )
    out: dict[Channel, list[datetime]] = {channel: [] for channel in Channel}
    for channel, at in (await conn.execute(query)).all():
        out[Channel(channel)].append(at)
    return out


def _unexplained(found: Iterable[Listed], claimed: list[datetime]) -> int:
    """How many no claim of the copy accounts for: each may account for the first that came after it."""
    left = sorted(found, key=lambda one: one.at)
    for at in sorted(claimed):
        own = next((one for one in left if one.at >= at - SLACK), None)
        if own is not None:
            left.remove(own)
    return len(left)
