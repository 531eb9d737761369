"""`tend doctor`: what is misconfigured or stuck, in plain words, each with what it means and what to do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import func, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError

from channels.twilio_client import TwilioClient
from config.data_dir import DataDir, check_start
from config.data_dir import clock as read_clock
from config.settings import Settings
from domain.errors import TendError
from domain.ports import ChannelError
from relay.sweep_schedule import find_schedule, make_schedule
from stack.builds import advice, none_current, waits
from stack.clocks import agree
from stack.database import Tools, tools
from stack.pollers import asking_at, workers_at
from stack.preflight import check_ring
from stack.stuck_leads import several, stuck
from stack.verdicts import Line, Verdict, length, ok, wrong
from store import home
from store.migrate import fits, newest, reached
from store.open_claims import held_up
from store.sweep import kept, waits_too_long
from store.tables import leads, outbox, tasks, touches
from wire.connect import register_search_attributes
from wire.deployments import NoneAtWork
from workflows import names

PATIENCE = 15.0  # real seconds for one question
LATE = timedelta(minutes=1)
NO_SWEEP = timedelta(minutes=5)
NOT_SETTLED = timedelta(minutes=10)  # a claim by which others are held up, after its deadline
LEAST_RETENTION = timedelta(days=1)
SENDGRID = "https://api.sendgrid.com"


async def examine(settings: Settings, *, repair: bool) -> AsyncIterator[Line]:
    """One line after the other; what a part that is away would have to tell is left out."""
    yield _settings(settings)
    yield _clock(settings)
    if settings.keys is None or settings.database_url is None or settings.temporal_address is None:
        missing = [n for n in ("keys", "database_url", "temporal_address") if getattr(settings, n) is None]
        said = ", ".join(f"TEND_{name.upper()}" for name in missing)
        yield wrong("stack", f"{said} not known here", f"start `tend up` on {settings.data_dir}, or set them")
        return
    yield await _asked("carrier", lambda: _carrier(settings))
    yield await _asked("mail", lambda: _mail(settings))
    async with _tools(settings) as (found, lines):
        for line in lines:
            yield line
        if found is None:
            return
        checks: tuple[tuple[str, Callable[[], Awaitable[Line]]], ...] = (
            ("keys", lambda: _keys(settings)),
            ("migrations", lambda: _migrations(found)),
            ("sequences", lambda: _sequences(found)),
            ("copy", lambda: _copy(found)),
            ("clocks", lambda: agree(found)),
            ("namespace", lambda: _namespace(settings, found)),
            ("search attributes", lambda: _attributes(settings, found, repair)),
            ("workers", lambda: _workers(settings, found)),
            ("schedule", lambda: _schedule(found, repair)),
            ("sweep", lambda: _last_sweep(found)),
            ("outbox", lambda: _outbox(settings, found)),
            ("unknown touches", lambda: _unknown(found)),
            ("people's work", lambda: _people(found)),
            ("shared addresses", lambda: _held_up(found)),
        )
        for check, ask in checks:
            yield await _asked(check, ask)
        async for line in stuck(found.sweep, repair=repair):
            yield line


async def _asked(check: str, ask: Callable[[], Awaitable[Line]]) -> Line:
    """Whatever goes wrong with the asking is what is wrong; the texts of errors may hold a password."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await ask()
    except TimeoutError:
        return wrong(check, f"no answer within {PATIENCE:.0f} s", "see whether it is overloaded, or cut off")
    except (TendError, ChannelError) as error:
        return wrong(check, str(error), "")
    except RPCError as error:
        return wrong(check, f"Temporal says {error.status.name}", "see Temporal's log, and the credentials")
    except (SQLAlchemyError, OSError, httpx.HTTPError) as error:
        cause = getattr(error, "orig", None) or error
        return wrong(check, f"it does not answer ({type(cause).__name__})", "see whether it is up, and its address")


@asynccontextmanager
async def _tools(settings: Settings) -> AsyncIterator[tuple[Tools | None, list[Line]]]:
    """Database and Temporal, or which of them does not answer."""
    async with contextlib.AsyncExitStack() as stack:
        found: Tools | None = None
        lines: list[Line] = []
        try:
            async with asyncio.timeout(PATIENCE):
                found = await stack.enter_async_context(tools(settings))
        except SQLAlchemyError as error:
            cause = type(getattr(error, "orig", None) or error).__name__
            do = "run `tend migrate`" if cause == "UndefinedTable" else "see whether it is up, and TEND_DATABASE_URL"
            lines = [wrong("postgres", f"it does not answer ({cause})", do)]
        except (TendError, TimeoutError) as error:
            lines = [
                ok("postgres", "it answers"),
                wrong("temporal", str(error) or "no answer", "leads are taken in meanwhile, and no step runs"),
            ]
        else:
            lines = [ok("postgres", "it answers"), ok("temporal", "it answers")]
        yield found, lines


