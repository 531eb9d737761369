"""At most one open claim for each address and channel, so that a message found in a provider's list is whose it seems.

Open is a claim until it is settled, and one of unknown outcome until its `deadline` (real), for as long as it is
expected to show. Asked under the lock of the address.
"""

from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ledger import TouchRef
from domain.ports import Search
from store.tables import touches

ALONE = ("claim.open", "another message to this address is still on its way")  # rule and reason
_A_MOMENT = timedelta(seconds=1)


async def free_at(conn: AsyncConnection, address_id: str, ref: TouchRef, now: datetime) -> datetime | None:
    """When the next touch may go to this address (real); None: now."""
    t = touches.c
    open_ = or_(t.status == "claimed", and_(t.status == "unknown", t.deadline > now))
    here = (t.address_id == address_id, t.channel == ref.channel.value, t.id != ref.touch_id, open_)
    until, count = (await conn.execute(select(func.max(t.deadline), func.count()).where(*here))).one()
    if not count:
        return None
    return max(until or now, now + _A_MOMENT)  # a claim past its deadline is being looked for


async def search(conn: AsyncConnection, ref: TouchRef, address_id: str, claimed_at: datetime) -> Search:
    """Where the touch may stand in its provider's list: not where another one to the same address does."""
    t = touches.c
    others = (t.address_id == address_id, t.channel == ref.channel.value, t.id != ref.touch_id)
    next_ = await conn.scalar(select(func.min(t.claimed_at)).where(*others, t.claimed_at > claimed_at))
    known = select(t.provider_id).where(*others, t.provider_id.is_not(None), t.claimed_at >= claimed_at - _A_DAY)
    return Search(claimed_at, next_, frozenset((await conn.execute(known)).scalars()))


_A_DAY = timedelta(days=1)
