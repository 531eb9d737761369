"""Taking in a lead: everything of an inquiry in the caller's one transaction."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.access import Actor
from domain.consequences import PHONE, enroll
from domain.contact_window import after_repeat
from domain.errors import InvalidInput, NotFound
from domain.lead_state import LeadState
from domain.same_person import compatible, fold_name, same_name
from domain.sequence import DEFAULT_SEQUENCE
from domain.sources import SOURCE_CHANNELS
from domain.touches import Channel
from store import clocks, lead_rows, stops, tables
from store.engine import HOLDS
from store.lead_unit import Leads, LeadUnit
from store.persons import with_names
from store.round_trip import Row, Statement, insert_new, together, update
from store.round_trip import insert as row_of
from store.vault import Vault

_LOCK = (
    "SELECT id, kind, value IS NULL AS unnamed, clock_timestamp() AS clock FROM addresses"
    " WHERE blind = ANY(%(blinds)s) ORDER BY id FOR UPDATE"
)
_LOCK_LEADS = "SELECT id FROM leads WHERE id = ANY(%(leads)s::uuid[]) ORDER BY id FOR UPDATE"
_WORDS = (
    "first_name", "last_name", "phone", "email", "service_line", "concern", "urgency", "preferred_facility",
    "postal_code", "timezone", "language",
)  # fmt: skip


@dataclass(frozen=True)
class Intake:
    """A checked and normalized inquiry: phone in E.164, e-mail in lower case, zones resolved."""

    first_name: str = field(repr=False)
    last_name: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    email: str | None = field(repr=False)
    service_line: str | None = field(repr=False)
    concern: str | None = field(repr=False)
    urgency: str
    preferred_facility: str | None
    postal_code: str | None = field(repr=False)
    timezone: str | None
    language: str | None
    zones: tuple[str, ...]
    channels: tuple[str, ...]
    details: dict[str, Any] = field(repr=False)
    source: dict[str, Any] = field(repr=False)
    touchpoints: list[dict[str, Any]] = field(repr=False)
    consents: list[dict[str, Any]] = field(repr=False)
    sequence: str | None
    is_test: bool


@dataclass(frozen=True)
class TakenIn:
    lead_id: str
    state: str
    duplicate_of: str | None
    sequence: str
    sequence_version: int


async def take_in(leads: Leads, conn: AsyncConnection, intake: Intake, by: Actor) -> TakenIn:
    """A new lead, or a repeat inquiry of a living one. Raises InvalidInput for a sequence that cannot be."""
    try:
        sequence = leads.book.latest(intake.sequence or DEFAULT_SEQUENCE)
    except NotFound as e:
        raise InvalidInput("sequence", str(e)) from None
    if sequence.anchored():
        raise InvalidInput("sequence", "turns on an appointment, and an inquiry has none: book one by /v1/bookings")
    addresses, now = await _lock_addresses(leads, conn, intake)
    living = await _living(leads, conn, addresses, intake)
    if len(living) > 1:  # tried in another order than that in which leads are locked
        await together(conn, [(_LOCK_LEADS, {"leads": living})])
    for known in living:
        async with leads.within(conn, known, locked=True) as unit:
            if unit.state.exit_reason is None:  # a stop may have finished it while we waited for its lock
                perhaps = [other for other in living if other != known]
                joined = await _join_addresses(conn, known, await _free(conn, addresses, perhaps))
                await _inquire(leads, unit, intake, by, Repeat(addresses, joined, perhaps))
                if joined:
                    unit.reaches(await lead_rows.addresses(conn, leads.store.vault, known), joined)
                unit.audit(by, "lead_asked_again")
                return _taken_in(unit, known)
    unit = await _insert(leads, conn, intake, addresses, now)
    await _inquire(leads, unit, intake, by)
    unit.audit(by, "lead_taken_in")
    await leads.write(unit)
    return _taken_in(unit, None)


def _taken_in(unit: LeadUnit, duplicate_of: str | None) -> TakenIn:
    enrollment = unit.state.enrollment
    assert enrollment is not None
    return TakenIn(unit.lead_id, unit.state.state.value, duplicate_of, enrollment.sequence, enrollment.version)


async def _lock_addresses(leads: Leads, conn: AsyncConnection, intake: Intake) -> tuple[dict[str, str], datetime]:
    """The rows of the given addresses, made where new, locked in the order of their ids: kind -> id. And now."""
    vault, table = leads.store.vault, tables.addresses
    given = {"phone": intake.phone, "email": intake.email}
    blinds = {kind: vault.blind(kind, value) for kind, value in given.items() if value}
    new = [
        {"id": str(uuid.uuid4()), "kind": kind, "value": given[kind], "blind": blind}
        for kind, blind in sorted(blinds.items())
    ]
    made = [insert_new(table, vault.seal_row(table, row)) for row in new]
    asked = clocks.ours()
    locks = [(_LOCK, {"blinds": list(blinds.values())}), (f"SELECT {HOLDS}", {})]
    rows: list[Row] = []
    while len(rows) < len(blinds):  # again, if one that was there has just been forgotten (store/sweep.py)
        *_, rows, _ = await together(conn, [*made, *locks])
    named = [vault.seal_row(table, {"id": row["id"], "value": given[row["kind"]]}) for row in rows if row["unnamed"]]
    await together(conn, [update(table, "id", row) for row in named])
    skew = await leads.noticed.skew(leads.store.engine, clocks.ahead(asked, rows[-1]["clock"]))
    return {row["kind"]: str(row["id"]) for row in rows}, leads.now_with(skew)


async def _living(leads: Leads, conn: AsyncConnection, addresses: dict[str, str], intake: Intake) -> list[str]:
    """Living leads at one of the addresses whose name may be the same person's, the likeliest first."""
    lead, link = tables.leads, tables.lead_addresses
    shared = func.count(link.c.address_id).label("shared")
    phone = func.bool_or(link.c.address_id == addresses.get("phone")).label("by_phone")  # who can be called back
    query = (
        select(lead.c.id, lead.c.first_name, lead.c.last_name, shared, phone)
        .join(link, link.c.lead_id == lead.c.id)
        .where(
            link.c.address_id.in_(list(addresses.values())),
            ~link.c.wrong,
            lead.c.exit_reason.is_(None),
            lead.c.is_test == intake.is_test,
        )
        .group_by(lead.c.id)
        .order_by(lead.c.created_at.desc())
    )
    name, rows = (intake.first_name, intake.last_name), (await conn.execute(query)).mappings().all()
    fits = {row["id"]: (row["shared"], bool(row["by_phone"])) for row in rows}
    found = [row | {"fits": fits[row["id"]]} for row in with_names(leads.store.vault, rows)]
    found = [row for row in found if compatible(*name, row["first_name"], row["last_name"])]
    found.sort(key=lambda row: (same_name(*name, row["first_name"], row["last_name"]), *row["fits"]), reverse=True)
    return [str(row["id"]) for row in found]


