"""A lead's own opt-out of e-mail, by the link that each mail carries."""

from api.own_booking import is_lead
from api.services import Services
from domain.errors import NotFound
from domain.touches import Channel
from store import audit
from store.bare_stops import is_shut, is_shut_at, lock_own, stop_at
from store.inbound import BY_LINK
from store.lead_unit import Leads
from store.owed_stops import BLAMELESS


async def is_done(services: Services, token: str, to: str | None) -> bool:
    """Raises NotFound."""
    lead_id = services.links.lead_id("unsubscribe", token)
    lost = await _is_lost(services, lead_id, to)
    async with services.store.engine.begin() as conn:
        if lost is not None:
            return await is_shut_at(conn, lost, Channel.EMAIL)
        await audit.append(conn, "lead", "unsubscribe_page_viewed", lead_id)
        return await is_shut(conn, lead_id, Channel.EMAIL)


async def by_link(services: Services, token: str, to: str | None) -> None:
    """In effect when this returns; a repeat changes nothing. Raises NotFound."""
    lead_id = services.links.lead_id("unsubscribe", token)
    lost = await _is_lost(services, lead_id, to)
    if lost is not None:
        await services.inbound.unsubscribed(lead_id, lost)
    else:
        await opt_out(services.leads, lead_id)


async def opt_out(leads: Leads, lead_id: str) -> None:
    """In effect when this returns; a repeat changes nothing. Raises NotFound."""
    try:
        async with leads.lead(lead_id) as unit:
            unit.opt_out((Channel.EMAIL,), BY_LINK, "lead")
            unit.audit("lead", "lead_opted_out")
    except BLAMELESS:
        raise
    except Exception:  # it cannot be read: it is told once it can be, and its address is shut now
        async with leads.store.engine.begin() as conn:
            await stop_at(leads, conn, await lock_own(conn, lead_id, (Channel.EMAIL,)))
            await audit.append(conn, "lead", "lead_opted_out", lead_id, "addresses")


async def _is_lost(services: Services, lead_id: str, to: str | None) -> bytes | None:
    """The blind index of the address that its mail went to, if the lead is lost with a database that was put back.

    Raises NotFound where it is, and the link is older than such links that name one.
    """
    try:
        await is_lead(services, lead_id)
    except NotFound:
        if (address := services.links.address(lead_id, to)) is None:
            raise
        return address
    return None
