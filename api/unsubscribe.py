"""A lead's own opt-out of e-mail, by the link that each mail carries."""

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import commands
from domain.touches import Channel
from store import audit
from store.bare_stops import Kinds, lock_own, shuts_unread
from store.lead_unit import Leads


async def is_done(leads: Leads, lead_id: str) -> bool:
    async with leads.store.engine.begin() as conn:
        state = await leads.read(conn, lead_id)
        await audit.append(conn, "lead", "unsubscribe_page_viewed", lead_id)
    return Channel.EMAIL in state.opted_out


async def opt_out(leads: Leads, lead_id: str) -> None:
    """In effect when this returns; a repeat changes nothing. Raises NotFound, and NewerFact with the address shut."""

    async def own(conn: AsyncConnection) -> Kinds:
        await audit.append(conn, "lead", "lead_opted_out", lead_id, "addresses")
        return await lock_own(conn, lead_id, (Channel.EMAIL,))

    async with shuts_unread(leads, own), leads.lead(lead_id) as unit:
        facts = commands.opt_out(unit.state, (Channel.EMAIL,), "unsubscribed by the link in a mail", unit.closed)
        for fact in facts:
            unit.append(fact, "lead")
        unit.audit("lead", "lead_opted_out")
