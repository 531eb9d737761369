"""Leads by the thousand: written by the store's own intake, without a request each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.load import AREA_CODES
from bench.sides import Side
from config.data_dir import load_settings
from domain.access import Actor, Role
from store.engine import Store, make_engine
from store.intake import Intake, take_in
from store.lead_unit import Leads
from store.sequences import SequenceBook
from store.vault import Vault
from wire.keyring import KeyRing

A_TRANSACTION = 50
_BY = Actor("bench", "bench", Role.ADMIN)


@asynccontextmanager
async def writer(side: Side) -> AsyncIterator[Leads]:
    assert side.launched is not None
    keys = load_settings(side.launched.directory.path).keys
    assert keys is not None
    store = Store(make_engine(side.database_url, pool_size=2), Vault(KeyRing.parse(keys.get_secret_value())))
    try:
        book = SequenceBook(store)
        await book.refresh()
        yield Leads(store, book, side.now)
    finally:
        await store.engine.dispose()


async def write(leads: Leads, numbers: range, sequence: str, source: str) -> None:
    """Leads of these numbers, in one transaction; no two share an address, whatever the load takes in beside them."""
    async with leads.store.engine.begin() as conn:
        for number in numbers:
            await take_in(leads, conn, _intake(number, sequence, source), _BY)


def _intake(number: int, sequence: str, source: str) -> Intake:
    line, area = divmod(number, len(AREA_CODES))
    return Intake(
        first_name="Test",
        last_name=f"Lead {number}",
        phone=f"+1{AREA_CODES[area]}556{line:04}",
        email=f"written{number}@example.com",
        service_line=None,
        concern=None,
        urgency="routine",
        preferred_facility=None,
        postal_code="10001",
        timezone=None,
        language=None,
        zones=("America/New_York",),
        channels=(),
        details={},
        source={"channel": source, "form": "bench"},
        touchpoints=[],
        consents=[],
        sequence=sequence,
        is_test=False,
    )
