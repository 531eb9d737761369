"""Leads as they are shown: lists by cursor, and one lead with all that belongs to it. Reads rows, never workflows.

What is answered is shaped as the API shows it, opened: it holds a person's data.
"""

import base64
import binascii
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import InvalidInput, NoSuchLead
from store import tables
from store.vault import Vault

Row = dict[str, Any]
_LEAD = tables.leads
_OPEN = ("open", "claimed")


@dataclass(frozen=True)
class LeadFilter:
    """`facilities`: those the reader may see, none for all. `found`: a blind index of kind phone, email or name."""

    state: str | None = None
    stage: str | None = None
    facility: str | None = None
    facilities: tuple[str, ...] = ()
    found: tuple[str, bytes] | None = field(default=None, repr=False)


def write_cursor(*parts: object) -> str:
    text = json.dumps([p.isoformat() if isinstance(p, datetime) else p for p in parts])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> list[Any]:
    """What `write_cursor` was given, str and datetime. Raises InvalidInput."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        read = [datetime.fromisoformat(p) if k is datetime else p for p, k in zip(parts, kinds, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _not_ours() from None
    for part, kind in zip(read, kinds, strict=True):
        if not isinstance(part, kind) or (isinstance(part, datetime) and part.tzinfo is None):
            raise _not_ours()
    return read


def cursor_id(text: str) -> str:
    """An id out of a cursor. Raises InvalidInput."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise _not_ours() from None


def _not_ours() -> InvalidInput:
    return InvalidInput("cursor", "is not one of ours; take next_cursor of the page before")


