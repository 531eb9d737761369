"""The API's composition root: settings -> adapters -> services -> routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api import problems
from api.access import NoKey, Right, actor_of, check_rules, may
from api.commands import Commands
from api.dependencies import checks
from api.edge import Edge
from api.lists import Lists
from api.logs import make_log
from api.meters import Meters
from api.routes import bookings, lead_commands, leads, pages, system, tasks
from api.sequences_ready import keep_fresh
from api.services import Services
from api.webhooks import sendgrid, twilio, twilio_voice
from channels.inbound_sendgrid import SendGridEvents
from channels.inbound_twilio import TwilioWebhooks
from channels.twilio_twiml import CallFlow
from config.data_dir import clock as read_clock
from config.settings import Environment as Stage
from config.settings import Settings
from content.facilities import load_facilities
from content.library import load_sequences, report
from content.links import Links
from content.places import warm_up
from content.templates import load_templates
from content.values import Voice
from domain.errors import TendError
from domain.patience import Patience
from relay.delivered import DeliveredListener
from store.click_to_call import ClickToCall
from store.engine import Store, make_engine
from store.inbound import Inbound
from store.lead_unit import Leads
from store.sequences import SequenceBook
from store.touch_news import TouchNews
from store.vault import Vault
from wire.codec import AesCodec
from wire.codec_server import codec_router, spellings
from wire.keyring import KeyRing

CONFIG = Path(__file__).parent.parent / "config"
POOL = 10
NEWS_AT_ONCE = 2


def create_app(settings: Settings) -> FastAPI:
    """The app. It starts and serves while Postgres and Temporal are away, and needs no restart when they are back.

    Raises TendError for settings or files that cannot be.
    """
    if settings.keys is None or settings.database_url is None:
        raise TendError("the API needs TEND_KEYS and TEND_DATABASE_URL; `tend up` makes both")
    keyring = KeyRing.parse(settings.keys.get_secret_value())
    store = Store(make_engine(settings.database_url, pool_size=POOL), Vault(keyring))
    book = SequenceBook(store)
    clock = read_clock(settings)
    production = settings.environment is Stage.PRODUCTION
    listener = DeliveredListener(settings.database_url)
    services = _services(
        settings, keyring, Leads(store, book, clock.now, Patience.on(clock.at_most), clock.product), listener
    )
    templates = load_templates(CONFIG / "templates")
    shipped, log = load_sequences(CONFIG / "sequences", templates), make_log(settings.log_level)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(store.engine.dispose)
            await stack.enter_async_context(listener)
            fresh = asyncio.create_task(keep_fresh(store, book, shipped, clock.now), name="sequences")
            stack.push_async_callback(_end, fresh)
            await asyncio.to_thread(warm_up)
            for cost in report(templates):
                log.info("sms template", **cost._asdict())
            yield

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # its spans and logs quote the texts of errors
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.services = services
    for router in (
        leads.router,
        lead_commands.router,
        bookings.router,
        tasks.router,
        system.health,
        system.inspection,
        twilio.router,
        twilio_voice.router,
        sendgrid.router,
        pages.router,
        codec_router(services.codec, may_use_codec, settings.temporal_ui_url),
    ):
        app.router.routes.extend(router.routes)
    check_rules(app.routes)
    problems.install(app)
    app.add_middleware(
        Edge,
        routes=app.routes,
        meters=services.meters,
        log=log,
        secure=production and settings.public_url.startswith("https://"),
    )
    return app


def _services(settings: Settings, keyring: KeyRing, leads: Leads, listener: DeliveredListener) -> Services:
    links = Links(keyring, settings.public_url)
    facilities = load_facilities(CONFIG / "facilities.yaml")
    token, event_key = settings.twilio_auth_token, settings.sendgrid_webhook_key
    return Services(
        production=settings.environment is Stage.PRODUCTION,
        organization=settings.organization,
        ui_origin=settings.temporal_ui_url,
        store=leads.store,
        leads=leads,
        commands=Commands(leads, listener, timedelta(seconds=settings.call_lease)),
        inbound=Inbound(leads, confirm=settings.opt_out_confirmation == "tend"),
        news=TouchNews(leads),
        click_to_call=ClickToCall(leads),
        calls=CallFlow(settings.public_url, settings.twilio_from),
        links=links,
        facilities=facilities,
        voice=Voice(settings.organization, settings.postal_address, links, facilities),
        twilio=TwilioWebhooks(token.get_secret_value(), settings.public_url) if token else None,
        sendgrid=_events(event_key) if event_key else None,
        codec=AesCodec(keyring),
        meters=Meters(),
        pages=Environment(
            loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
        ),
        dependencies=checks(settings, keyring),
        # each may need two connections; there are twice as many as the pool keeps
        once=asyncio.Semaphore(POOL),
        news_at_once=asyncio.Semaphore(NEWS_AT_ONCE),
        lists=Lists(),
    )


def _events(key: str) -> SendGridEvents:
    try:
        return SendGridEvents(key)
    except ValueError as error:
        raise TendError(f"TEND_SENDGRID_WEBHOOK_KEY: {error}") from None


async def may_use_codec(request: Request) -> bool:
    """Somebody who may read payloads; in development also the Temporal UI, by the origin that its browser states."""
    services: Services = request.app.state.services
    if not services.production and request.headers.get("origin") in spellings(services.ui_origin):
        return True
    try:
        return may(await actor_of(request), Right.CODEC)
    except NoKey:
        return False


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
