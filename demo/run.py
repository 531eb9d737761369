"""`tend demo`: the real stack with made-up leads, watched until their cadences are over."""

import asyncio
import shutil
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

import httpx
from filelock import FileLock, Timeout
from rich.console import Console
from rich.live import Live

from config.data_dir import DataDir, write_private
from content.facilities import Facility, load_facilities
from demo import closing
from demo.board import Board, Line
from demo.cast import GUESTS, PERSONAS, VISITOR_PERSONA, VISITOR_PHONE
from demo.client import Client, Json, client
from demo.disaster import nothing_twice, strike
from demo.launch import Launched
from demo.pace import AFTERWARDS, LASTS, pace_text
from demo.summary import summary
from demo.view import Screen
from domain.clock import Clock
from stack.preflight import StartError, make_directory
from stack.process import stop_signals
from stack.supervisor import end_leftovers

MARKER = "demo.marker"
FACILITIES = Path(__file__).resolve().parent.parent / "config" / "facilities.yaml"
REFRESH = 0.4  # real seconds
HOLDS_BACK = 4  # looks after which what happened until the first of them is known of every lead
WIDTH = 120  # characters, where it is not a terminal's


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `tend demo`. Port 0 is any free one; `once` ends it after the summary.

    `disaster`: Temporal's database is deleted in its midst, and rebuilt.
    """

    data_dir: Path
    port: int = 0
    once: bool = False
    disaster: bool = False


class ConsoleGone(StartError):
    """Nobody reads what is shown any more."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise ConsoleGone("nobody reads the demo any more, so it ended")


async def demo(options: Options) -> None:
    """Runs until Ctrl-C (or to the summary). Raises StartError if the stack cannot start or gives up."""
    stop = asyncio.Event()
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console: Console = _Console()
    if not console.is_terminal:
        console = _Console(width=WIDTH)  # nobody's screen: nothing need be cut short
    facility = load_facilities(FACILITIES).get(None)
    began = ten_o_clock(facility, datetime.now(UTC))
    make_fresh(DataDir(options.data_dir.absolute()))
    launched = Launched(
        options.data_dir,
        *("--port", str(options.port), "--clock", began.isoformat(), "--pace", pace_text()),
        *("--personas", ",".join(PERSONAS)),
    )
    screen = Screen(console, ZoneInfo(facility.zone), facility.name, began, LASTS)
    async with launched:
        show = asyncio.create_task(_show(launched, screen, disaster=options.disaster))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({show, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            endpoints = show.result()
            if not options.once:
                closing.where_to_look(console, endpoints, launched.directory.path)
                console.print(
                    f"\nEverything stays up; the clock now goes {AFTERWARDS // 60} min a second. Ctrl-C stops it all.",
                    style="bold",
                    soft_wrap=True,
                )
                await _until_it_ends(launched, stop)
        show.cancel()
        stopped.cancel()
        await asyncio.gather(show, stopped, return_exceptions=True)
        console.print("stopping ...")
    console.print("stopped")


def ten_o_clock(facility: Facility, now: datetime) -> datetime:
    """The next weekday's 10:00 at the facility (UTC)."""
    zone = ZoneInfo(facility.zone)
    day = now.astimezone(zone).date() + timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime.combine(day, time(10), zone).astimezone(UTC)


def make_fresh(directory: DataDir) -> None:
    """An empty directory that bears the demo's mark. Raises StartError where somebody else's things would go."""
    path, marker = directory.path, directory.path / MARKER
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if not marker.is_file():
            raise StartError(f"--data-dir {path} is not a demo's directory: give another one, or remove it yourself")
        lock = FileLock(directory.lock, timeout=0)
        try:
            with lock:
                end_leftovers(directory.children)
                shutil.rmtree(path)
        except Timeout:
            raise StartError(f"another demo is running in {path}: stop it first, or give another --data-dir") from None
        except OSError as error:
            raise StartError(f"--data-dir {path} cannot be made anew ({error.strerror}): remove it yourself") from None
    make_directory(directory)
    write_private(marker, "Made by `tend demo`, which removes this directory when it starts again.\n")


async def _show(launched: Launched, screen: Screen, *, disaster: bool) -> Json:
    """Takes the leads in, shows what happens until all is over, and sums up. Answers where everything is."""
    console = screen.console
    console.print("Starting everything on this machine: Postgres, Temporal, sandbox carrier, API, worker ...")
    endpoints = await launched.start()
    async with client(endpoints, launched.admin_key) as tend:
        board = Board(tend, screen.zone)
        started = monotonic()
        clock = Clock.read(launched.directory.clock)
        console.print(f"{len(GUESTS)} people ask, one after the other. API {endpoints['api']}/docs", highlight=False)
        asking = asyncio.create_task(_play(tend, launched, board, screen, clock, disaster=disaster))
        try:
            await _watch(launched, board, screen, clock, asking)
            await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await board.refresh(thoroughly=True)
        summary(console, board, timedelta(seconds=monotonic() - started))
        if disaster:
            await nothing_twice(console, tend)
    return endpoints


async def _play(
    tend: Client, launched: Launched, board: Board, screen: Screen, clock: Clock, *, disaster: bool
) -> None:
    await _ask(tend, board, clock)
    if disaster:
        await strike(launched, screen.console, clock, screen.began)


async def _ask(tend: Client, board: Board, clock: Clock) -> None:
    """The inquiries, over HTTP, each from somebody whose persona is set before."""
    await tend.set_persona(VISITOR_PHONE, VISITOR_PERSONA)
    for guest in GUESTS:
        await tend.set_persona(guest.phone, guest.persona)
        taken = await tend.take_in(guest.inquiry(clock.now()))
        board.add(guest, taken["lead_id"])
        await asyncio.sleep(0.2)


async def _watch(launched: Launched, board: Board, screen: Screen, clock: Clock, asking: asyncio.Task[None]) -> None:
    """Until every lead has finished, or the time that is shown has passed."""
    console = screen.console
    lively = console.is_terminal and not console.is_dumb_terminal
    told, moments = set[Line](), deque[datetime](maxlen=HOLDS_BACK)
    live = Live(console=console, auto_refresh=False) if lively else None
    if live is not None:
        live.start()
    try:
        while True:
            now = clock.now()
            await board.refresh()
            if live is not None:
                live.update(screen.page(board, now), refresh=True)
            else:
                _print(screen, board, told, moments[0] if moments else screen.began)
                moments.append(now)
            if asking.done():
                asking.result()
                if board.finished or now > screen.began + screen.lasts:
                    break
            if (why := launched.failed) is not None:
                raise StartError(why)
            await asyncio.sleep(REFRESH)
    finally:
        if live is not None:
            live.update(screen.page(board, clock.now()), refresh=True)
            live.stop()
        else:
            _print(screen, board, told, clock.now())


def _print(screen: Screen, board: Board, told: set[Line], until: datetime) -> None:
    """What happened up to a product time and is not told yet, in order."""
    for line in board.feed:
        if line.at <= until and line not in told:
            screen.console.print(screen.line(line), soft_wrap=True)
            told.add(line)


async def _until_it_ends(launched: Launched, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
        if not stop.is_set() and (why := launched.failed) is not None:
            raise StartError(why)


def run(options: Options) -> None:
    """The command. A part that does not answer is one line, like every failure."""
    try:
        asyncio.run(demo(options))
    except httpx.HTTPError as error:
        raise StartError(
            f"the API did not answer ({type(error).__name__}): look into {options.data_dir}/logs"
        ) from error
    finally:
        sys.stdout.flush()
