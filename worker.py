"""The worker's composition root: settings -> adapters -> activities -> Temporal workers and the outbox relay."""

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version as release
from pathlib import Path

import structlog
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.heartbeat import THROTTLE, Heartbeat
from activities.plan import PlanActivities
from activities.sweep import SweepActivities
from activities.touches import TouchActivities
from channels.sendgrid_email import SendGridEmail
from channels.twilio_client import TwilioClient
from channels.twilio_sms import TwilioSms
from channels.twilio_voice import TwilioVoice
from config.data_dir import clock as read_clock
from config.settings import Settings
from content.facilities import load_facilities
from content.library import load_sequences, system_templates
from content.links import Links
from content.templates import load_templates
from content.values import Voice
from domain.backpressure import Limits
from domain.clock import Clock
from domain.errors import TendError
from domain.patience import Patience
from domain.sequence import warnings
from domain.touches import Channel
from relay.lead_workflows import LeadWorkflows
from relay.relay import Relay
from relay.sticky_queues import let_go_of_dead
from relay.sweep import Sweep
from relay.sweep_schedule import keep_schedule
from relay.temporal_delivery import TemporalDelivery
from store import home
from store.backpressure import Backpressure
from store.composer import Composer
from store.engine import Store, make_engine
from store.lead_unit import Leads
from store.sequences import SequenceBook, publish
from store.sweep import SweepStore
from store.touch_ledger import TouchLedger
from store.vault import Vault
from wire.connect import connect, register_search_attributes
from wire.deployments import Deployments
from wire.keyring import KeyRing
from workflows import names
from workflows.lead import LeadWorkflow
from workflows.sweep import SweepWorkflow

log = structlog.get_logger()
CONFIG = Path(__file__).parent / "config"
GRACE = timedelta(seconds=10)  # a request under way is finished rather than cut
STICKY = timedelta(seconds=2)  # after a worker's death its leads are another's within this, not within 10 s


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is under way (at most 10 s) and returns."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    assert settings.keys is not None and settings.database_url and settings.temporal_address
    keyring = KeyRing.parse(settings.keys.get_secret_value())
    async with AsyncExitStack() as stack:
        store = Store(home.guard(make_engine(settings.database_url)), Vault(keyring))
        stack.push_async_callback(store.engine.dispose)
        if not await home.until_compared(store.engine, stop):
            return
        clock = read_clock(settings)
        book = await open_book(store, clock)
        client = await _connect(settings, keyring)
        await register(client, settings.temporal_namespace)
        ledger = make_ledger(settings, store, book, clock, keyring)
        touches = await make_touch_activities(settings, ledger, clock, stack)
        limits = make_limits(settings)
        sweep = SweepActivities(Sweep(SweepStore(ledger.leads), LeadWorkflows(client), clock))
        plans = PlanActivities(ledger, clock)
        await let_go_of_dead(client, settings.temporal_namespace)
        workers = make_workers(client, plans, touches, limits, deployment(settings), sweep=sweep)
        delivery = TemporalDelivery(client, settings.continue_as_new_after, eager=settings.deployment_name is None)
        relay = Relay(store.engine, delivery, imports_per_second=settings.imports_per_second)
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run())
            group.create_task(home.keep_alive(store.engine, stop))
            register_again = partial(register, client, settings.temporal_namespace)
            schedule = group.create_task(keep_schedule(client, stop, register_again))
            log.info("worker ready", build=settings.build_id)
            await tell_unless_current(client, settings)
            await relay.run(stop)
            log.info("worker stopping")
            # all at once: none takes new work while another still finishes its own
            await asyncio.gather(schedule, *(worker.shutdown() for worker in workers))


async def _connect(settings: Settings, keyring: KeyRing) -> Client:
    """Raises TendError: whoever started this worker starts it again."""
    assert settings.temporal_address is not None
    try:
        return await connect(
            settings.temporal_address,
            settings.temporal_namespace,
            keyring,
            **settings.temporal_access,
        )
    except RuntimeError:
        raise TendError(
            f"no Temporal at {settings.temporal_address}: is it up, and TEND_TEMPORAL_ADDRESS right?"
        ) from None


async def register(client: Client, namespace: str) -> None:
    """The search attributes, without which a lead's first task would fail over and over; `tend up` did so before.

    A server that lets nobody do this from outside is told of: there an administrator does it once.
    """
    try:
        await register_search_attributes(client, namespace, names.ATTRIBUTE_TYPES)
    except (RPCError, TimeoutError) as error:
        log.warning(
            "the search attributes of leads could not be registered; see the runbook",
            namespace=namespace,
            attributes=sorted(names.ATTRIBUTE_TYPES),
            error=type(error).__name__,
        )


