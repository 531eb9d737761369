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
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beating(next)


class _Beating(ActivityInboundInterceptor):
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
            await _ended(work, lost_after.total_seconds() / BEATS)
            raise
        return work.result()


async def _ended(work: "asyncio.Future[Any]", beat: float) -> None:
    """It lives until then. A second cancellation, as the worker stops, is the work's."""
    try:
        while not (await asyncio.wait({work}, timeout=beat))[0]:
            activity.heartbeat()
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait({work})
