"""Puts the carrier together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from sandbox import control, sendgrid_mail, twilio_calls, twilio_messages
from sandbox.book import Book
from sandbox.call_reports import CallReports
from sandbox.callbacks import Callbacks
from sandbox.carrier import Carrier
from sandbox.cast import COORDINATOR
from sandbox.config import SandboxConfig
from sandbox.coordinator import Coordinator
from sandbox.database import connect
from sandbox.desk import Desk
from sandbox.faults import Faults
from sandbox.inbound import Inbound
from sandbox.intake import Intake
from sandbox.keys import ensure_sendgrid_keys, private_key
from sandbox.memory import Memory
from sandbox.people import People
from sandbox.times import ProductTime
from sandbox.twilio_wire import TwilioError, on_twilio_error
from sandbox.voice import Calls
from sandbox.webhooks import Http, Webhooks


def create_app(config: SandboxConfig) -> Starlette:
    """The carrier as an ASGI app. Serve it with `sandbox.server`, or lost answers cannot be imitated."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _running(config) as carrier:
            app.state.carrier = carrier
            yield

    return Starlette(
        routes=[
            *control.routes,
            *twilio_messages.routes,
            *twilio_calls.routes,
            Route("/2010-04-01/Accounts/{account}/{rest:path}", twilio_messages.absent),
            *sendgrid_mail.routes,
        ],
        exception_handlers={
            TwilioError: on_twilio_error,
            sendgrid_mail.MailError: sendgrid_mail.on_mail_error,
            control.Problem: control.on_problem,
        },
        lifespan=lifespan,
    )


@asynccontextmanager
async def _running(config: SandboxConfig) -> AsyncIterator[Carrier]:
    """Opens what is kept and starts what goes on by itself; stops it all in order."""
    ensure_sendgrid_keys(config.directory)
    db = connect(config.directory)
    book, memory = Book(db), Memory(db)
    http = Http()
    await http.open()
    clock = ProductTime(config.clock_file)
    webhooks = Webhooks(http, config.auth_token, private_key(config.directory))
    inbound = Inbound(config, book, memory, webhooks)
    desk = Desk(http, config.api, config.staff_key_file) if config.api and config.staff_key_file else None
    people = People(config, memory=memory, clock=clock, http=http, inbound=inbound, desk=desk)
    callbacks = Callbacks(book, webhooks, people.on_change)
    reports = CallReports(config, book, callbacks)
    calls = Calls(config=config, book=book, webhooks=webhooks, reports=reports, clock=clock, manner=people.manner)
    makers = {"sms": twilio_messages.make, "voice": twilio_calls.make, "email": sendgrid_mail.make}
    intake = Intake(config, book, people=people, callbacks=callbacks, calls=calls, makers=makers)
    faults = Faults(memory)
    callbacks.start()
    calls.resume()
    intake.start()
    work: asyncio.Task[None] | None = None
    if COORDINATOR in config.personas and desk is not None:
        work = asyncio.create_task(Coordinator(desk, clock).run(), name="coordinator")
    try:
        yield Carrier(config, book, memory, faults, intake, inbound)
    finally:
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        await intake.stop()
        await people.stop()
        await calls.stop()
        await callbacks.stop()
        await http.close()
        db.close()