def _settings(settings: Settings) -> Line:
    if settings.build_id is None:  # each worker is told its own; whoever asks need not know any
        settings = settings.model_copy(update={"deployment_name": None})
    if found := check_start(settings):
        return wrong("settings", "; ".join(found), "set them, see docs/settings.md")
    return ok("settings", f"{settings.environment}, {settings.carrier} carrier")


def _clock(settings: Settings) -> Line:
    clock = read_clock(settings)
    if not clock.virtual:
        return ok("product time", "the real clock")
    return ok("product time", f"a virtual clock, which shows {clock.now():%Y-%m-%d %H:%M} UTC")


async def _carrier(settings: Settings) -> Line:
    """That it knows our account, which is more than that it answers."""
    if not settings.twilio_account_sid or settings.twilio_auth_token is None:
        return wrong("carrier", "no credentials", "set TEND_TWILIO_ACCOUNT_SID and TEND_TWILIO_AUTH_TOKEN")
    base = settings.twilio_base_url if settings.carrier == "sandbox" else None
    twilio = TwilioClient(settings.twilio_account_sid, settings.twilio_auth_token.get_secret_value(), base)
    try:
        await twilio.look(twilio.api.messages.page_async(page_size=1), PATIENCE)
    except ChannelError as error:
        code = f", code {error.code}" if error.code else ""
        return wrong("carrier", f"{error.reason}{code}", "see the credentials, and whether the carrier is reachable")
    finally:
        await twilio.aclose()
    return ok("carrier", "it answers, and knows our account")


async def _mail(settings: Settings) -> Line:
    sandbox = settings.carrier == "sandbox"
    address = (settings.sendgrid_base_url if sandbox else None) or SENDGRID
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=not sandbox) as http:
        await http.get(address)  # whatever it says, it answers
    return ok("mail", "the mail provider answers")


async def _keys(settings: Settings) -> Line:
    assert settings.keys is not None and settings.database_url is not None
    await check_ring(settings.database_url, settings.keys.get_secret_value(), DataDir(settings.data_dir).keys)
    return ok("keys", "the key ring opens this database")


async def _migrations(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        at, fitting = await reached(conn), await fits(conn)
    if not fitting:
        return wrong("migrations", f"the database is at {at}, this program needs {newest()}", "run `tend migrate`")
    return ok("migrations", f"at {at}")


async def _copy(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        put_back = await home.looks_put_back(conn)
    if put_back:
        do = "run `tend rebuild --restored`, once no other database is in its place"
        return wrong("copy", "the database was put back from a copy: nothing is sent from it", do)
    return ok("copy", "the database is where workers left it")


async def _namespace(settings: Settings, found: Tools) -> Line:
    described = await found.client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=settings.temporal_namespace)
    )
    kept_for = described.config.workflow_execution_retention_ttl.ToTimedelta()
    if kept_for < LEAST_RETENTION:
        return wrong("namespace", f"finished workflows are kept for {kept_for} only", "raise its retention to 90 days")
    return ok("namespace", f"{settings.temporal_namespace}, finished workflows are kept for {kept_for.days} days")


async def _sequences(found: Tools) -> Line:
    """One that no lead needs any more may stay unreadable, as where a later release asks more of a sequence."""
    if not (unreadable := found.leads.book.unreadable()):
        return ok("sequences", "all versions can be read")
    on = leads.c.sequence, leads.c.sequence_version
    query = select(*on, func.count()).where(tuple_(*on).in_(unreadable), leads.c.exit_reason.is_(None)).group_by(*on)
    async with found.engine.connect() as conn:
        wait = {(key, version): count for key, version, count in await conn.execute(query)}
    said = [
        f"{key} version {version} cannot be read by this release ({why}), {wait.get((key, version), 0)} leads wait"
        for (key, version), why in unreadable.items()
    ]
    if not wait:
        return ok("sequences", "; ".join(said))
    return wrong("sequences", "; ".join(said), "run the release that published it, see the runbook, Releases")


