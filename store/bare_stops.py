"""Stops of which no fact tells as they come: on an address that is no lead's, or of a lead that cannot be read."""

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.touches import Channel
from store import shared_stops, stops
from store.engine import HOLDS
from store.lead_unit import Leads
from store.round_trip import Row, together
from store.stops import KIND_OF

Kinds = Mapping[str, str]  # of addresses, by id
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
_SHUT_AT = (
    "SELECT 1 FROM stops s JOIN addresses a ON a.id = s.address_id WHERE a.kind = %(kind)s AND a.blind = %(blind)s"
    " AND s.channel = %(channel)s AND s.cause = 'opt_out'"
)
_ASKED = (
    "SELECT 1 FROM stops s JOIN lead_addresses la ON la.address_id = s.address_id"
    " WHERE la.lead_id = %(lead)s AND NOT la.wrong AND s.channel = %(channel)s AND s.cause = 'opt_out'"
)


async def stop_at(leads: Leads, conn: AsyncConnection, addresses: Kinds) -> None:
    """These addresses, which are locked, are shut, and each lead of theirs is told, or owed it."""
    await shut(leads, conn, addresses)
    stop = f.OptedOut(channels=tuple(c for c in Channel if KIND_OF[c] in addresses.values()), cause="shared_address")
    [rows] = await together(conn, [shared_stops.with_addresses(addresses)])
    await shared_stops.tell(leads, conn, [stop], rows)


async def is_shut(conn: AsyncConnection, lead_id: str, channel: Channel) -> bool:
    """Whether somebody asked to be left alone there, whichever lead's facts tell of it."""
    [rows] = await together(conn, [(_ASKED, {"lead": lead_id, "channel": channel.value})])
    return bool(rows)


async def is_shut_at(conn: AsyncConnection, blind: bytes, channel: Channel) -> bool:
    """As `is_shut`, of an address by its blind index."""
    at = {"kind": KIND_OF[channel], "blind": blind, "channel": channel.value}
    [rows] = await together(conn, [(_SHUT_AT, at)])
    return bool(rows)


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
