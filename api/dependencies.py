"""What the product needs to do its work, each with a question whether it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from config.settings import Settings
from wire.connect import connect
from wire.deployments import Deployments
from wire.keyring import KeyRing
from workflows import names

Check = Callable[[], Awaitable[None]]
TEMPORAL_WITHIN = timedelta(seconds=1.5)
POLLED_WITHIN = timedelta(seconds=75)  # a worker's request for work is renewed every minute
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
        request = DescribeTaskQueueRequest(
            namespace=settings.temporal_namespace,
            task_queue=TaskQueue(name=names.LEADS_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        found = await (await connected()).workflow_service.describe_task_queue(request, timeout=TEMPORAL_WITHIN)
        polled = [poller.last_access_time.ToDatetime(UTC) for poller in found.pollers]
        if not any(datetime.now(UTC) - at < POLLED_WITHIN for at in polled):
            raise ConnectionError("no worker asks for work")
        if settings.deployment_name is not None:
            builds = await Deployments(await connected(), settings.deployment_name).builds()
            if not any(build.status == "current" for build in builds):
                raise ConnectionError("no build is the current one: none gets work")

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