async def _attributes(settings: Settings, found: Tools, repair: bool) -> Line:
    check, namespace = "search attributes", settings.temporal_namespace
    listed = await found.client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace)
    )
    if not (missing := sorted(set(names.ATTRIBUTE_TYPES) - set(listed.custom_attributes))):
        return ok(check, "all are registered")
    if repair:
        await register_search_attributes(found.client, namespace, names.ATTRIBUTE_TYPES)
        return Line(check, Verdict.REPAIRED, f"registered {', '.join(missing)}")
    said = f"{', '.join(missing)} missing: no lead's workflow can go on"
    return wrong(check, said, "`tend doctor --repair`, or let an administrator of Temporal register them")


async def _workers(settings: Settings, found: Tools) -> Line:
    asking = await asking_at(found.client, settings.temporal_namespace)
    try:
        asking.check()
    except NoneAtWork as error:
        return wrong("workers", f"{error}: nothing is sent", advice(error))
    if build := await waits(found.client, settings):
        return wrong(
            "workers", f"build {build} is not the current one and gets no work", f"`tend release current {build}`"
        )
    if asking.due is None and await none_current(found.client, settings):
        do = "`tend release current BUILD`; if they have no version, leave out TEND_DEPLOYMENT_NAME"
        return wrong("workers", f"no build of {settings.deployment_name} is current: none gets work", do)
    return ok("workers", f"{asking.workers} at work")


async def _schedule(found: Tools, repair: bool) -> Line:
    runs = await find_schedule(found.client)
    if runs is None and repair:
        await make_schedule(found.client)
        return Line("schedule", Verdict.REPAIRED, "the sweep's schedule was made")
    if runs is None:
        return wrong("schedule", "nothing starts the sweep", "workers make it within half a minute; or --repair")
    if not runs:
        return wrong("schedule", "the sweep's schedule is paused", "unpause it in the Temporal UI")
    return ok("schedule", "the sweep's schedule is there")


async def _last_sweep(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        swept = await kept(conn)
    if not swept:
        return wrong("sweep", "there was none yet", "wait a minute; then see whether workers are at work")
    age = datetime.now(UTC) - max(at for _, at in swept)
    if age > NO_SWEEP:
        return wrong("sweep", f"the last was {length(age)} ago", "see whether workers are at work, and the schedule")
    return ok("sweep", f"the last was {length(age)} ago")


async def _outbox(settings: Settings, found: Tools) -> Line:
    """Lists wait their turn for long, unless no worker is there to deliver them."""
    moving, now = await workers_at(found.client, settings.temporal_namespace) > 0, datetime.now(UTC)
    async with found.engine.connect() as conn:
        count = await conn.scalar(select(func.count()).select_from(outbox))
        late = select(func.count(), func.min(outbox.c.created_at)).where(waits_too_long(now - LATE, moving=moving))
        too_long, oldest = (await conn.execute(late)).one()
    if oldest is not None:
        said = f"{too_long} entries wait, the oldest for {length(now - oldest)}"
        return wrong("outbox", said, "see whether Temporal answers and workers are at work: they deliver it")
    return ok("outbox", f"{count} entries wait" if count else "empty")


async def _unknown(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        query = select(func.count()).select_from(touches).where(touches.c.status == "unknown")
        count = await conn.scalar(query)
    said = f"{count}; each has, or had, a review task" if count else "none"
    return ok("unknown touches", said)


async def _people(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        query = select(func.count()).select_from(tasks)
        waits = query.where(tasks.c.state == "open", tasks.c.escalation > 0)
        count = await conn.scalar(waits)
    if count:
        return wrong("people's work", f"{count} tasks wait, escalated", "somebody must take them on: GET /v1/tasks")
    return ok("people's work", "no task waits for too long")


async def _held_up(found: Tools) -> Line:
    """Who waits for another's claim is no lead that does not move, though it waits for as long as that is open."""
    check = "shared addresses"
    async with found.engine.connect() as conn:
        waiting = await held_up(conn, datetime.now(UTC) - NOT_SETTLED)
    if not waiting:
        return ok(check, "no lead waits for another's claim")
    said = "; ".join(f"{several(who)} for {by}" for by, who in waiting.items())
    do = "mend why that one cannot go on (see `failing` and the worker's log); the others then go on by themselves"
    return wrong(check, f"leads wait for a claim at their address that nobody settles: {said}", do)
