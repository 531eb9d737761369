"""`tend up`: everything on one machine, in order, until it is told to stop."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from config.data_dir import DataDir, check_start
from config.settings import Environment, Settings
from domain.errors import InvalidSequence
from stack import carrier, clock_file, preflight
from stack.builds import waits
from stack.copies import Copies
from stack.endpoints import Endpoints, base_url
from stack.keys import ensure_api_keys, ensure_ring
from stack.ports import check_free, stable_ports
from stack.postgres import EmbeddedPostgres
from stack.preflight import StartError, UsageError
from stack.process import ChildSpec, stop_signals
from stack.product import api_spec, child_environment, sandbox_spec, worker_spec
from stack.publishing import publish_shipped, reckon_anew, shipped_warnings
from stack.supervisor import Supervisor, end_leftovers
from stack.temporal_server import Temporal, server_spec
from store.migrate import migrate

STOP_WITHIN = 13.5  # real seconds; the 15 that are promised less what this process needs for itself
_PORTS = ("postgres", "temporal", "temporal_ui", "sandbox", "api")


def _servers(settings: Settings) -> str:
    """Which Temporal and which database, without passwords: what one was told says nothing of another."""
    database = settings.database_url and make_url(settings.database_url).render_as_string(hide_password=True)
    return f"{settings.temporal_address} {settings.temporal_namespace} {database}"


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `tend up`; None where not given. Port 0 is any free one, the same at each start."""

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    clock: str | None = None
    pace: str | None = None
    personas: str = "none"