async def _free(conn: AsyncConnection, addresses: dict[str, str], others: list[str]) -> dict[str, str]:
    """Without those of other living leads of the person: two conversations at one address would be one too many."""
    link = tables.lead_addresses
    query = select(link.c.address_id).where(link.c.lead_id.in_(others))
    theirs = {str(i) for i in (await conn.execute(query)).scalars()}
    return {kind: i for kind, i in addresses.items() if i not in theirs}


async def _insert(
    leads: Leads, conn: AsyncConnection, intake: Intake, addresses: dict[str, str], now: datetime
) -> LeadUnit:
    vault, lead_id = leads.store.vault, str(uuid.uuid4())
    full = " ".join(filter(None, (intake.first_name, intake.last_name)))
    names = {fold_name(n) for n in (full, intake.first_name, intake.last_name or "")} - {""}
    blinds = [vault.blind("name", n) for n in sorted(names)]
    row = {
        "id": lead_id,
        "created_at": now,
        "first_name": intake.first_name,
        "last_name": intake.last_name,
        "concern": intake.concern,
        "service_line": intake.service_line,
        "postal_code": intake.postal_code,
        "details": intake.details or None,
        "urgency": intake.urgency,
        "language": intake.language,
        "preferred_facility": intake.preferred_facility,
        "timezone": intake.timezone,
        "channels": list(intake.channels),
        "is_test": intake.is_test,
        "state": "starting",
        "stage": "new",
    }
    rows = [row_of(tables.leads, vault.seal_row(tables.leads, row))]
    rows += [row_of(tables.lead_names, {"lead_id": lead_id, "blind": blind}) for blind in blinds]
    rows += [row_of(tables.lead_addresses, {"lead_id": lead_id, "address_id": i}) for i in addresses.values()]
    await together(conn, rows)
    return await leads.begin(conn, lead_id, LeadState(lead_id), now)


async def _join_addresses(conn: AsyncConnection, lead_id: str, addresses: dict[str, str]) -> list[str]:
    """A living lead keeps the address it has of a kind; one it lacked is added. Answers the ids of those."""
    link, table = tables.lead_addresses, tables.addresses
    has = select(table.c.kind).join(link, link.c.address_id == table.c.id).where(link.c.lead_id == lead_id)
    kinds = set((await conn.execute(has)).scalars())
    new = [{"lead_id": lead_id, "address_id": i} for kind, i in addresses.items() if kind not in kinds]
    if new:
        await conn.execute(insert(link).values(new).on_conflict_do_nothing())
    return [row["address_id"] for row in new]


@dataclass(frozen=True)
class Repeat:
    """`given` addresses of a repeat inquiry (kind -> id), of which the lead lacked `joined` (ids).

    `perhaps`: other living leads (ids) that may be the same person.
    """

    given: dict[str, str]
    joined: list[str]
    perhaps: list[str]


