"""Which leads are one person: same address, compatible names. A relative with the same phone is somebody else."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.facts import ExitReason
from domain.same_person import compatible
from domain.touches import SETTLED, TouchStatus
from store import tables
from store.vault import Vault, VaultError

Names = dict[str, tuple[str, str | None]]  # first and last, by the lead's id


async def people(conn: AsyncConnection, vault: Vault, living: Sequence[str], finished: Sequence[str]) -> list[str]:
    """All the living, and of the finished leads the first of each further person: somebody may have asked again."""
    names = await _names(conn, vault, [*living, *finished])
    found = list(living)
    for lead_id in finished:
        if not any(_same(names, lead_id, other) for other in found):
            found.append(lead_id)
    return found


async def all_selves(conn: AsyncConnection, vault: Vault, lead_id: str) -> list[str]:
    """The other leads of the same person, living and finished, newest first."""
    return await _selves(conn, vault, lead_id, true())


async def living_selves(conn: AsyncConnection, vault: Vault, lead_id: str) -> list[str]:
    """The other living leads of the same person, newest first: it asked again after this one was finished, say."""
    return await _selves(conn, vault, lead_id, tables.leads.c.exit_reason.is_(None))


async def booked_selves(conn: AsyncConnection, vault: Vault, lead_id: str) -> list[str]:
    """The other leads of the same person that a booking has ended, and of which something may be under way."""
    lead, touch = tables.leads, tables.touches
    over = touch.c.status.in_([status.value for status in SETTLED - {TouchStatus.UNKNOWN}])
    under_way = select(1).where(touch.c.lead_id == lead.c.id, ~over).exists()
    return await _selves(conn, vault, lead_id, and_(lead.c.exit_reason == ExitReason.BOOKED.value, under_way))


async def _selves(conn: AsyncConnection, vault: Vault, lead_id: str, which: ColumnElement[bool]) -> list[str]:
    lead, link = tables.leads, tables.lead_addresses
    own = select(link.c.address_id).where(link.c.lead_id == lead_id, ~link.c.wrong)
    query = (
        select(lead.c.id)
        .where(
            lead.c.id.in_(select(link.c.lead_id).where(link.c.address_id.in_(own), ~link.c.wrong)),
            which,
            lead.c.is_test == select(lead.c.is_test).where(lead.c.id == lead_id).scalar_subquery(),
            lead.c.id != lead_id,
        )
        .order_by(lead.c.created_at.desc(), lead.c.id)
    )
    others = [str(i) for i in (await conn.execute(query)).scalars()]
    names = await _names(conn, vault, [lead_id, *others])
    return [i for i in others if _same(names, lead_id, i)]


def _same(names: Names, one: str, other: str) -> bool:
    return one in names and other in names and compatible(*names[one], *names[other])


async def _names(conn: AsyncConnection, vault: Vault, lead_ids: Sequence[str]) -> Names:
    lead = tables.leads
    query = select(lead.c.id, lead.c.first_name, lead.c.last_name).where(lead.c.id.in_(lead_ids))
    opened = with_names(vault, (await conn.execute(query)).mappings())
    return {str(row["id"]): (row["first_name"], row["last_name"]) for row in opened}


def with_names(vault: Vault, rows: Iterable[RowMapping]) -> Iterator[dict[str, Any]]:
    """Rows of leads, opened: whose name does not open is taken for somebody else, and left out."""
    for row in rows:
        with suppress(VaultError):
            yield vault.open_row(tables.leads, row)
