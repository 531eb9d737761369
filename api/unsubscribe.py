"""A lead's own opt-out of e-mail, by the link that each mail carries."""

from domain.touches import Channel
from store import audit
from store.bare_stops import is_shut, lock_own, stop_at
from store.lead_unit import Leads
from store.owed_stops import BLAMELESS


async def is_done(leads: Leads, lead_id: str) -> bool:
    async with leads.store.engine.begin() as conn:
        await audit.append(conn, "lead", "unsubscribe_page_viewed", lead_id)
        return await is_shut(conn, lead_id, Channel.EMAIL)


async def opt_out(leads: Leads, lead_id: str) -> None:
    """In effect when this returns; a repeat changes nothing. Raises NotFound."""
    try:
        async with leads.lead(lead_id) as unit:
            unit.opt_out((Channel.EMAIL,), "unsubscribed by the link in a mail", "lead")
            unit.audit("lead", "lead_opted_out")
    except BLAMELESS:
        raise
    except Exception:  # it cannot be read: it is told once it can be, and its address is shut now
        async with leads.store.engine.begin() as conn:
            await stop_at(leads, conn, await lock_own(conn, lead_id, (Channel.EMAIL,)))
            await audit.append(conn, "lead", "lead_opted_out", lead_id, "addresses")
