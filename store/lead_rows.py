"""The rows of one lead: locked and read in two statements, written in one round trip."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.consequences import PHONE
from domain.errors import NoSuchLead
from domain.stored_fact import StoredFact
from domain.touches import Channel
from store import tables
from store.vault import Vault

# The addresses by id, then the lead: what counts them comes first, so its lock is taken last.
_LOCK = text(
    "WITH a AS MATERIALIZED ("
    " SELECT a.id, a.kind, a.value FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = :lead ORDER BY a.id FOR UPDATE OF a),"
    " l AS MATERIALIZED (SELECT 1 FROM leads WHERE id = :lead AND (SELECT count(*) FROM a) >= 0 FOR UPDATE)"
    " SELECT a.id, a.kind, a.value FROM l LEFT JOIN a ON true ORDER BY a.id"
)
_LOCK_LEAD = text("SELECT 1 FROM leads WHERE id = :lead FOR UPDATE")
_ADDRESSES = text(
    "SELECT a.id, a.kind, a.value FROM addresses a JOIN lead_addresses la ON la.address_id = a.id"
    " WHERE la.lead_id = :lead ORDER BY a.id"
)
# A statement of its own: it sees what was committed while the locks were waited for.
_READ = text(
    "SELECT no, at, by_actor, kind, version, release, data, NULL::uuid AS address_id, NULL AS channel, NULL AS wrong"
    " FROM facts WHERE lead_id = :lead"
    " UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, la.address_id, s.channel, la.wrong"
    " FROM lead_addresses la LEFT JOIN stops s ON s.address_id = la.address_id WHERE la.lead_id = :lead"
    " ORDER BY no"
)


@dataclass(frozen=True, slots=True)
class Address:
    id: str
    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """`at`: the ids of the lead's addresses; `closed`: the channels stopped on them."""

    records: list[f.Recorded]
    at: frozenset[str]
    closed: frozenset[Channel]


async def lock(conn: AsyncConnection, vault: Vault, lead_id: str) -> tuple[Address, ...]:
    """The lead's addresses, then the lead. Raises NoSuchLead."""
    rows = (await conn.execute(_LOCK, {"lead": lead_id})).mappings().all()
    if not rows:
        raise NoSuchLead("no lead with this id")
    return _opened(vault, [row for row in rows if row["id"] is not None])


async def lock_lead(conn: AsyncConnection, lead_id: str) -> None:
    """The lead alone. Raises NoSuchLead."""
    if (await conn.execute(_LOCK_LEAD, {"lead": lead_id})).first() is None:
        raise NoSuchLead("no lead with this id")


async def addresses(conn: AsyncConnection, vault: Vault, lead_id: str) -> tuple[Address, ...]:
    return _opened(vault, (await conn.execute(_ADDRESSES, {"lead": lead_id})).mappings().all())


async def read(conn: AsyncConnection, vault: Vault, lead_id: str) -> Rows:
    """What holds for the lead once it is locked. Raises NewerFact."""
    records, at, closed, wrong = [], set(), set(), False
    for row in (await conn.execute(_READ, {"lead": lead_id})).mappings():
        if row["no"] is not None:
            records.append(recorded(vault.open_row(tables.facts, row, (lead_id, row["no"]))))
            continue
        at.add(str(row["address_id"]))
        wrong |= row["wrong"]
        if row["channel"] is not None:
            closed.add(Channel(row["channel"]))
    return Rows(records, frozenset(at), frozenset(closed) | (frozenset(PHONE) if wrong else frozenset()))


def recorded(row: Mapping[Any, Any]) -> f.Recorded:
    """An opened row of the facts. Raises NewerFact."""
    stored = StoredFact(row["kind"], row["version"], row["release"], row["data"])
    return f.Recorded(row["no"], row["at"], row["by_actor"], stored.read())


def _opened(vault: Vault, rows: Any) -> tuple[Address, ...]:
    opened = (vault.open_row(tables.addresses, row, (row["id"],)) for row in rows)
    return tuple(Address(str(row["id"]), row["kind"], row["value"]) for row in opened)
