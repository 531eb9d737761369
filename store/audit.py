"""The record of who did and saw what, written in the same transaction as what it tells of."""

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.access import Actor
from store.tables import audit


async def append(
    conn: AsyncConnection, actor: Actor | str, action: str, lead_id: str | None = None, detail: str | None = None
) -> None:
    """Appends one row. `actor` is a word like `system` or `lead` where no key acts.

    `detail` names fields, counts or ids, never what they hold: this table is read by people who may not see leads.
    """
    who = (
        {"actor_id": actor, "actor_name": actor, "role": actor}
        if isinstance(actor, str)
        else {"actor_id": actor.id, "actor_name": actor.name, "role": actor.role.value}
    )
    await conn.execute(insert(audit).values(**who, action=action, lead_id=lead_id, detail=detail))
