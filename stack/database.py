"""What verbs that look after leads need: the database, the rules on it, and Temporal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from config.data_dir import clock as read_clock
from config.settings import Settings
from domain.clock import Clock
from domain.patience import Patience
from relay.lead_workflows import LeadWorkflows
from relay.rebuild import Rebuild
from relay.sweep import Sweep
from stack.preflight import StartError
from store.engine import Store, make_engine
from store.lead_unit import Leads
from store.sequences import SequenceBook
from store.sweep import SweepStore
from store.vault import Vault
from wire.connect import connect
from wire.keyring import KeyRing


@dataclass(frozen=True)
class Tools:
    leads: Leads
    clock: Clock
    client: Client

    @property
    def engine(self) -> AsyncEngine:
        return self.leads.store.engine

    @property
    def sweep(self) -> Sweep:
        return Sweep(SweepStore(self.leads), LeadWorkflows(self.client), self.clock)

    def rebuild(self, renew_after: int | None) -> Rebuild:
        return Rebuild(self.engine, self.sweep, renew_after)


@asynccontextmanager
async def tools(settings: Settings) -> AsyncIterator[Tools]:
    """Raises StartError where Temporal does not answer, and what an absent database raises."""
    assert settings.keys is not None and settings.database_url and settings.temporal_address
    keyring = KeyRing.parse(settings.keys.get_secret_value())
    store = Store(make_engine(settings.database_url), Vault(keyring))
    clock = read_clock(settings)
    try:
        book = SequenceBook(store)
        await book.refresh()
        leads = Leads(store, book, clock.now, Patience.on(clock.at_most), clock.product)
        try:
            client = await connect(
                settings.temporal_address, settings.temporal_namespace, keyring, **settings.temporal_access
            )
        except RuntimeError:
            raise StartError(
                f"no Temporal at {settings.temporal_address}: is it up, and TEND_TEMPORAL_ADDRESS right?"
            ) from None
        yield Tools(leads, clock, client)
    finally:
        await store.engine.dispose()
