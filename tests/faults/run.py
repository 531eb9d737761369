"""A run: rounds on one data directory, each judged with all before it, and what is kept of them there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from content.library import load_sequences
from content.templates import load_templates
from domain.sequence import Sequence
from tests.faults.checker import Verdict, check
from tests.faults.driver import MONDAY_TEN, RESTS_WITHIN, TOLD_WITHIN, Driver, launched, pace
from tests.faults.plan import Shape, make_plan
from tests.faults.record import Json, Round
from tests.faults.seen import Seen

CONFIG = Path(__file__).resolve().parents[2] / "config"


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    record: Round
    seen: Seen


def sequences() -> dict[str, Sequence]:
    """Those that ship, which are what a fresh data directory publishes."""
    pinned = load_sequences(CONFIG / "sequences", load_templates(CONFIG / "templates"))
    return {p.sequence.key: p.sequence for p in pinned}


async def run_round(
    path: Path,
    seed: int,
    shape: Shape,
    *,
    faults: Json | None = None,
    env: dict[str, str] | None = None,
    rests_within: float = RESTS_WITHIN,
    told_within: float = TOLD_WITHIN,
    say: Callable[[str], None] = lambda _: None,
) -> Judged:
    """Plays one round on the data directory `path`, after those that it has seen already, and judges all of them."""
    before = rounds_of(path)
    plan = make_plan(seed, shape, sum(r.leads for r in before))
    stack = launched(path, shape, env)
    async with stack:
        begins = () if before else ("--clock", MONDAY_TEN)
        await stack.start(*begins, "--pace", pace(shape, len(before)))
        driver = Driver(stack, plan, faults or {}, say)
        record = await driver.storm()
        record.write(path / f"round-{len(before):03}.json")
        seen = await driver.rest(rests_within, told_within)
        seen.write(path / "seen.json")
    return Judged(check(seen, [*before, record], sequences()), record, seen)


def judge_again(path: Path) -> Verdict:
    """From what a run left in its data directory."""
    return check(Seen.read(path / "seen.json"), rounds_of(path), sequences())


def rounds_of(path: Path) -> list[Round]:
    """Those that the data directory has seen, oldest first."""
    return [Round.read(file) for file in sorted(path.glob("round-*.json"))]
