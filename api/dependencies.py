"""What the product needs to do its work, each with a question whether it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import httpx
from temporalio.client import Client

from config.settings import Settings
from wire.connect import connect
from wire.deployments import Deployments, NoCurrentBuild, asking_for
from wire.keyring import KeyRing
from workflows import names

Check = Callable[[], Awaitable[None]]
TEMPORAL_WITHIN = timedelta(seconds=1.5)
LIVE = ("api.twilio.com", "api.sendgrid.com")


def checks(settings: Settings, keyring: KeyRing) -> Mapping[str, Check]:
    """By name; each raises if its dependency does not answer. Clients are made at the first question."""
    client: Client | None = None

    async def connected() -> Client:
        nonlocal client
        if settings.temporal_address is None:
            raise LookupError("TEND_TEMPORAL_ADDRESS is not set")
        if client is None:
            client = await connect(
                settings.temporal_address, settings.temporal_namespace, keyring, **settings.temporal_access, lazy=True
            )
        return client

    async def temporal() -> None:
        if not await (await connected()).service_client.check_health(timeout=TEMPORAL_WITHIN):
            raise ConnectionError("Temporal says it does not serve")

    async def workers() -> None:
        asking = await asking_for(await connected(), settings.temporal_namespace, names.LEADS_QUEUE, TEMPORAL_WITHIN)
        asking.check()
        if asking.due is None and settings.deployment_name is not None:
            builds = await Deployments(await connected(), settings.deployment_name).builds()
            if not any(build.status == "current" for build in builds):
                raise NoCurrentBuild("no build is current: none gets work")

    async def carrier() -> None:
        if settings.carrier == "sandbox":
            async with httpx.AsyncClient() as http:
                for base in {settings.twilio_base_url, settings.sendgrid_base_url} - {None}:
                    await http.get(str(base))  # whatever it says, it answers
            return
        for host in LIVE:
            _, writer = await asyncio.open_connection(host, 443)
            writer.close()

    return {"temporal": temporal, "workers": workers, "carrier": carrier}