async def list_leads(
    conn: AsyncConnection, vault: Vault, wanted: LeadFilter, cursor: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """A page, newest first, and the cursor of the next one. Raises InvalidInput for a cursor that is not ours."""
    query = _filtered(wanted).order_by(_LEAD.c.created_at.desc(), _LEAD.c.id.desc()).limit(limit + 1)
    if cursor is not None:
        created_at, lead_id = read_cursor(cursor, datetime, str)
        query = query.where(tuple_(_LEAD.c.created_at, _LEAD.c.id) < (created_at, cursor_id(lead_id)))
    rows = list((await conn.execute(query)).mappings())
    more, rows = len(rows) > limit, rows[:limit]
    items = await _summaries(conn, vault, rows)
    last = rows[-1] if more else None
    return items, write_cursor(last["created_at"], str(last["id"])) if last is not None else None


def _filtered(wanted: LeadFilter) -> Select[Any]:
    query = select(_LEAD)
    for column, value in (
        (_LEAD.c.state, wanted.state),
        (_LEAD.c.stage, wanted.stage),
        (_LEAD.c.preferred_facility, wanted.facility),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.facilities:
        query = query.where(_LEAD.c.preferred_facility.in_(wanted.facilities))
    if wanted.found is not None:
        kind, blind = wanted.found
        if kind == "name":
            named = tables.lead_names
            return query.where(_LEAD.c.id.in_(select(named.c.lead_id).where(named.c.blind == blind)))
        link, address = tables.lead_addresses, tables.addresses
        has = select(link.c.lead_id).join(address, address.c.id == link.c.address_id)
        query = query.where(_LEAD.c.id.in_(has.where(address.c.kind == kind, address.c.blind == blind)))
    return query


async def _summaries(conn: AsyncConnection, vault: Vault, rows: Sequence[Mapping[Any, Any]]) -> list[Row]:
    opened = [vault.open_row(_LEAD, row) for row in rows]
    addresses = await addresses_of(conn, vault, [str(r["id"]) for r in opened])
    names = await key_names(conn, [r["owner"] for r in opened])
    return [_summary(r, addresses.get(str(r["id"]), []), names) for r in opened]


def _summary(row: Mapping[Any, Any], addresses: list[Row], names: Mapping[str, str]) -> Row:
    by_kind = {a["kind"]: a["value"] for a in addresses}
    sequence = next_step = None
    if row["sequence"] is not None:
        sequence = {"key": row["sequence"], "version": row["sequence_version"], "enrollment": row["enrollment"]}
    if row["next_kind"] is not None:
        next_step = {k: row[f"next_{k}"] for k in ("step", "kind", "channel", "at", "reason")}
    same = (
        "first_name", "last_name", "state", "stage", "paused", "exit_reason", "urgency", "preferred_facility",
        "is_test", "created_at",
    )  # fmt: skip
    return {k: row[k] for k in same} | {
        "id": str(row["id"]),
        "phone": by_kind.get("phone"),
        "email": by_kind.get("email"),
        "sequence": sequence,
        "next_step": next_step,
        "owner": holder(row["owner"], names),
    }


def holder(key_id: Any, names: Mapping[str, str], name: str | None = None) -> Row | None:
    return {"id": str(key_id), "name": name or names.get(str(key_id))} if key_id is not None else None


async def addresses_of(conn: AsyncConnection, vault: Vault, lead_ids: Sequence[str]) -> dict[str, list[Row]]:
    """Addresses by lead: id, kind, value."""
    if not lead_ids:
        return {}
    link, address = tables.lead_addresses, tables.addresses
    query = (
        select(link.c.lead_id, address.c.id, address.c.kind, address.c.value)
        .join(address, address.c.id == link.c.address_id)
        .where(link.c.lead_id.in_(lead_ids))
        .order_by(address.c.kind.desc(), address.c.id)
    )
    out: dict[str, list[Row]] = defaultdict(list)
    for row in (await conn.execute(query)).mappings():
        opened = vault.open_row(address, row)
        out[str(row["lead_id"])].append({"id": str(row["id"]), "kind": row["kind"], "value": opened["value"]})
    return out


async def key_names(conn: AsyncConnection, key_ids: Iterable[Any]) -> dict[str, str]:
    wanted = {str(i) for i in key_ids if i is not None}
    if not wanted:
        return {}
    table = tables.api_keys
    rows = await conn.execute(select(table.c.id, table.c.name).where(table.c.id.in_(wanted)))
    return {str(i): name for i, name in rows}


async def facility_of(conn: AsyncConnection, lead_id: str) -> str | None:
    """The facility that a lead belongs to. Raises NotFound."""
    row = (await conn.execute(select(_LEAD.c.preferred_facility).where(_LEAD.c.id == lead_id))).first()
    if row is None:
        raise NoSuchLead("no lead with this id")
    facility: str | None = row[0]
    return facility


async def read_lead(conn: AsyncConnection, vault: Vault, lead_id: str) -> Row:
    """One lead with addresses and their stops, consents, stamps, appointments and open tasks. Raises NotFound."""
    row = (await conn.execute(select(_LEAD).where(_LEAD.c.id == lead_id))).mappings().first()
    if row is None:
        raise NoSuchLead("no lead with this id")
    opened = vault.open_row(_LEAD, row)
    addresses = (await addresses_of(conn, vault, [lead_id])).get(lead_id, [])
    tasks = await _rows(conn, tables.tasks, lead_id, tables.tasks.c.due_at, tables.tasks.c.state.in_(_OPEN))
    names = await key_names(conn, [opened["owner"], *(t["claimed_by"] for t in tasks)])
    sources = await _opened(conn, vault, tables.sources, lead_id, tables.sources.c.at)
    details = opened["details"] or {}
    same = ("service_line", "concern", "postal_code", "timezone", "language", "channels", "finished_at")
    return (
        _summary(opened, addresses, names)
        | {k: opened[k] for k in same}
        | {
            "best_times": details.get("best_times"),
            "insurance": details.get("insurance"),
            "addresses": await _with_stops(conn, lead_id, addresses),
            "consents": await _opened(conn, vault, tables.consents, lead_id, tables.consents.c.at),
            "score": None,
            "inquired_at": max(r["at"] for r in sources),
            "sources": [_stamp(r) for r in sources],
            "touchpoints": [
                _stamp(r) for r in await _opened(conn, vault, tables.touchpoints, lead_id, tables.touchpoints.c.at)
            ],
            "appointments": [
                {k: r[k] for k in ("id", "status", "starts_at", "facility")}
                for r in await _rows(conn, tables.appointments, lead_id, tables.appointments.c.starts_at)
            ],
            "open_tasks": [
                {k: t[k] for k in ("kind", "state", "due_at")}
                | {"id": str(t["id"]), "claimed_by": holder(t["claimed_by"], names, t["claimed_name"])}
                for t in tasks
            ],
        }
    )


async def _with_stops(conn: AsyncConnection, lead_id: str, addresses: list[Row]) -> list[Row]:
    table, link = tables.stops, tables.lead_addresses
    found = select(link.c.address_id).where(link.c.lead_id == lead_id, link.c.wrong)
    wrong = {str(i) for i in (await conn.execute(found)).scalars()}
    stops: dict[str, list[Row]] = defaultdict(list)
    query = select(table).where(table.c.address_id.in_([a["id"] for a in addresses])).order_by(table.c.channel)
    for row in (await conn.execute(query)).mappings():
        stops[str(row["address_id"])].append({k: row[k] for k in ("channel", "cause", "at")})
    return [
        {"kind": a["kind"], "value": a["value"], "wrong": str(a["id"]) in wrong, "stops": stops[a["id"]]}
        for a in addresses
    ]


async def _rows(conn: AsyncConnection, table: Any, lead_id: str, order: Any, *where: Any) -> list[Mapping[Any, Any]]:
    query = select(table).where(table.c.lead_id == lead_id, *where).order_by(order, table.c.id)
    return list((await conn.execute(query)).mappings())


async def _opened(conn: AsyncConnection, vault: Vault, table: Any, lead_id: str, order: Any) -> list[Row]:
    return [vault.open_row(table, r) for r in await _rows(conn, table, lead_id, order)]


def _stamp(row: Row) -> Row:
    """What was stamped, flat and without what is empty."""
    rest = row.get("stamp") or row.get("data") or {}
    kept = {k: v for k, v in row.items() if k not in ("id", "lead_id", "fact_no", "stamp", "data") and v is not None}
    return kept | {k: v for k, v in rest.items() if v is not None}
