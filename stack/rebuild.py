"""`tend rebuild`: workflows for all leads with something to come, after Temporal was lost or a copy was put back."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from sqlalchemy import func, select
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
from wire.connect import register_search_attributes
from workflows import names

# Real: what was handed over just before the copy was noticed may not be in the carrier's list yet.
LISTED_WITHIN = timedelta(minutes=5)
MEANWHILE = "another `tend rebuild --restored` has compared it meanwhile, or it was put back again"
NOTED = "noted: nothing is sent from it until `tend rebuild --restored` has compared it"
NOTED_BEFORE = (
    "it was noted already, at {:%Y-%m-%d %H:%M:%S} UTC, and that stays: what was entered since is of later. Only where "
    "it was put back once more since then: run `tend rebuild --restored --note --again` before anything else is entered"
)
LOOKING = "leads looked at"
WAITING = "what was sent last may not be in the carrier's list yet: it is read in a while; Ctrl-C stops this"
AWAY = "Temporal takes nothing at present: waiting for it, some minutes at most; Ctrl-C stops this"
BACK = "Temporal is back: going on"
AGAIN = "Nothing is lost: run it again, and it goes on from here"


@dataclass(frozen=True, slots=True)
class Options:
    """`restored`: the database was put back from a copy; `all_`: also whom Temporal knows plan anew.

    `without_unread`: the restore is settled though leads could not be compared; they are owed a review. `note`: nothing
    is done yet but that the copy is noted as one; `again`: also one that is noted already, for it was put back since.
    """

    restored: bool = False
    all_: bool = False
    rate: float = 200.0
    as_json: bool = False
    without_unread: bool = False
    note: bool = False
    again: bool = False


async def rebuild(settings: Settings, options: Options) -> None:
    """Raises StartError where it cannot be, must not be yet, or Temporal stays away."""
    began = time.monotonic()
    compared: Compared | None = None
    try:
        async with tools(settings) as found:
            if options.note:
                await _note(settings, found, again=options.again)
                return
            if options.restored:
                compared = await _compare(settings, found, options)
            else:
                await _refuse_a_copy(found)
            await register_search_attributes(found.client, settings.temporal_namespace, names.ATTRIBUTE_TYPES)
            with _shown(options.as_json) as tell:
                work = found.rebuild(settings.continue_as_new_after)
                if options.restored:
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
    async with found.engine.connect() as conn:
        put_back = await home.looks_put_back(conn)
    if put_back:
        raise StartError(str(home.Restored()))


async def _compare(settings: Settings, found: Tools, options: Options) -> Compared | None:
    """Compared, settled, and everybody told to plan anew; in this order, and never with a worker beside it.

    None if all that was done before, and nobody has sent since. Not settled where somebody could not be compared,
    unless it is to go on without them: raises StartError.
    """
    known = await _noted(settings, found)
    if known.noticed_at is None:
        return None
    await _until_listed(found, known.noticed_at)
    async with found.engine.connect() as conn:
        if not await home.is_copy(conn):
            raise StartError(MEANWHILE)
    assert settings.twilio_account_sid and settings.twilio_auth_token
    twilio = TwilioClient(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_base_url if settings.carrier == "sandbox" else None,
    )
    comparison = Comparison(found.leads, found.clock, TwilioLists(twilio))
    try:
        compared = await comparison.compare(known)
    except ChannelError as error:
        raise StartError(
            f"the carrier's list cannot be read ({error.reason}): nothing is sent until it was; run it again"
        ) from None
    finally:
        await twilio.aclose()
    if not compared.whole:
        if not options.without_unread:
            _tell_unsettled(options, compared)
            raise StartError(_unread(compared))
        await comparison.owe_reviews(known, compared)
    # before it is settled: no other run tells of it
    if options.as_json:
        print(json.dumps({"compared": _as_json(compared)}), file=sys.stderr, flush=True)
    else:
        _tell_compared(compared)
        _tell_unread(compared)
    async with found.engine.begin() as conn:
        await outbox.wake_all(conn, outbox.ANY_SIGNAL, found.clock.now())
        if not await home.settle(conn, known.noticed_at):
            raise StartError(MEANWHILE)
    return compared


async def _note(settings: Settings, found: Tools, *, again: bool) -> None:
    """By its first notice what is of the lost time is told from what was entered since: a second one moves nothing."""
    async with found.engine.begin() as conn:
        began: datetime = (await conn.execute(select(func.now()))).scalar_one()
        known = await home.find(conn)
    if known is not None and known.noticed_at is not None and known.noticed_at < began and not again:
        print(NOTED_BEFORE.format(known.noticed_at.astimezone(UTC)))
        return
    await _noted(settings, found, anew=True)
    print(NOTED)


async def _noted(settings: Settings, found: Tools, *, anew: bool = False) -> home.Home:
    """A copy, from now on at the latest: a snapshot does not show that it is one. Raises StartError beside a worker.

    Not one that was compared, if no worker has been at work on it since; unless it is to be one `anew`.
    """
    async with found.engine.begin() as conn:
        known = await home.find(conn)
        if known is None:
            raise StartError(str(home.Unready()))
        if known.noticed_at is not None:
            if anew:
                await home.put_back_again(conn)
            return known
        if busy := await workers_at(found.client, settings.temporal_namespace):
            raise StartError(
                "this database was not put back from a copy, as far as it can tell, or it was compared since, and "
                f"{busy} worker(s) are at work on it: stop them first if it was put back"
            )
        if known.worked or anew:
            await home.put_back(conn)
            known = await home.find(conn) or known
        return known


async def _until_listed(found: Tools, noticed_at: datetime) -> None:
    """Nobody has sent since it was noticed; a list that lags holds all of that after a while."""
    async with found.engine.connect() as conn:
        now: datetime = (await conn.execute(select(func.clock_timestamp()))).scalar_one()
    left = min(noticed_at + LISTED_WITHIN - now, LISTED_WITHIN)
    if left > timedelta(0):
        print(f"{WAITING} ({left.total_seconds():.0f} s)", file=sys.stderr, flush=True)
        await asyncio.sleep(left.total_seconds())


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
        if options.restored:
            answer["compared"] = _as_json(compared) if compared is not None else None
        print(json.dumps(answer))
        return
    if options.restored and compared is None:
        print("it was compared before, and nobody has sent since")
    verb = "woken" if options.all_ or options.restored else "started"
    print(f"{done.looked_at} leads with something to come, {done.started} {verb} ({seconds:.1f} s)")


def _tell_unsettled(options: Options, compared: Compared) -> None:
    if options.as_json:
        print(json.dumps({"compared": _as_json(compared)}))
    else:
        _tell_compared(compared)


def _tell_compared(compared: Compared) -> None:
    print(f"compared with the carrier's list since {compared.since:%Y-%m-%d %H:%M:%S} UTC:")
    print(
        f"  {compared.known} texts and calls are known, {compared.found} that waited were sent meanwhile; "
        f"{compared.stopped} leads stopped for review"
    )
    print(f"  {compared.replies} replies and {compared.stops} stops taken in; {compared.mails} leads' mails unknown")
    if compared.stops_of_nobody:
        print(f"  {compared.stops_of_nobody} stops came from numbers of no lead: nothing goes there from now on")
    if compared.strangers:
        print(f"  {compared.strangers} were of numbers of no living lead: inquiries are lost, ask their source;")
        print("  what begins at one of these numbers is stopped for review")


def _tell_unread(compared: Compared) -> None:
    if compared.unread:
        print(f"  {len(compared.unread)} leads could not be compared. Once it can be read each has a review task,")
        print("  and is stopped for it, a finished one as soon as anything begins again:")
        for failure, ids in _by_failure(compared).items():
            print(f"    {failure}: {', '.join(ids)}")
    if compared.untaken:
        print(f"  {compared.untaken} texts were not taken in: read them in the carrier's log")
    sys.stdout.flush()


def _unread(compared: Compared) -> str:
    """What keeps the restore from its end, and what to do."""
    named = "; ".join(f"{failure}: {', '.join(ids)}" for failure, ids in _by_failure(compared).items())
    newer = "".join(f". {said}" for said in compared.newer)
    return (
        f"{len(compared.unread)} leads could not be compared and {compared.untaken} texts were not taken in, so "
        f"nothing is sent yet{f' ({named})' if named else ''}{newer}. Mend what is wrong and run it again, or go on "
        "without them with --without-unread: each has a review task once it can be read"
    )


def _by_failure(compared: Compared) -> dict[str, list[str]]:
    """The ids of the unread by the type of the error."""
    failures = sorted(set(compared.unread.values()))
    return {failure: [i for i, why in compared.unread.items() if why == failure] for failure in failures}


def _as_json(compared: Compared) -> dict[str, Any]:
    return asdict(compared) | {"since": compared.since.isoformat(timespec="milliseconds")}


def run(settings: Settings, options: Options) -> None:
    """The command. Stopped by Ctrl-C it may be begun again: who has a workflow by then is left alone."""
    try:
        asyncio.run(rebuild(settings, options))
    except KeyboardInterrupt:
        print(f"tend: stopped. {AGAIN}", file=sys.stderr)
        raise
