"""The rows of one lead: locked and read in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.consequences import PHONE
from domain.errors import NoSuchLead
from domain.stored_fact import StoredFact
from domain.touches import Channel
from store import clocks, tables
from store.engine import HOLDS
from store.round_trip import Row, Statement, together
from store.vault import Vault

# The addresses by id, then the lead: what counts them comes first, so its lock is taken last.
_LOCK = (
    "WITH a AS MATERIALIZED ("
    " SELECT a.id, a.kind, a.value, a.lost_at FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = %(lead)s ORDER BY a.id FOR UPDATE OF a),"
    " l AS MATERIALIZED ("
    " SELECT last_fact, first_name, stops_owed FROM leads"
    " WHERE id = %(lead)s AND (SELECT count(*) FROM a) >= 0 FOR UPDATE)"
    " SELECT l.last_fact, l.first_name, l.stops_owed, a.id, a.kind, a.value, a.lost_at FROM l"
    " LEFT JOIN a ON true ORDER BY a.id"
)
_LOCK_LEAD = (
    "WITH l AS MATERIALIZED (SELECT last_fact, first_name, stops_owed FROM leads WHERE id = %(lead)s FOR UPDATE)"
    " SELECT l.last_fact, l.first_name, l.stops_owed, a.id, a.kind, a.value, a.lost_at FROM l"
    " LEFT JOIN lead_addresses la ON la.lead_id = %(lead)s"
    " LEFT JOIN addresses a ON a.id = la.address_id ORDER BY a.id"
)
_ADDRESSES = (
    "SELECT a.id, a.kind, a.value, a.lost_at, la.wrong FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = %(lead)s ORDER BY a.id"
)
_FACTS = "SELECT no, at, by_actor, kind, version, release, data FROM facts WHERE lead_id = %(lead)s ORDER BY no"
# Each row holds the stops too, and there is one even without a fact.
_NEWS = (
    "SELECT s.stops, s.held_at_most, clock_timestamp() AS clock, f.* FROM ("  # noqa: S608 - our own words
    f" SELECT json_agg(json_build_array(la.address_id, s.channel, la.wrong)) AS stops, {HOLDS} AS held_at_most"
    " FROM lead_addresses la LEFT JOIN stops s ON s.address_id = la.address_id WHERE la.lead_id = %(lead)s) s"
    " LEFT JOIN (SELECT no, at, by_actor, kind, version, release, data FROM facts"
    " WHERE lead_id = %(lead)s AND no >= %(after)s) f ON true ORDER BY f.no"
)


@dataclass(frozen=True, slots=True)
class Address:
    id: str
    kind: str
    value: str = field(repr=False)
    lost_at: datetime | None = None  # real; see tables.addresses
    wrong: bool = False  # it is somebody else's: a person found that this lead had given it by mistake


@dataclass(frozen=True, slots=True)
class Rows:
    """`records`: the facts after those asked for, up to number `last`. `closed`: the channels stopped on the addresses.

    `known_at`: when the fact was after which was asked, if there is one. `joined`: it has other addresses by now than
    those that are locked. `first_name` is sealed. `stops_owed`: see store/owed_stops.py. `clock`: the
    database's; `ahead`: how far that is ahead of ours. `also`: what else was asked for.
    """

    addresses: tuple[Address, ...]
    records: list[f.Recorded]
    last: int
    closed: frozenset[Channel]
    joined: bool
    known_at: datetime | None
    first_name: bytes
    stops_owed: list[dict[str, Any]]
    ahead: timedelta
    clock: datetime
    also: list[list[Row]]


async def load(
    conn: AsyncConnection,
    vault: Vault,
    lead_id: str,
    after: int = 0,
    *,
    locked: bool,
    also: Sequence[Statement] = (),
) -> Rows:
    """Locks the lead's addresses, unless the caller holds one (`locked`), then the lead, and reads what holds now.

    In one round trip; the reading statements begin once the locks are there. Raises NoSuchLead, NewerFact.
    """
    lead = {"lead": lead_id, "after": after}
    first = _LOCK_LEAD if locked else _LOCK
    asked = clocks.ours()
    held, news, *more = await together(conn, [(first, lead), (_NEWS, lead), *also])
    if not held:
        raise NoSuchLead("no lead with this id")
    stops = news[0]["stops"] or []  # of each address: its id, a channel stopped on it or None, whether it is wrong
    mistyped = {address_id for address_id, _, is_wrong in stops if is_wrong}
    addresses = _opened(vault, [row | {"wrong": str(row["id"]) in mistyped} for row in held if row["id"] is not None])
    wrong = frozenset(PHONE) if mistyped else frozenset()
    return Rows(
        addresses,
        [recorded(vault.open_row(tables.facts, row, (lead_id, row["no"]))) for row in news if (row["no"] or 0) > after],
        held[0]["last_fact"],
        frozenset(Channel(channel) for _, channel, _ in stops if channel is not None) | wrong,
        {address_id for address_id, *_ in stops} != {address.id for address in addresses},
        next((row["at"] for row in news if row["no"] == after), None),
        held[0]["first_name"],
        held[0]["stops_owed"] or [],
        clocks.ahead(asked, news[0]["clock"]),
        news[0]["clock"],
        more,
    )


async def addresses(conn: AsyncConnection, vault: Vault, lead_id: str) -> tuple[Address, ...]:
    [rows] = await together(conn, [(_ADDRESSES, {"lead": lead_id})])
    return _opened(vault, rows)


async def records(conn: AsyncConnection, vault: Vault, lead_id: str) -> list[f.Recorded]:
    """The lead's facts, without its lock. Raises NewerFact."""
    [rows] = await together(conn, [(_FACTS, {"lead": lead_id})])
    return [recorded(vault.open_row(tables.facts, row, (lead_id, row["no"]))) for row in rows]


def recorded(row: Mapping[Any, Any]) -> f.Recorded:
    """An opened row of the facts. Raises NewerFact."""
    stored = StoredFact(row["kind"], row["version"], row["release"], row["data"])
    return f.Recorded(row["no"], row["at"], row["by_actor"], stored.read())


def _opened(vault: Vault, rows: Any) -> tuple[Address, ...]:
    opened = (vault.open_row(tables.addresses, row, (row["id"],)) for row in rows)
    return tuple(Address(str(row["id"]), row["kind"], row["value"], row["lost_at"], row["wrong"]) for row in opened)
