"""The schedule that starts the sweep: made where it is not there, also in a Temporal that has lost everything."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError, RPCStatusCode

from workflows import names
from workflows.options import SWEEP_EVERY, SWEEP_LIMIT

log = logging.getLogger(__name__)
LOOK_EVERY = 30.0  # real seconds
_RPC_LIMIT = timedelta(seconds=10)


async def make_schedule(client: Client) -> bool:
    """One sweep at a time, a minute apart, the first at once; False if it was there already. Raises RPCError."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            names.SWEEP_WORKFLOW,
            id=names.SWEEP_ID,
            task_queue=names.LEADS_QUEUE,
            execution_timeout=SWEEP_LIMIT,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
        # what was missed while nothing ran is made good by the next one
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=SWEEP_EVERY),
    )
    try:
        await client.create_schedule(names.SWEEP_SCHEDULE, schedule, trigger_immediately=True, rpc_timeout=_RPC_LIMIT)
    except ScheduleAlreadyRunningError:
        return False
    return True


async def find_schedule(client: Client) -> bool | None:
    """Whether it is there and runs; False if somebody has paused it, None if there is none. Raises RPCError."""
    try:
        found = await client.get_schedule_handle(names.SWEEP_SCHEDULE).describe(rpc_timeout=_RPC_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return not found.schedule.state.paused


async def keep_schedule(client: Client, stop: asyncio.Event, lost: Callable[[], Awaitable[None]]) -> None:
    """Makes the schedule and looks after it until `stop`; `lost` is called when it had to be made.

    It is not there in a Temporal that knows nothing yet, or nothing any more.
    """
    while not stop.is_set():
        try:
            if await make_schedule(client):
                await lost()
        except RPCError as error:
            log.warning("the schedule of the sweep cannot be looked after (%s): trying again", error.status.name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await stop.wait()
