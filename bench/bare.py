"""The bare workflow, to compare with: one Temporal workflow a lead, a timer and one activity a touch.

A touch is a claim in Postgres, one POST to the carrier, an accept in Postgres. A reply ends the workflow; a callback is
one update. No rules, no gate, no facts, nothing sealed. `serve_bare.py` runs its two processes, with the worker
options that the product has.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl

import aiohttp
import aiohttp.web as http
from psycopg_pool import AsyncConnectionPool
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "bare"
TOUCHES = "bare-touches"  # apart: as the product sends, whose contract names a queue for each channel
TABLE = """CREATE TABLE touches (id text PRIMARY KEY, claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
           accepted_at timestamptz, provider_id text, status text NOT NULL DEFAULT 'claimed')"""
_ALONE = {"autocommit": True}  # each statement is its own transaction: no round trip to begin or commit it
_CLAIM = "INSERT INTO touches (id) VALUES (%s) ON CONFLICT DO NOTHING"
_ACCEPT = "UPDATE touches SET status = 'accepted', accepted_at = clock_timestamp(), provider_id = %s WHERE id = %s"
_STATUS = "UPDATE touches SET status = %s WHERE id = %s"
_LIMIT = timedelta(seconds=10)


@dataclass
class Lead:
    """`first` and `gap` are real seconds: to the first touch, and from each touch to the next. `queue`: of touches."""

    phone: str
    touches: int = 7
    first: float = 0.0
    gap: float = 1.0
    queue: str = QUEUE


@dataclass
class Touch:
    id: str
    phone: str


@workflow.defn(name="BareLead")
class BareLead:
    @workflow.init
    def __init__(self, _: Lead) -> None:
        self._replied = False

    @workflow.run
    async def run(self, lead: Lead) -> int:
        for n in range(lead.touches):
            if wait := lead.gap if n else lead.first:
                timer = asyncio.create_task(workflow.sleep(wait))
                await workflow.wait_condition(lambda timer=timer: timer.done() or self._replied)  # type: ignore[misc]
            if self._replied:
                return n
            touch = Touch(f"{lead.phone[1:]}-{n}", lead.phone)
            await workflow.execute_activity("bare_touch", touch, task_queue=lead.queue, start_to_close_timeout=_LIMIT)
        return lead.touches

    @workflow.signal
    def lead_replied(self) -> None:
        self._replied = True


class Touches:
    def __init__(self, pool: AsyncConnectionPool, session: aiohttp.ClientSession, carrier: str, web: str) -> None:
        self._pool, self._http, self._carrier, self._web = pool, session, carrier, web

    @activity.defn(name="bare_touch")
    async def touch(self, touch: Touch) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(_CLAIM, (touch.id,))
        form = {"To": touch.phone, "Body": "Hi Test, this is Springfield Care. Reply STOP to opt out."}
        form["StatusCallback"] = f"{self._web}/webhooks/twilio/status?touch={touch.id}"
        async with self._http.post(f"{self._carrier}/2010-04-01/Messages.json", data=form) as answer:
            sid = (await answer.json())["sid"]
        async with self._pool.connection() as conn:
            await conn.execute(_ACCEPT, (sid, touch.id))


async def worker(address: str, database: str, carrier: str, web: str, queue: str) -> None:
    from worker import GRACE, STICKY  # noqa: PLC0415 - the product's own options

    client = await Client.connect(address)
    async with (
        AsyncConnectionPool(database, min_size=10, max_size=20, kwargs=_ALONE) as pool,
        aiohttp.ClientSession() as session,
    ):
        touch = Touches(pool, session, carrier, web).touch
        leads = Worker(
            client,
            task_queue=QUEUE,
            workflows=[BareLead],
            activities=[] if queue == TOUCHES else [touch],
            workflow_runner=UnsandboxedWorkflowRunner(),
            sticky_queue_schedule_to_start_timeout=STICKY,
            graceful_shutdown_timeout=GRACE,
        )
        apart = Worker(client, task_queue=TOUCHES, activities=[touch], graceful_shutdown_timeout=GRACE)
        await asyncio.gather(leads.run(), *([apart.run()] if queue == TOUCHES else []))


async def web(address: str, database: str, port: str) -> None:
    """What takes the carrier's callbacks: a status is an update, a reply a signal."""
    client = await Client.connect(address)

    async def status(request: http.Request) -> http.Response:
        form = dict(parse_qsl(await request.text()))
        async with pool.connection() as conn:
            await conn.execute(_STATUS, (form["MessageStatus"], request.query["touch"]))
        return http.Response(status=204)

    async def sms(request: http.Request) -> http.Response:
        sender = dict(parse_qsl(await request.text()))["From"]
        try:
            await client.get_workflow_handle(f"bare/{sender[1:]}").signal("lead_replied")
        except RPCError:  # it is over
            return http.Response(status=204)
        return http.Response()

    async def healthz(_: http.Request) -> http.Response:
        return http.Response()

    app = http.Application()
    app.add_routes([http.post("/webhooks/twilio/status", status), http.post("/webhooks/twilio/sms", sms)])
    app.add_routes([http.get("/healthz", healthz)])
    async with AsyncConnectionPool(database, min_size=10, max_size=20, kwargs=_ALONE) as pool:
        runner = http.AppRunner(app, access_log=None)
        await runner.setup()
        await http.TCPSite(runner, "127.0.0.1", int(port)).start()
        await asyncio.Event().wait()


RUNS: dict[str, Callable[..., Coroutine[None, None, None]]] = {"worker": worker, "web": web}
