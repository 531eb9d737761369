"""A sign of life while an activity runs, so that Temporal gives the work of a killed or frozen process to another soon.

An activity of a moment gives none. One that Temporal has given to another meanwhile goes on to its end all the same:
what it has begun at a provider is settled, and the other one waits for its claim.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

BEATS = 3  # in the time after which Temporal takes it for lost
THROTTLE = timedelta(seconds=1)  # the SDK would hold them back for four fifths of that time


class Heartbeat(Interceptor):
    """`grace`: what the worker grants, once it stops, to what is under way."""

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beating(next, self._grace)


class _Beating(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, grace: timedelta) -> None:
        super().__init__(next)
        self._grace = grace

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        lost_after = activity.info().heartbeat_timeout
        if not lost_after:
            return await self.next.execute_activity(input)
        work = asyncio.ensure_future(self.next.execute_activity(input))
        try:
            while not (await asyncio.wait({work}, timeout=lost_after.total_seconds() / BEATS))[0]:
                activity.heartbeat()
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is None or details.worker_shutdown:
                work.cancel()
            await _ended(work, lost_after.total_seconds() / BEATS, self._grace)
            raise
        return work.result()


async def _ended(work: "asyncio.Future[Any]", beat: float, grace: timedelta) -> None:
    """It lives until then. As the worker stops, the work is cut off once its grace is over.

    Counted here: what Temporal has cancelled once the SDK does not cancel again, and the worker would never end.
    """
    cut_off = asyncio.ensure_future(_over(grace))
    try:
        while not (await asyncio.wait({work, cut_off}, timeout=beat, return_when=asyncio.FIRST_COMPLETED))[0]:
            activity.heartbeat()
    finally:
        cut_off.cancel()
        work.cancel()
        await asyncio.wait({work})


async def _over(grace: timedelta) -> None:
    await activity.wait_for_worker_shutdown()
    await asyncio.sleep(grace.total_seconds())
