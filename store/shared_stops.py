"""A stop holds for every lead with the address: each is told as it comes, or owed it where it cannot be read."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.schedule import in_flight
from store.open_claims import on_their_way
from store.owed_stops import Stop, owe, told, unknown
from store.round_trip import Row, Statement
from store.stops import KIND_OF

if TYPE_CHECKING:
    from store.lead_unit import Leads

_LEADS = (
    "SELECT la.lead_id, array_agg(DISTINCT a.kind) AS kinds FROM lead_addresses la JOIN addresses a"
    " ON a.id = la.address_id WHERE la.address_id = ANY(%(addresses)s::uuid[]) AND NOT la.wrong"
    " AND la.lead_id IS DISTINCT FROM %(but)s::uuid GROUP BY la.lead_id ORDER BY la.lead_id"
)


def with_addresses(addresses: Iterable[str], but: str | None = None) -> Statement:
    """Asks for the leads that have these, which are locked, by the kinds of these that each has; not for `but`."""
    return _LEADS, {"addresses": sorted(addresses), "but": but}


async def tell(
    leads: "Leads", conn: AsyncConnection, stops: Sequence[Stop], rows: Sequence[Row], now: datetime | None = None
) -> list[str]:
    """Tells the leads of `with_addresses`, in their order, and answers what may still arrive of those it stopped."""
    flying: list[str] = []
    for row in rows:
        lead_id, theirs = str(row["lead_id"]), [s for stop in stops for s in _of_kinds(stop, row["kinds"])]
        if not await told(conn, partial(_tell, leads, conn, lead_id, theirs, now=now, flying=flying)):
            await owe(conn, lead_id, theirs)  # it must not keep the others from their stop
            flying += await on_their_way(conn, lead_id)
    return flying


async def _tell(
    leads: "Leads",
    conn: AsyncConnection,
    lead_id: str,
    stops: list[Stop],
    *,
    now: datetime | None,
    flying: list[str],
) -> None:
    async with leads.within(conn, lead_id, now, locked=True, spreads=False) as unit:
        for stop in stops:
            for news in unknown(stop, unit.state):
                unit.append(news, "system")
    if unit.journal.appended:
        flying += in_flight(unit.state, unit.now)


def _of_kinds(stop: Stop, kinds: list[str]) -> list[Stop]:
    channels = tuple(channel for channel in stop.channels if KIND_OF[channel] in kinds)
    return [stop.model_copy(update={"channels": channels, "cause": "shared_address"})] if channels else []
