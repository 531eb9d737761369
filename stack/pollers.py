"""Who asks Temporal for work."""

from datetime import timedelta

from temporalio.client import Client

from wire.deployments import POLLED_WITHIN, Asking, asking_for
from workflows import names

__all__ = ["POLLED_WITHIN", "asking_at", "workers_at"]

_WITHIN = timedelta(seconds=5)


async def asking_at(client: Client, namespace: str) -> Asking:
    """Who has asked for the leads' work lately, and who gets it. Raises RPCError."""
    return await asking_for(client, namespace, names.LEADS_QUEUE, _WITHIN)


async def workers_at(client: Client, namespace: str) -> int:
    """How many workers have asked for the leads' work lately, whether they get any or not. Raises RPCError."""
    return (await asking_at(client, namespace)).workers
