"""A database that was put back from a copy, compared with what the carrier knows; before anything is sent from it."""

import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import DATED_BEFORE, Clock
from domain.errors import ClocksApart, NewerFact
from domain.opt_out_words import is_opt_out
from domain.ports import CarrierList, InboundSms, Listed, OutcomeUnknown
from domain.restored import (
    Claimed,
    is_in_time,
    perhaps_sent,
    review_unread,
    second_tries,
    stop_for_review,
    unexplained,
    waiting,
    was_sent,
)
from domain.touches import Channel
from store import owed_stops
from store.engine import AWAY, HOLDS
from store.home import Home
from store.inbound import Inbound
from store.keys import lines
from store.lead_unit import Leads, LeadUnit
from store.lost_mails import Lost, doubt_mails, made, may_have_mails
from store.round_trip import insert_new, together
from store.tables import addresses, inbound_events, lead_addresses, leads, messages, touches

_LOST_BEFORE = "SELECT lost_at FROM addresses WHERE kind = %(kind)s AND blind = %(blind)s FOR UPDATE"
_LOST = "UPDATE addresses SET lost_at = %(lost_at)s WHERE kind = %(kind)s AND blind = %(blind)s"
# What waits still was not: that a callback has told of it meanwhile does not explain it.
_HANDED_OVER = ("claimed", "accepted", "delivered", "undelivered", "failed", "unknown")
_HOLD = (f"SELECT {HOLDS}", dict[str, Any]())
SLACK = timedelta(minutes=2)  # real: the copy was begun at most so long after a worker had said that it is at work
PAGE = 500
# What else goes wrong is for want of one lead: a fact of a later release, a key that is gone, a sequence that is.
_OF_NO_LEAD = (*AWAY, SQLAlchemyError, ClocksApart)
_T = TypeVar("_T")


