"""Entries of the outbox without a lead that tells them."""

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.priority import Priority
from store import outbox
from store.outbox import Kind
from store.round_trip import together


async def add_entry(
    conn: AsyncConnection,
    lead_id: str,
    kind: Kind | str,
    fact_no: int,
    signal: str | None = None,
    *,
    priority: Priority = Priority.INQUIRY,
) -> int:
    """Puts a start or signal in the outbox and answers its id. The relays wake when the transaction commits."""
    told = await together(conn, outbox.entry(lead_id, Kind(kind), fact_no, signal, priority=priority))
    entry_id: int = told[0][0]["id"]
    return entry_id
