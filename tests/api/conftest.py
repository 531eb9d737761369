from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest_asyncio
from tenacity import AsyncRetrying, stop_after_delay, wait_fixed

from api.app import create_app
from content.facilities import Facilities
from domain.clock import Pace, virtual_clock
from tests.api.office import Office, ring_text, settings
from wire.keyring import KeyRing


@pytest_asyncio.fixture
async def office(database_url: str, keyring: KeyRing, tmp_path: Path) -> AsyncIterator[Office]:
    """The app, running, with the sequences that ship and three facilities.

    It is ten in the morning in New York, whenever this runs.
    """
    ten = datetime.now(ZoneInfo("America/New_York")).replace(hour=10, minute=0)
    clock = virtual_clock(datetime.now(UTC), ten.astimezone(UTC), [Pace(1.0, None)])
    (tmp_path / "clock.json").write_text(clock.dump())
    app = create_app(settings(database_url, ring_text(keyring), data_dir=tmp_path))
    services = app.state.services
    main = services.facilities.get("main")
    three = Facilities({key: replace(main, key=key) for key in ("main", "north", "south")}, "main")
    app.state.services = replace(services, facilities=three)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http,
    ):
        async for attempt in AsyncRetrying(wait=wait_fixed(0.05), stop=stop_after_delay(30), reraise=True):
            with attempt:
                assert app.state.services.leads.book.keys()
        yield Office(app, http)
