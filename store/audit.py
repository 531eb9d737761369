"""The record of who did and saw what, written in the same transaction as what it tells of."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor
from store.round_trip import Statement, insert, together
from store.tables import audit


async def append(
    conn: AsyncConnection, actor: Actor | str, action: str, lead_id: str | None = None, detail: str | None = None
) -> None:
    """Appends one row. `actor` is a word like `system` or `lead` where no key acts.

    `detail` names fields, counts or ids, never what they hold: this table is read by people who may not see leads.
    """
    await together(conn, rows(actor, action, [lead_id], detail))


async def append_each(conn: AsyncConnection, actor: Actor | str, action: str, lead_ids: Iterable[str]) -> None:
    """One row for each lead of a list: who saw a lead is found by the lead's id, whatever was looked at."""
    if each := sorted(set(lead_ids)):
        await together(conn, rows(actor, action, each))


def rows(actor: Actor | str, action: str, lead_ids: Iterable[str | None], detail: str | None = None) -> list[Statement]:
    """The same, to be written with others."""
    who: dict[str, str | None] = (
        {"actor_id": actor, "actor_name": actor, "role": actor}
        if isinstance(actor, str)
        else {"actor_id": actor.id, "actor_name": actor.name, "role": actor.role.value}
    )
    return [insert(audit, who | {"action": action, "lead_id": lead_id, "detail": detail}) for lead_id in lead_ids]
