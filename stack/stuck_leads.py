"""Leads that do not move, as `tend doctor` tells of them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from domain.errors import TendError
from domain.sweep import Missed, Stuck, Sweeper
from stack.verdicts import Line, Verdict, length, ok, wrong

# What each kind means. Waking does all there is to do, but for those that fail.
MEANS = {
    Missed.NO_WORKFLOW: "leads with something to come have no workflow: Temporal was never told, or has lost them",
    Missed.WORKFLOW_ENDED: "leads' workflows were ended by somebody, or failed, while something was to come",
    Missed.UNHEARD: "starts or signals wait for Temporal for over a minute: no worker delivers, or Temporal is away",
    Missed.CLAIM: "claims are past their deadline and nobody asks what became of them",
    Missed.OVERDUE: "leads should have moved and have not: a fact was not told to their workflow",
    Missed.TASK: "tasks' time has passed and nobody noted it",
    Missed.FAILING: "leads whose next step fails at every try",
}
MEND = (
    "waking does not help: read the worker's log for their ids, and mend the cause (NewerFact, UnreadableSequence: run "
    "the newer release; a lost key: put it back in the ring; a template: its missing value); each goes on by itself at "
    "its next try"
)
NAMED = 10  # leads of one cause


async def stuck(sweeper: Sweeper, *, repair: bool) -> AsyncIterator[Line]:
    """All leads are compared, however many pages that takes."""
    counts, woken, oldest = dict.fromkeys(Missed, 0), dict.fromkeys(Missed, 0), dict.fromkeys(Missed, timedelta(0))
    failing: tuple[Stuck, ...] = ()
    after: str | None = None
    try:
        while True:
            swept = await sweeper.sweep(after, repair=repair)
            for tally in swept.tallies:
                again = after is not None and tally.kind not in (Missed.NO_WORKFLOW, Missed.WORKFLOW_ENDED)
                counts[tally.kind] += 0 if again else tally.found  # the same ones, seen with the first page
                woken[tally.kind] += tally.repaired
                oldest[tally.kind] = max(oldest[tally.kind], tally.oldest)
            failing = failing if after is not None else swept.failing
            after = swept.after
            if after is None:
                break
    except (RPCError, SQLAlchemyError) as error:
        yield wrong("leads", f"they could not be looked at ({type(error).__name__})", "see the lines above")
        return
    except TendError as error:
        yield wrong("leads", f"they could not be looked at: {error}", "see the lines above")
        return
    for kind in Missed:
        if not counts[kind]:
            yield ok(kind.value, "none")
            continue
        said = f"{counts[kind]}, the oldest {length(oldest[kind])} old: {MEANS[kind]}"
        if kind is Missed.FAILING:
            yield wrong(kind.value, f"{said}: {_by_failure(failing)}", MEND)
        elif repair:
            yield Line(kind.value, Verdict.REPAIRED, f"{said}; {woken[kind]} woken")
        else:
            yield wrong(kind.value, said, "the sweep wakes them within minutes, `tend doctor --repair` now")


def _by_failure(failing: Iterable[Stuck]) -> str:
    """Ids, and the type of the last failure: its text may hold a person's data."""
    of_type: dict[str, list[str]] = defaultdict(list)
    for one in failing:
        of_type[one.failure].append(one.lead_id)
    return "; ".join(f"{failure} ({several(ids)})" for failure, ids in sorted(of_type.items()))


def several(ids: list[str]) -> str:
    more = len(ids) - NAMED
    return f"{', '.join(ids[:NAMED])}{f' and {more} more' if more > 0 else ''}"