async def tell_unless_current(client: Client, settings: Settings) -> None:
    """A build that nobody has made current waits for ever, and looks well."""
    if settings.deployment_name is None:
        return
    try:
        current = await Deployments(client, settings.deployment_name).is_current(settings.build_id or "")
    except RPCError:
        return  # the relay and the workers will say that Temporal is away
    if not current:
        log.warning("this build gets no work until `tend release current` names it", build=settings.build_id)


async def open_book(store: Store, clock: Clock) -> SequenceBook:
    """Publishes the sequences that ship, where their text was never seen before, and reads all versions that it can.

    Not in place of one that it cannot read: a later release has published that.
    """
    templates = load_templates(CONFIG / "templates")
    shipped = load_sequences(CONFIG / "sequences", templates)
    for text in (text for pinned in shipped for text in warnings(pinned.sequence)):
        log.warning(text)
    await publish(store.engine, shipped, clock.product(datetime.now(UTC)))
    book = SequenceBook(store)
    await book.refresh()
    return book


def make_ledger(settings: Settings, store: Store, book: SequenceBook, clock: Clock, keyring: KeyRing) -> TouchLedger:
    voice = Voice(
        settings.organization,
        settings.postal_address,
        Links(keyring, settings.public_url),
        load_facilities(CONFIG / "facilities.yaml"),
    )
    composer = Composer(store, book, voice, system_templates(load_templates(CONFIG / "templates")))
    leads = Leads(store, book, clock.now, Patience.on(clock.at_most), clock.product)
    return TouchLedger(leads, clock, composer, Backpressure(make_limits(settings)), measured=True)


def make_limits(settings: Settings) -> Limits:
    """What is set of the limits of a sender."""
    seconds = {c: getattr(settings, f"{c.value}_per_second") for c in Channel}
    days = {c: getattr(settings, f"{c.value}_per_day") for c in Channel}
    return Limits(
        {c: limit for c, limit in seconds.items() if limit is not None},
        {c: limit for c, limit in days.items() if limit is not None},
        settings.concurrent_calls,
    )


async def make_touch_activities(
    settings: Settings, ledger: TouchLedger, clock: Clock, stack: AsyncExitStack
) -> TouchActivities:
    """The channels as the settings name them. The base URLs are obeyed with the sandbox carrier only."""
    sandbox = settings.carrier == "sandbox"
    assert settings.twilio_account_sid and settings.twilio_auth_token and settings.sendgrid_api_key
    twilio = TwilioClient(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_base_url if sandbox else None,
    )
    stack.push_async_callback(twilio.aclose)
    sender = settings.twilio_from
    email = SendGridEmail(
        settings.sendgrid_api_key.get_secret_value(),
        settings.email_from,
        settings.organization,
        base_url=settings.sendgrid_base_url if sandbox else None,
    )
    stack.push_async_callback(email.aclose)
    return TouchActivities(
        ledger,
        clock,
        TwilioSms(
            twilio, settings.public_url, messaging_service_sid=settings.twilio_messaging_service_sid, from_=sender
        ),
        TwilioVoice(twilio, settings.public_url, sender or ""),
        email,
    )


def deployment(settings: Settings) -> WorkerDeploymentConfig | None:
    """The version that this process's workers poll as; None where no deployment is named: then as none.

    A lead moves to the version that is current at its next task, whatever version it began on.
    """
    if settings.deployment_name is None or settings.build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment_name, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def make_workers(
    client: Client,
    plans: PlanActivities,
    touches: TouchActivities,
    limits: Limits | None = None,
    version: WorkerDeploymentConfig | None = None,
    *,
    sweep: SweepActivities | None = None,
) -> list[Worker]:
    """One worker a queue: workflows, plans and the sweep on the leads' queue, each channel on its own.

    Temporal itself holds the touches a second of a queue, over all workers, and hands out by priority what waits.
    All are of one `version`: a task that goes to a version is lost to it on a queue that the version does not poll.
    """
    build = None if version else release("tend")  # else the SDK would go through all that is loaded for a name
    leads = Worker(
        client,
        task_queue=names.LEADS_QUEUE,
        workflows=[LeadWorkflow, SweepWorkflow],
        activities=[plans.plan, plans.open_task, plans.expire_task, *([sweep.sweep] if sweep else [])],
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=GRACE,
        interceptors=[Heartbeat(GRACE)],
        max_heartbeat_throttle_interval=THROTTLE,
        deployment_config=version,
        build_id=build,
    )
    channels = [
        Worker(
            client,
            task_queue=queue,
            activities=[touches.touch],
            graceful_shutdown_timeout=GRACE,
            interceptors=[Heartbeat(GRACE)],
            max_heartbeat_throttle_interval=THROTTLE,
            max_task_queue_activities_per_second=limits.per_second.get(Channel(channel)) if limits else None,
            deployment_config=version,
            build_id=build,
        )
        for channel, queue in names.CHANNEL_QUEUES.items()
    ]
    return [leads, *channels]
