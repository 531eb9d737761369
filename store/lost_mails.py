"""Mails of the time that a copy knows nothing of, of each lead: no list of a carrier holds them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select

from domain.clock import Clock
from domain.facts import Recorded, TouchChanged
from domain.fold import fold
from domain.perhaps_mailed import all_stamped, event_of, perhaps_mailed
from domain.touches import Channel
from domain.went_on import went_over
from store.lead_unit import Leads, LeadUnit
from store.tables import consents, facts, leads, touches

PAGE = 500


@dataclass(frozen=True)
class Lost:
    """The time that the copy knows nothing of (product).

    `wrote`: when who has a number wrote first. `stamped`: whether the times that inquiries say are of its clock.
    """

    since: datetime
    until: datetime
    wrote: Mapping[str, datetime]
    stamped: bool


async def made(book: Leads, clock: Clock, since: datetime, noticed: datetime) -> datetime:
    """When the copy was made at the earliest (product), which by the real clock was at `since`; `noticed`: product.

    A virtual clock that was begun anew meanwhile does not know: then that is when its newest fact was told.
    """
    by_clock = clock.product(since)
    if not clock.virtual:
        return by_clock
    async with book.store.engine.connect() as conn:
        newest = await conn.scalar(select(func.max(facts.c.at)).where(facts.c.at <= noticed))
    return min(by_clock, newest or by_clock)


async def may_have_mails(book: Leads) -> AsyncIterator[str]:
    """The ids of leads that live, and of the finished who may have been written to."""
    open_ = touches.c.status.in_(("planned", "delayed", "claimed"))
    written = select(touches.c.lead_id).where(touches.c.channel == Channel.EMAIL.value, open_)
    may = or_(leads.c.exit_reason.is_(None), leads.c.id.in_(written))
    after: str | None = None
    while True:
        query = select(leads.c.id).where(may).order_by(leads.c.id).limit(PAGE)
        async with book.store.engine.connect() as conn:
            rows = await conn.execute(query.where(leads.c.id > after) if after else query)
            page = [str(i) for i in rows.scalars()]
        for lead_id in page:
            yield lead_id
        if len(page) < PAGE:
            return
        after = page[-1]


async def doubt_mails(book: Leads, lost: Lost, unit: LeadUnit) -> bool:
    """What was due in that time is unknown: nothing has been sent since. Whether there was any."""
    records = await _told_since(book, unit, lost.until)
    copied = fold(unit.lead_id, (r for r in records if r.at <= lost.until)) if records else unit.state
    number = unit.state.enrollment_no
    told_at = event_of(records, number)
    if told_at is None and lost.stamped and copied.enrollment is None and all_stamped(records):
        told_at = await _asked_at(unit)
    over = went_over(copied, unit.state, unit.journal.book, unit.closed, since=lost.since, until=lost.until)
    if over is not None and told_at is None and unit.state.enrollment is not None:
        told_at = unit.state.enrollment.started_at  # what went out of it is known as far as it can be
    mails = list(
        perhaps_mailed(
            unit.state,
            unit.journal.sequence,
            lost.until,
            since=lost.since,
            wrote_at=min((lost.wrote[a.value] for a in unit.addresses if a.value in lost.wrote), default=None),
            copied=copied,
            told_at=told_at,
        )
    )
    for fact in mails:
        unit.append(fact, "system")
    begun = list(over.facts(unit.state)) if over is not None else []
    for fact in begun:
        unit.append(fact, "system")
    return bool(mails) or any(isinstance(fact, TouchChanged) for fact in begun)


async def _asked_at(unit: LeadUnit) -> datetime | None:
    """When the first permission was given that came with its inquiries: a form that is sent anew tells the old time."""
    query = select(func.min(consents.c.at)).where(consents.c.lead_id == unit.lead_id)
    given: datetime | None = await unit.conn.scalar(query)
    return given


async def _told_since(book: Leads, unit: LeadUnit, noticed: datetime) -> list[Recorded]:
    """All its facts, if any came since the copy was noticed: no pause or rest that began later has held anything."""
    if unit.state.last_at is None or unit.state.last_at <= noticed:
        return []
    return list(await book.records(unit.conn, unit.lead_id))
