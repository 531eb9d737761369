"""`tend rebuild`: workflows for all leads with something to come, after Temporal was lost or a copy was put back."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from temporalio.service import RPCError

from channels.twilio_client import TwilioClient
from channels.twilio_lists import TwilioLists
from config.settings import Settings
from domain.ports import ChannelError
from relay.rebuild import Progress, TemporalAway
from stack.database import Tools, tools
from stack.pollers import workers_at
from stack.preflight import StartError
from store import home, outbox
from store.restored import Compared, Comparison
from store.sweep import WAKE
from wire.connect import register_search_attributes
from workflows import names

LOOKING = "leads looked at"
AWAY = "Temporal takes nothing at present: waiting for it, some minutes at most; Ctrl-C stops this"
BACK = "Temporal is back: going on"
AGAIN = "Nothing is lost: run `tend rebuild` again, and it goes on from here"


@dataclass(frozen=True, slots=True)
class Options:
    """`restored`: the database was put back from a copy; `all_`: also whom Temporal knows plan anew."""

    restored: bool = False
    all_: bool = False
    rate: float = 200.0
    as_json: bool = False


async def rebuild(settings: Settings, options: Options) -> None:
    """Raises StartError where it cannot be, must not be yet, or Temporal stays away."""
    began = time.monotonic()
    compared: Compared | None = None
    try:
        async with tools(settings) as found:
            if options.restored:
                compared = await _compare(settings, found)
            else:
                await _refuse_a_copy(found)
            await register_search_attributes(found.client, settings.temporal_namespace, names.ATTRIBUTE_TYPES)
            with _shown(options.as_json) as tell:
                work = found.rebuild(settings.continue_as_new_after)
                if compared is not None:
                    done = await work.delivered(tell)
                else:
                    done = await (work.all(tell) if options.all_ else work.missing(options.rate, tell))
    except TemporalAway as error:
        raise StartError(f"{error}: see whether it is up. {AGAIN}") from None
    except (RPCError, TimeoutError) as error:
        why = error.status.name if isinstance(error, RPCError) else "no answer in time"
        raise StartError(f"Temporal does not answer ({why}): run it again when it is back") from None
    _tell(options, compared, done, time.monotonic() - began)


async def _refuse_a_copy(found: Tools) -> None:
    async with found.engine.begin() as conn:
        known = await home.find(conn)
    if known is not None and known.noticed_at is not None:
        raise StartError(str(home.Restored()))


async def _compare(settings: Settings, found: Tools) -> Compared:
    """Compared, settled, and everybody told to plan anew; in this order, and never with a worker beside it."""
    async with found.engine.begin() as conn:
        known = await home.find(conn)
        if known is None:
            raise StartError(str(home.Unready()))
        if known.noticed_at is None:
            if busy := await workers_at(found.client, settings.temporal_namespace):
                raise StartError(
                    f"this database was not put back from a copy, as far as it can tell, and {busy} worker(s) are at "
                    "work on it: stop them first if it was"
                )
            await home.put_back(conn)
            known = await home.find(conn)
            assert known is not None
    assert settings.twilio_account_sid and settings.twilio_auth_token
    twilio = TwilioClient(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_base_url if settings.carrier == "sandbox" else None,
    )
    try:
        compared = await Comparison(found.leads, found.clock, TwilioLists(twilio)).compare(known)
    except ChannelError as error:
        raise StartError(
            f"the carrier's list cannot be read ({error.reason}): nothing is sent until it was; run it again"
        ) from None
    finally:
        await twilio.aclose()
    async with found.engine.begin() as conn:
        await outbox.wake_all(conn, WAKE, found.clock.now())
        await home.settle(conn)
    return compared


@contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr; none for a program. That Temporal is away, and back, is a line of its own for both."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=sys.stderr, quiet=quiet)) as bar:
        task = bar.add_task(LOOKING, total=None)
        waits = False

        def tell(seen: Progress) -> None:
            nonlocal waits
            if waits != bool(seen.away):
                waits = not waits
                print(AWAY if waits else BACK, file=sys.stderr, flush=True)
            doing = f"Temporal is away ({seen.away:.0f} s)" if waits else LOOKING
            bar.update(task, description=doing, total=max(seen.total, seen.looked_at), completed=seen.looked_at)

        yield tell


def _tell(options: Options, compared: Compared | None, done: Progress, seconds: float) -> None:
    if options.as_json:
        answer: dict[str, Any] = {"leads": done.looked_at, "started": done.started, "seconds": round(seconds, 1)}
        if compared is not None:
            answer["compared"] = asdict(compared) | {"since": compared.since.isoformat(timespec="milliseconds")}
        print(json.dumps(answer))
        return
    if compared is not None:
        print(f"compared with the carrier's list since {compared.since:%Y-%m-%d %H:%M:%S} UTC:")
        print(
            f"  {compared.known} texts and calls are known, {compared.found} that waited were sent meanwhile; "
            f"{compared.stopped} leads stopped for review"
        )
        print(
            f"  {compared.replies} replies and {compared.stops} stops taken in; {compared.mails} leads' mails unknown"
        )
        if compared.stops_of_nobody:
            print(f"  {compared.stops_of_nobody} stops came from numbers of no lead: nothing goes there from now on")
        if compared.strangers:
            print(f"  {compared.strangers} went to numbers of no living lead: inquiries are lost, ask their source;")
            print("  what begins at one of these numbers is stopped for review")
        if compared.unread:
            print(f"  {len(compared.unread)} leads could not be compared; each stops for review once it can be read:")
            for failure in sorted(set(compared.unread.values())):
                print(f"    {failure}: {', '.join(i for i, why in compared.unread.items() if why == failure)}")
        if compared.untaken:
            print(f"  {compared.untaken} texts of their numbers were not taken in: read them in the carrier's log")
    verb = "woken" if options.all_ or compared is not None else "started"
    print(f"{done.looked_at} leads with something to come, {done.started} {verb} ({seconds:.1f} s)")


def run(settings: Settings, options: Options) -> None:
    """The command. Stopped by Ctrl-C it may be begun again: who has a workflow by then is left alone."""
    try:
        asyncio.run(rebuild(settings, options))
    except KeyboardInterrupt:
        print(f"tend: stopped. {AGAIN}", file=sys.stderr)
        raise
