"""Stops of which no fact tells: on an address that is no lead's, or of a lead that this release cannot read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import NewerFact
from domain.touches import Channel
from store import stops
from store.engine import HOLDS
from store.lead_unit import Leads
from store.round_trip import Row, together
from store.stops import KIND_OF

Kinds = Mapping[str, str]  # of addresses, by id
_AT = "SELECT id, kind FROM addresses WHERE kind = %(kind)s AND blind = %(blind)s FOR UPDATE"
_OF = (
    "SELECT a.id FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = %(lead)s AND a.kind = ANY(%(kinds)s) ORDER BY a.id FOR UPDATE OF a"
)
# Asked under these locks: while they were waited for, one may have come, or been found to be somebody else's.
_OWN = (
    "SELECT a.id, a.kind FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = %(lead)s AND a.kind = ANY(%(kinds)s) AND NOT la.wrong"
)
_SHUT = "SELECT address_id, channel FROM stops WHERE address_id = ANY(%(addresses)s::uuid[])"


@asynccontextmanager
async def shuts_unread(leads: Leads, locked: Callable[[AsyncConnection], Awaitable[Kinds]]) -> AsyncIterator[None]:
    """Around a stop. The lead may have a fact that this release cannot read: its addresses are shut all the same.

    In a transaction of its own, for that of the stop has come to nothing, and holds none of them any more. `locked`
    locks them there. Told again, to a release that can, the stop is taken in whole. Raises NewerFact.
    """
    try:
        yield
    except NewerFact:
        async with leads.store.engine.begin() as conn:
            await shut(leads, conn, await locked(conn))
        raise


async def lock_at(leads: Leads, conn: AsyncConnection, kind: str, value: str) -> Kinds:
    """That address, locked."""
    here = {"kind": kind, "blind": leads.store.vault.blind(kind, value)}
    rows, _ = await together(conn, [(_AT, here), (f"SELECT {HOLDS}", {})])
    return _kinds(rows)


async def lock_own(conn: AsyncConnection, lead_id: str, channels: Collection[Channel]) -> Kinds:
    """The lead's own addresses of these channels, locked in the order of their ids; none that it gave by mistake."""
    own = {"lead": lead_id, "kinds": sorted({KIND_OF[channel] for channel in channels})}
    while True:
        async with conn.begin_nested() as locks:
            held, _, rows = await together(conn, [(_OF, own), (f"SELECT {HOLDS}", {}), (_OWN, own)])
            if {row["id"] for row in rows} <= {row["id"] for row in held}:
                return _kinds(rows)
            await locks.rollback()  # so that all are locked in their order


async def shut(leads: Leads, conn: AsyncConnection, addresses: Kinds) -> bool:
    """These addresses, which are locked, on all their channels: SMS and voice are one number. Whether texts went to
    one until now."""
    if not addresses:
        return False
    now = await leads.now_by(conn)
    closes = [(i, channel) for i, kind in sorted(addresses.items()) for channel in Channel if KIND_OF[channel] == kind]
    asked = (_SHUT, {"addresses": list(addresses)})
    known, *_ = await together(conn, [asked, *(stops.stop(i, channel, "opt_out", now) for i, channel in closes)])
    was = {(str(row["address_id"]), row["channel"]) for row in known}
    return any(channel is Channel.SMS and (i, channel.value) not in was for i, channel in closes)


def _kinds(rows: list[Row]) -> Kinds:
    return {str(row["id"]): row["kind"] for row in rows}