async def _inquire(leads: Leads, unit: LeadUnit, intake: Intake, by: Actor, repeat: Repeat | None = None) -> None:
    known, given = {a.kind: a.id for a in unit.addresses}, repeat.given if repeat else {}
    same = [kind for kind, address_id in sorted(given.items()) if known.get(kind) == address_id]
    other = [kind for kind in sorted(given, reverse=True) if kind in known and kind not in same]
    has = set(known) | {kind for kind, address_id in given.items() if repeat and address_id in repeat.joined}
    new = repeat.joined if repeat else list(known.values())
    mistyped = await _mistyped(leads, unit.conn, new, intake)
    for address_id in mistyped:
        unit.after.append(stops.wrong(unit.lead_id, address_id))
    zones = intake.zones
    if repeat is not None:
        zones = after_repeat(unit.state.zones, zones, unit.now, same_number="phone" in same)
    inquired = unit.append(
        f.Inquired(
            source=str(intake.source.get("channel")),
            zones=zones,
            facility=intake.preferred_facility,
            phone="phone" in has,
            email="email" in has,
            stopped=tuple(sorted({*await _stopped(unit.conn, new), *(PHONE if mistyped else ())})),
            repeat=repeat is not None,
            same=tuple(same),
            other=tuple(other),
            perhaps=tuple(repeat.perhaps) if repeat else (),
        ),
        by.name,
    )
    for consent in intake.consents:
        unit.append(f.Consented(channel=Channel(consent["channel"]), purpose=consent["purpose"]), "lead")
    if repeat is None:
        sequence = leads.book.latest(intake.sequence or DEFAULT_SEQUENCE)
        unit.append(enroll(unit.state, sequence, "inquired"), "system")
    unit.after += _evidence(leads.store.vault, unit, intake, inquired.no)


async def _stopped(conn: AsyncConnection, address_ids: list[str]) -> tuple[Channel, ...]:
    """The channels closed on these addresses."""
    table = tables.stops
    rows = await conn.execute(select(table.c.channel).where(table.c.address_id.in_(address_ids)).distinct())
    return tuple(Channel(c) for c in rows.scalars())


async def _mistyped(leads: Leads, conn: AsyncConnection, address_ids: list[str], intake: Intake) -> list[str]:
    """Those of these addresses of which this very person was found to have given them wrongly before."""
    link, lead = tables.lead_addresses, tables.leads
    query = (
        select(lead.c.id, lead.c.first_name, lead.c.last_name, link.c.address_id)
        .join(link, link.c.lead_id == lead.c.id)
        .where(link.c.address_id.in_(address_ids), link.c.wrong)
    )
    name, rows = (intake.first_name, intake.last_name), (await conn.execute(query)).mappings().all()
    found = with_names(leads.store.vault, rows)
    return [str(row["address_id"]) for row in found if compatible(*name, row["first_name"], row["last_name"])]


def _evidence(vault: Vault, unit: LeadUnit, intake: Intake, no: int) -> list[Statement]:
    """Consents as shown, this inquiry with its stamp, and what was seen before it. Added, never overwritten."""
    lead_id = unit.lead_id
    row = {
        "id": str(uuid.uuid4()),
        "lead_id": lead_id,
        "fact_no": no,
        "channel": intake.source.get("channel"),
        "stamp": {k: v for k, v in intake.source.items() if k != "channel" and v is not None} or None,
        "details": _details(intake),
        "at": unit.now,
    }
    rows = [row_of(tables.sources, vault.seal_row(tables.sources, row))]
    for consent in intake.consents:
        given = {k: consent.get(k) for k in ("channel", "purpose", "text", "ip", "url", "at")}
        given |= {"id": str(uuid.uuid4()), "lead_id": lead_id}
        rows.append(row_of(tables.consents, vault.seal_row(tables.consents, given)))
    for point in intake.touchpoints:
        # only a word that we know stands in clear
        clear = point["channel"] if point["channel"] in SOURCE_CHANNELS else "other"
        rest = {k: v for k, v in point.items() if k != "at" and v is not None and (k, v) != ("channel", clear)}
        seen = {
            "id": str(uuid.uuid4()),
            "lead_id": lead_id,
            "channel": clear,
            "at": point.get("at"),
            "data": rest or None,
        }
        rows.append(row_of(tables.touchpoints, vault.seal_row(tables.touchpoints, seen)))
    return rows


def _details(intake: Intake) -> dict[str, Any]:
    """What the person sent, as it was sent."""
    given = {k: getattr(intake, k) for k in _WORDS} | {"channels": list(intake.channels)} | intake.details
    return {k: v for k, v in given.items() if v}


async def read_inquiries(conn: AsyncConnection, vault: Vault, lead_ids: Iterable[str]) -> dict[tuple[str, int], Any]:
    """What people sent with each of their inquiries, by the lead's id and the number of its fact."""
    table, wanted = tables.sources, set(lead_ids)
    if not wanted:
        return {}
    query = select(table.c.id, table.c.lead_id, table.c.fact_no, table.c.details).where(table.c.lead_id.in_(wanted))
    rows = [vault.open_row(table, row) for row in (await conn.execute(query)).mappings()]
    return {(str(r["lead_id"]), r["fact_no"]): r["details"] for r in rows if r["details"]}
