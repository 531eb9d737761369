"""What holds a touch back though it may go out: limits of its sender, and a provider that asked for patience.

Asked as the last thing before the claim, under the lead's lock. Rows are locked in one order: of a lead, of a day's
count (a place given back before one is taken), of a brake.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import backpressure as rules
from domain import desk
from domain.backpressure import Limits
from domain.priority import Priority
from domain.task_reactions import OVER
from domain.touches import Channel
from store.round_trip import Statement
from store.tables import brakes, day_counts, touches

_LINES = text("SELECT pg_advisory_xact_lock(7300002)")  # any constant: calls are counted one at a time
_GIVE_BACK = "UPDATE day_counts SET taken = taken - 1 WHERE channel = %(channel)s AND day = %(day)s AND taken > 0"
_SETTLED_BY = timedelta(minutes=1)  # real, after its deadline; a claim that is still open hangs, and gives nothing back
_CALL_LASTS = timedelta(minutes=30)  # real; a call of which nothing was heard for so long is over

_RINGS = (touches.c.channel == Channel.VOICE.value, touches.c.status == "delayed", touches.c.rule == desk.RINGS)


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Until when (real), by which rule and why."""

    until: datetime
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Backpressure:
    limits: Limits = field(default_factory=Limits)

    async def holds(
        self, conn: AsyncConnection, channel: Channel, priority: Priority, now: datetime, brake: datetime | None
    ) -> HeldBack | None:
        """None: it goes now, and counts. `brake`: until when the channel waits for its provider (real)."""
        if brake is not None and brake > now:
            return await self.waits(conn, channel, priority, now)
        if channel is Channel.VOICE and self.limits.calls is not None and await self._lines_taken(conn, now):
            reason = f"all lines are taken ({self.limits.calls})"
            return HeldBack(now + rules.CALLS_FULL_FOR, "cap.calls", reason)
        limit = self.limits.per_day.get(channel)
        if limit is None:
            return None
        share = rules.share_of_day(limit, priority)
        if await _count(conn, channel, share, now):
            return None
        reached = f"the day's limit of {limit} is reached for {channel}"
        if await _may_come_free(conn, channel, share, now):
            reason = f"{reached}, if all that is on its way is taken"
            return HeldBack(now + rules.DAY_FULL_FOR, "cap.day", reason)
        return HeldBack(rules.next_day(now), "cap.day", reached)

    async def patience(self, conn: AsyncConnection, channel: Channel, until: datetime) -> None:
        """The provider has too much of this channel's: nothing of it goes before `until`."""
        row = insert(brakes).values(channel=channel.value, until=until, waiting=0)
        over = brakes.c.until < func.clock_timestamp()
        longer = {
            "until": func.greatest(brakes.c.until, row.excluded.until),
            "waiting": case((over, 0), else_=brakes.c.waiting),
            "inquiries": case((over, 0), else_=brakes.c.inquiries),
        }
        await conn.execute(row.on_conflict_do_update(index_elements=["channel"], set_=longer))

    async def waits(self, conn: AsyncConnection, channel: Channel, priority: Priority, now: datetime) -> HeldBack:
        """The touch's place among those that wait for the provider: one after the other, not all at once.

        Who has just asked stands behind who has, too, alone.
        """
        own = brakes.c.inquiries if priority <= Priority.INQUIRY else brakes.c.waiting
        before = own if priority <= Priority.INQUIRY else brakes.c.waiting + brakes.c.inquiries
        mine = update(brakes).where(brakes.c.channel == channel.value).values({own: own + 1})
        until, place = (await conn.execute(mine.returning(brakes.c.until, before))).one()
        back = rules.comes_back(max(until, now), place - 1, priority, self.limits.per_second.get(channel))
        return HeldBack(back, "channel.busy", "the provider has asked to send more slowly")

    def gives_back(self, channel: Channel, counted: datetime) -> Statement:
        """Of a touch that was counted then (real) and not taken: it counts for nothing, on the day that it was of."""
        return _GIVE_BACK, {"channel": channel.value, "day": rules.day_of(counted)}

    async def _lines_taken(self, conn: AsyncConnection, now: datetime) -> bool:
        await conn.execute(_LINES)
        t = touches.c
        on = (t.channel == Channel.VOICE.value, t.status.in_(("claimed", "accepted")), t.claimed_at > now - _CALL_LASTS)
        # The lead's line is taken together with the coordinator's, which may ring on after the task has left the hand.
        dropped = and_(t.channel == Channel.VOICE.value, t.status == "skipped", t.rule == OVER)
        legs = (or_(and_(*_RINGS), dropped), t.leg_at > now - desk.WAITS)
        count = select(func.count()).select_from(touches)
        taken = (await conn.scalar(count.where(*on)) or 0) + (await conn.scalar(count.where(*legs)) or 0)
        return self.limits.calls is not None and taken >= self.limits.calls


async def _count(conn: AsyncConnection, channel: Channel, limit: int, now: datetime) -> bool:
    """Counts one more of the day, unless that were more than `limit`."""
    row = insert(day_counts).values(channel=channel.value, day=rules.day_of(now), taken=1)
    more = row.on_conflict_do_update(
        index_elements=["channel", "day"], set_={"taken": day_counts.c.taken + 1}, where=day_counts.c.taken < limit
    )
    return limit > 0 and (await conn.execute(more.returning(day_counts.c.taken))).first() is not None


async def _may_come_free(conn: AsyncConnection, channel: Channel, limit: int, now: datetime) -> bool:
    """Whether places are held by what its provider may yet refuse: then they are given back."""
    t, of_day = touches.c, (day_counts.c.channel == channel.value, day_counts.c.day == rules.day_of(now))
    held = and_(t.channel == channel.value, t.status == "claimed", t.deadline > now - _SETTLED_BY)
    if channel is Channel.VOICE:
        held = or_(held, and_(*_RINGS, t.leg_at > now - desk.WAITS))
    open_ = select(func.count()).select_from(touches).where(held).scalar_subquery()
    taken = select(day_counts.c.taken - open_).where(*of_day)
    return limit > 0 and (await conn.scalar(taken) or 0) < limit