@dataclass
class Compared:
    """What came of it. `strangers`: texts and calls to numbers of no living lead in the copy, and texts from numbers of
    none: it lost who inquired.

    `found`: texts that waited in the copy and were sent since. `stops_of_nobody`: from numbers of no lead in the copy;
    they are shut. `unread`: leads that could not be compared, by id, and the type of the error; so are those with a
    number of which a text was `untaken`, for one of them could not be read. `newer`: what was said of facts of a later
    release, which it names.
    """

    since: datetime  # real
    known: int = 0
    found: int = 0
    stopped: int = 0  # leads, for review
    strangers: int = 0
    replies: int = 0
    stops: int = 0
    stops_of_nobody: int = 0
    untaken: int = 0
    mails: int = 0  # of leads, now unknown
    unread: dict[str, str] = field(default_factory=dict)
    newer: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether everybody was compared, and all texts were taken in."""
        return not self.unread and not self.untaken

    def failed(self, lead_ids: Iterable[str], error: Exception) -> None:
        self.unread = dict.fromkeys(lead_ids, type(error).__name__) | self.unread
        if isinstance(error, NewerFact) and str(error) not in self.newer:
            self.newer.append(str(error))


@dataclass(frozen=True)
class Comparison:
    """Each step may be done again: what was taken in, stopped or marked is so once.

    A lead that cannot be read, or that a rule fails with, keeps none of the others from being compared. Once that is
    mended it is compared in the next run, or a person has it gone on without (`owe_reviews`).
    """

    leads: Leads
    clock: Clock
    carrier: CarrierList

    async def compare(self, home: Home) -> Compared:
        """Raises OutcomeUnknown where the carrier's list cannot be read, or hides numbers: then nothing is known."""
        assert home.noticed_at is not None
        due = self.clock.product(home.noticed_at)  # what was due later was not sent: nobody has sent since
        await self._doubt_claims()
        done = Compared(home.alive_at - SLACK)
        found = sorted([one async for one in self.carrier.since(done.since)], key=lambda one: one.at)
        heard, sent = await self._heard(found), await self._unknown(found)
        _refuse_hidden([*sent, *(one for one in _texts(found) if _event(one) not in heard)])
        done.known = sum(not one.inbound for one in found) - len(sent)
        found = [one for one in found if one.person]  # what hides its number was known by its id
        unknown: dict[str, list[Listed]] = defaultdict(list)
        for one in sent:
            unknown[one.person].append(one)
        wrote = self._wrote(found, heard, home.noticed_at)
        await self._take_in(found, heard, done)
        for number, theirs in unknown.items():
            await self._account(number, theirs, home.noticed_at, due, done)
        await self._strangers(found, heard, home.noticed_at, done)
        lost = Lost(await made(self.leads, self.clock, done.since, due), due, wrote, not self.clock.virtual)
        async for lead_id in may_have_mails(self.leads):
            done.mails += await self._of(lead_id, partial(doubt_mails, self.leads, lost), False, done)
        return done

    async def owe_reviews(self, home: Home, done: Compared) -> None:
        """Goes on without the unread: each opens its review as the first thing that it hears (store/owed_stops.py)."""
        assert home.noticed_at is not None
        due = self.clock.product(home.noticed_at)
        for lead_id in done.unread:
            review = review_unread(lead_id, home.noticed_at, due)
            async with self.leads.store.engine.begin() as conn:
                await owed_stops.owe(conn, lead_id, [review])
                await together(conn, [_HOLD])

    async def _of(self, lead_id: str, do: Callable[[LeadUnit], Awaitable[_T]], otherwise: _T, done: Compared) -> _T:
        """What is done with one lead, in a transaction of its own; `otherwise` where that lead cannot be compared."""
        try:
            async with self.leads.lead(lead_id) as unit:
                answer = await do(unit)
        except _OF_NO_LEAD:
            raise
        except Exception as error:
            done.failed([lead_id], error)
            return otherwise
        return answer

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

    def _wrote(self, found: list[Listed], heard: dict[str, datetime], noticed: datetime) -> dict[str, datetime]:
        """When each number wrote first (product) of what the copy did not know; `found` the earliest first."""
        wrote: dict[str, datetime] = {}
        for one in _texts(found):
            at = heard.get(_event(one))
            if at is None or at >= noticed:  # then it was we who have taken it in
                wrote.setdefault(one.person, self.clock.product(one.at))
        return wrote

    async def _heard(self, found: list[Listed]) -> dict[str, datetime]:
        """When (real) those of the texts were taken in that were, by their events."""
        ids, heard = [_event(one) for one in _texts(found)], dict[str, datetime]()
        for start in range(0, len(ids), PAGE):
            query = select(inbound_events.c.event_id, inbound_events.c.received_at).where(
                inbound_events.c.provider == "twilio", inbound_events.c.event_id.in_(ids[start : start + PAGE])
            )
            async with self.leads.store.engine.connect() as conn:
                heard |= {row.event_id: row.received_at for row in await conn.execute(query)}
        return heard

    async def _take_in(self, found: list[Listed], heard: dict[str, datetime], done: Compared) -> None:
        """As if the carrier had called us now, stops first; what the copy has of it already is not taken again.

        A stop was confirmed at its time: a second confirmation would be one text too many.
        """
        inbound = Inbound(self.leads, confirm=False)
        for one in sorted(_texts(found), key=lambda one: not is_opt_out(one.body)):
            stop = is_opt_out(one.body)
            try:
                taken = await inbound.reply(InboundSms(_event(one), one.person, one.ours, one.body))
            except _OF_NO_LEAD:
                raise
            except Exception as error:  # nothing of it is kept: whose of the number it is a person must see
                async with self.leads.store.engine.connect() as conn:
                    done.failed(await self._leads_at(conn, one.person), error)
                done.untaken += 1
                continue
            done.stops += stop and taken
            done.replies += taken and not stop
            done.stops_of_nobody += stop and not taken and _event(one) not in heard

    async def _account(self, number: str, left: list[Listed], noticed: datetime, due: datetime, done: Compared) -> None:
        """What neither a claim nor a text that waited accounts for stops all leads of the number."""
        was, theirs = await self._lost(number, noticed)
        for lead_id in theirs:
            claims = await self._of(lead_id, self._claimed, None, done)
            left = unexplained(left, claims or [], self.carrier.same)
        for lead_id in theirs:
            fewer = await self._of(lead_id, partial(self._found, number, left, due), left, done)
            done.found, left = done.found + len(left) - len(fewer), fewer
        if not left:
            if was != noticed:  # else an earlier run of this restore has marked it: what it was before nobody knows
                await self._not_lost(number, was)
            return
        somebodys = False
        for lead_id, living in theirs.items():
            stop = partial(self._stop, left, noticed, due)
            stopped, own = await self._of(lead_id, stop, (False, living), done)
            done.stopped += stopped
            somebodys = somebodys or own
        if not somebodys:
            done.strangers += len(left)

    async def _strangers(
        self, found: list[Listed], heard: dict[str, datetime], noticed: datetime, done: Compared
    ) -> None:
        """Who wrote and is no lead may have asked in the lost time: a mail may have gone there, which nobody lists.

        Since it was noticed nobody became a lead that is not in it.
        """
        until = noticed + DATED_BEFORE
        texts = (one for one in _texts(found) if one.at < until and not is_opt_out(one.body))
        wrote = [one for one in texts if _event(one) not in heard]
        for number in {one.person for one in wrote}:
            async with self.leads.store.engine.connect() as conn:
                known = await self._leads_at(conn, number)
            if not known:
                await self._lost(number, noticed)
                done.strangers += sum(one.person == number for one in wrote)

    async def _stop(self, left: list[Listed], noticed: datetime, due: datetime, unit: LeadUnit) -> tuple[bool, bool]:
        """Whether that stopped the lead, and whether it is one to whom what is left may have gone."""
        calls = sum(one.channel is Channel.VOICE for one in left)
        stopped = stop_for_review(unit.state, noticed, len(left) - calls, calls, unit.now)
        for fact in [*stopped, *perhaps_sent(unit.state, {one.channel for one in left}, due)]:
            unit.append(fact, "system")
        # to who stopped it was the confirmation
        return bool(stopped), unit.state.exit_reason is None or bool(unit.closed)

    async def _lost(self, number: str, noticed: datetime) -> tuple[datetime | None, dict[str, bool]]:
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

    async def _found(self, number: str, left: list[Listed], due: datetime, unit: LeadUnit) -> list[Listed]:
        """Settles texts that a person wrote and that the carrier lists; what is left."""
        again = second_tries(unit.state)
        texts = [touch for touch in waiting(unit.state, {Channel.SMS}, due) if touch.message_id is not None] + again
        address = next((a.id for a in unit.addresses if a.value == number), None)
        for touch in texts if left else []:
            query = select(messages).where(messages.c.id == touch.message_id)
            row = (await unit.conn.execute(query)).mappings().one()
            body = self.leads.store.vault.open_row(messages, row)["body"]
            same = (one for one in left if one.channel is Channel.SMS and self.carrier.same(one.body, body))
            if touch in again:
                same = (one for one in same if is_in_time(touch, self.clock.product(one.at)))
            if (own := next(same, None)) is not None:
                for fact in was_sent(touch):
                    unit.append(fact, "system")
                sent = {"provider_id": own.provider_id, "address_id": address, "claimed_at": own.at}
                unit.touch_rows[touch.touch_id] = sent
                left = [one for one in left if one is not own]
        return left

    async def _leads_at(self, conn: AsyncConnection, number: str) -> dict[str, bool]:
        """Who has the number, by id, and whether its row says that it lives."""
        blind = self.leads.store.vault.blind("phone", number)
        query = (
            select(leads.c.id, leads.c.exit_reason.is_(None).label("living"))
            .join(lead_addresses, lead_addresses.c.lead_id == leads.c.id)
            .join(addresses, addresses.c.id == lead_addresses.c.address_id)
            .where(addresses.c.kind == "phone", addresses.c.blind == blind, ~lead_addresses.c.wrong)
            .order_by(leads.c.id)
        )
        return {str(row.id): row.living for row in await conn.execute(query)}


def _refuse_hidden(unknown: list[Listed]) -> None:
    """Raises OutcomeUnknown where the list does not say whose something is that the copy does not know by its id."""
    if hidden := sum(not one.person for one in unknown):
        raise OutcomeUnknown(f"it hides the numbers of {hidden} texts or calls that the copy does not know")


def _texts(found: Iterable[Listed]) -> list[Listed]:
    """What people wrote, each once."""
    return list({_event(one): one for one in found if one.inbound and one.channel is Channel.SMS}.values())


def _event(one: Listed) -> str:
    """The id that its callback has."""
    return f"{one.provider_id}:received"