def say(line: str) -> None:
    """Tells the console; that nobody reads it any more (a closed terminal, an ended pipe) changes nothing else."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives


async def up(options: Options) -> None:
    """Runs the stack until SIGINT, SIGTERM or SIGHUP. Raises StartError if it cannot start; then nothing is left."""
    stop = asyncio.Event()
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = Stack(options)
    with stack.locked():
        running = asyncio.create_task(stack.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            say("stopping ...")
        running.cancel()
        stopped.cancel()
        result, _ = await asyncio.gather(running, stopped, return_exceptions=True)
        await stack.stop()
    if not stop.is_set():
        if isinstance(result, OSError):
            raise StartError(f"{options.data_dir or 'the data directory'} cannot be used ({result})") from result
        if isinstance(result, Exception):
            raise result
    say("stopped")


class Stack:
    """One run of all parts. Raises StartError for what cannot be, before anything was touched."""

    def __init__(self, options: Options) -> None:
        self._options = options
        preflight.check_workers(options.workers)
        self._asked_clock = clock_file.parse(options.clock, options.pace)
        self._personas = preflight.check_personas(options.personas, carrier.KNOWN_PERSONAS)
        settings = preflight.read_settings(options.data_dir)
        self._sandboxed = settings.carrier == "sandbox"
        if self._personas and not self._sandboxed:
            raise UsageError("--personas need the sandbox carrier: leave them out, or set TEND_CARRIER=sandbox")
        if wrong := check_start(settings):
            raise StartError(f"{settings.environment} refuses to start: " + "; ".join(wrong))
        self._directory = DataDir(settings.data_dir.absolute())
        self._supervisor = Supervisor(self._directory.logs, self._directory.children, say, self._announce)
        self._endpoints: Endpoints | None = None
        self._alive: asyncio.Task[None] | None = None
        self._complete = False
        self._reckoned = False
        self._servers = self._settled = ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the data directory. What a killed run left behind is ended first."""
        preflight.make_directory(self._directory)
        with preflight.lock_directory(self._directory):
            if left := end_leftovers(self._directory.children):
                say(f"ended what an earlier run had left behind: {', '.join(left)}")
            self._directory.endpoints.unlink(missing_ok=True)
            yield

    async def run(self) -> None:
        """Starts everything, announces it, and then rests until cancelled. Raises StartError."""
        began, options, directory = time.monotonic(), self._options, self._directory
        settings = preflight.read_settings(options.data_dir)
        clock = clock_file.ClockFile(
            directory,
            self._asked_clock,
            virtual_allowed=self._sandboxed and settings.environment is not Environment.PRODUCTION,
        )
        check_free(options.host, options.port)
        settings = await self._with_ring(settings)
        ports = stable_ports(directory.ports, _PORTS)
        if options.port:
            ports["api"] = options.port
        say(f"starting in {directory.path}")

        known = settings.temporal_address is not None or directory.temporal.exists()
        self._servers = _servers(settings)
        self._settled = _read(directory.settled) or "" if known and not clock.pace_changed else ""
        settled = self._settled == self._servers
        directory.settled.unlink(missing_ok=True)  # also for the start after this one, should this one fail
        self._endpoints, temporal = await self._start_servers(settings, ports)
        database_url = self._endpoints.database_url
        assert settings.keys is not None
        await preflight.check_ring(database_url, settings.keys.get_secret_value(), directory.keys)
        copies = Copies(directory, database_url, embedded=settings.database_url is None)
        await copies.look()
        await self._migrate(database_url)
        ring = settings.keys.get_secret_value()
        await ensure_api_keys(directory, database_url, ring, personas=bool(self._personas), sandbox=self._sandboxed)
        if self._sandboxed:
            carrier.ensure_credentials(directory)

        product_time = clock.run(time.monotonic() - began)
        self._alive = asyncio.create_task(clock.keep_alive())
        await self._publish(database_url, product_time.now())
        if not settled:
            # timers of another pace, or gone with Temporal's file or its last moments: the database is the truth
            await reckon_anew(database_url, product_time.now())
        self._reckoned = True
        others, workers = self._product(settings, self._endpoints, temporal, ports["sandbox"])
        put_back = await copies.put_back()
        if not put_back:
            await copies.mark()
            others += workers
        await self._supervisor.start(*others)
        await clock_file.begun(product_time)
        self._complete = True
        self._announce()
        self._tell(time.monotonic() - began)
        with contextlib.suppress(RuntimeError):
            if build := await waits(await temporal.client(), settings):
                say(f"NOTHING IS SENT by build {build} until `tend release current {build}` lets the leads move to it")
        if put_back:
            await self._wait_to_be_compared(copies, workers)
        await copies.keep_mark()
        await asyncio.Event().wait()

    async def _wait_to_be_compared(self, copies: Copies, workers: list[ChildSpec]) -> None:
        say("the database was put back from a copy: leads are taken in and stops hold, and NOTHING IS SENT until")
        say(f"  tend rebuild --restored --data-dir {self._directory.path}")
        say("has compared it with what the carrier knows; see docs/runbook.md")
        await copies.until_compared()
        await copies.mark()
        await self._supervisor.start(*workers)
        say("it was compared: the workers are at work")

    async def stop(self) -> None:
        """Stops what runs, in reverse order; product time stands still from when the last part is gone."""
        self._complete = False
        self._directory.endpoints.unlink(missing_ok=True)
        in_order = await self._supervisor.stop(STOP_WITHIN)
        # of a start that was refused before any part of the product ran, what held before it
        settled = self._servers if self._reckoned else self._settled
        if settled and in_order:
            with contextlib.suppress(OSError):  # without it the next start only has more to do
                self._directory.settled.write_text(settled)
        if self._alive is not None:
            self._alive.cancel()
            await asyncio.gather(self._alive, return_exceptions=True)

    async def _with_ring(self, settings: Settings) -> Settings:
        used = self._directory.postgres.exists()
        if settings.database_url is not None:
            used = await preflight.check_database(settings.database_url)
        ring = ensure_ring(settings, self._directory, database_is_new=not used)
        return settings.model_copy(update={"keys": SecretStr(ring)})

    async def _start_servers(self, settings: Settings, ports: dict[str, int]) -> tuple[Endpoints, Temporal]:
        """Postgres and Temporal, side by side, each where it is not configured elsewhere; and all addresses."""
        directory, servers = self._directory, list[ChildSpec]()
        api = base_url(self._options.host, ports["api"])
        database_url, address, ui = settings.database_url, settings.temporal_address, settings.temporal_ui_url
        if address is None:
            address, ui = f"127.0.0.1:{ports['temporal']}", f"http://127.0.0.1:{ports['temporal_ui']}"
            temporal = Temporal(settings, address)
            servers.append(server_spec(directory, temporal, ui_port=ports["temporal_ui"], codec=f"{api}/codec"))
        else:
            temporal = Temporal(settings, address)
            await temporal.check()
            await temporal.prepare(retention=settings.environment is not Environment.PRODUCTION)
        if database_url is None:
            postgres = EmbeddedPostgres(directory, ports["postgres"], say)
            await postgres.make()
            database_url = postgres.url
            servers.insert(0, postgres.spec())
        await self._supervisor.start(*servers)
        endpoints = Endpoints(
            api=api,
            temporal=address,
            temporal_ui=ui,
            database_url=database_url,
            public_url=settings.public_url if "public_url" in settings.model_fields_set else api,
            sandbox=base_url("127.0.0.1", ports["sandbox"]) if self._sandboxed else None,
        )
        return endpoints, temporal

    async def _migrate(self, database_url: str) -> None:
        began = time.monotonic()
        try:
            await migrate(database_url)
        except SQLAlchemyError as error:
            # its text may hold a statement with values: the kind of the cause has to do
            cause = getattr(error, "orig", None) or error
            raise StartError(f"migrations failed ({type(cause).__name__}): run `tend migrate` to see all") from error
        say(f"migrations done ({time.monotonic() - began:.1f} s)")

    async def _publish(self, database_url: str, now: datetime) -> None:
        try:
            published = await publish_shipped(database_url, now)
        except InvalidSequence as error:
            raise StartError(f"sequences: {error}") from None
        if published:
            say(f"sequences published: {', '.join(f'{key} version {version}' for key, version in published)}")
        for warning in shipped_warnings():
            say(f"warning: {warning}")

    def _product(
        self, settings: Settings, endpoints: Endpoints, temporal: Temporal, sandbox_port: int
    ) -> tuple[list[ChildSpec], list[ChildSpec]]:
        """Its processes, and apart from them the workers."""
        options, directory = self._options, self._directory
        environment = child_environment(settings, directory, endpoints)
        specs: list[ChildSpec] = []
        if self._sandboxed:
            # what the product will run with: its own settings, completed with the credentials made here
            shared = preflight.read_settings(options.data_dir).model_copy(update={"public_url": endpoints.public_url})
            specs.append(sandbox_spec(directory, shared, endpoints, sandbox_port, self._personas))
        specs.append(api_spec(directory, environment, endpoints, options.host))
        return specs, [worker_spec(directory, environment, temporal, n + 1) for n in range(options.workers)]

    def _announce(self) -> None:
        """Keeps `endpoints.json` right, from when everything answers until the stop."""
        if self._complete and self._endpoints is not None:
            self._endpoints.write(self._directory, self._supervisor.pids)

    def _tell(self, seconds: float) -> None:
        assert self._endpoints is not None
        rows = {
            "API": f"{self._endpoints.api} (documentation at /docs)",
            "Temporal UI": self._endpoints.temporal_ui,
            "sandbox carrier": self._endpoints.sandbox,
            "admin's API key": str(self._directory.admin_key),
            "logs": str(self._directory.logs),
        }
        say(f"Tend is up ({seconds:.1f} s)")
        for name, value in rows.items():
            if value is not None:
                say(f"  {name:<16} {value}")
        say("Ctrl-C stops everything")
