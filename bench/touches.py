"""What a touch costs and how many a second there can be, beside the bare workflow: 1, 2 and 4 workers."""

import asyncio
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from bench.bare import TOUCHES as TOUCHES_APART
from bench.bare_side import bare_workflow
from bench.carrier import Carrier, Text, carrier
from bench.figures import Figure, Row
from bench.load import until
from bench.processes import spent
from bench.sides import Side, product

TOUCHES, AT_ONCE = 7, 200  # of a lead; leads under way at any time
STARTS_AT_ONCE = 20
MEASURES = 15.0  # real seconds, once all first leads have had two texts on average
WARM_WITHIN = 90.0
WORKERS = (1, 2, 4)
ROW, VOID_BELOW = 92.0, 0.7  # touches a second of a bare workflow on these server flags and two cores


@dataclass(frozen=True)
class Load:
    """What came of one run. `cpu` is processor milliseconds a touch, by process."""

    rate: float
    cpu: dict[str, float]
    after_reply: int
    failed: int

    @property
    def touch(self) -> float:
        return sum(self.cpu.values())


def replies(number: str) -> int | None:
    """Three of ten reply, each after one of its texts, always the same."""
    dice = zlib.crc32(number.encode())
    return 1 + dice // 10 % TOUCHES if dice % 10 < 3 else None


async def saturated(side: Side, measures: float = MEASURES) -> Load:
    """As many leads as it takes, a new one for each that ends; measured once it runs evenly."""
    gate = asyncio.Semaphore(STARTS_AT_ONCE)
    tasks: set[asyncio.Task[None]] = set()

    async def one() -> None:
        async with gate:
            await side.take_in(next(side.numbers))

    def more(_: object = None) -> None:
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def heard(text: Text) -> None:
        if text.nth == TOUCHES and replies(text.to) != TOUCHES:
            more()

    already = len(side.carrier.texts)
    side.carrier.heard = heard
    side.carrier.replied = more
    for _ in range(AT_ONCE):
        more()

    async def warm() -> bool:
        return len(side.carrier.texts) >= already + 2 * AT_ONCE

    await until(warm, WARM_WITHIN)
    began, before, count = time.monotonic(), side.cpu(), len(side.carrier.texts)
    await asyncio.sleep(measures)
    took, used, done = time.monotonic() - began, spent(before, side.cpu()), len(side.carrier.texts) - count
    side.carrier.heard = lambda _: None
    side.carrier.replied = lambda _: None
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cpu = {name: seconds * 1000 / max(done, 1) for name, seconds in used.items()}
    return Load(done / took, cpu, side.carrier.after_reply, side.carrier.failed)


async def measure(open_side: Callable[[Carrier], AbstractAsyncContextManager[Side]]) -> Load:
    async with carrier(replies) as made, open_side(made) as side:
        return await saturated(side)


async def run() -> Figure:
    bare = await measure(bare_workflow)
    tend = {n: await measure(partial(product, sequence="bench_seven", workers=n)) for n in WORKERS}
    apart = await measure(partial(bare_workflow, queue=TOUCHES_APART))
    one = tend[1]
    rows = [
        Row("touches a second, bare workflow", bare.rate, "/s", VOID_BELOW * ROW, least=True),
        Row("touches a second, Tend", one.rate, "/s"),
        Row("touches a second, Tend to bare", one.rate / bare.rate, "x", 0.6, least=True),
        Row("CPU a touch, bare workflow", bare.touch),
        Row("CPU a touch, Tend", one.touch),
        Row("CPU a touch, Tend to bare", one.touch / bare.touch, "x", 2.0),
        Row("touches a second, bare workflow with a queue for its touches", apart.rate, "/s"),
        Row("CPU a touch, bare workflow with a queue for its touches", apart.touch),
    ]
    for n in WORKERS[1:]:
        rows += [
            Row(f"{n} workers: touches a second, Tend", tend[n].rate, "/s"),
            Row(f"{n} workers to one", tend[n].rate / one.rate, "x"),
            Row(f"{n} workers: CPU a touch, Tend", tend[n].touch),
        ]
    sides = {
        "the bare workflow": bare,
        "the bare workflow with a queue for its touches": apart,
        **{f"Tend with {n} worker{'s' * (n > 1)}": load for n, load in tend.items()},
    }
    void = f"The bare workflow reached less than {VOID_BELOW:g} of {ROW:g} touches/s: the ratios are void."
    return Figure(
        "touches",
        "Touches a second at most, and what one costs, beside the bare workflow",
        tuple(rows),
        (
            *([void] if bare.rate < VOID_BELOW * ROW else []),
            f"Leads of {TOUCHES} texts, each a second after the one before; three of ten reply. {AT_ONCE} are under "
            f"way at any time, a new one for each that ends; measured for {MEASURES:g} s once it runs evenly. One "
            "worker a side where nothing else is said.",
            "CPU is that of all processes of a side, with the intake, both callbacks of a text, and the replies. Load "
            "and carrier are one lean process, the same for both, which shares the processors and is not counted; the "
            "sandbox carrier stands idle.",
            "The bare workflow (`bench/bare.py`): a timer and one activity a touch, a claim, one POST, an accept, one "
            "update a callback, each statement a transaction of its own; no rules, no gate, nothing sealed; the "
            "product's server flags and worker options, but no eager start: the load starts its workflows, uncounted. "
            f"It is to reach {VOID_BELOW:g} of {ROW:g} touches/s on two cores, or the ratios are void.",
            "What is left above it, by py-spy and by process: its activity is on its workflow's own queue, so Temporal "
            "hands it out with the workflow's task; the product's queues, one a channel, are limited and ordered by "
            "Temporal, which costs it the difference to the row with a queue for touches. In the worker and the API it "
            "is the claim with its gate, the use and the settlement (a third of it in libpq: four commits), folding "
            "and foretelling, and Temporal's SDK; see docs/decisions/0024.",
            *(_parts(name, load) for name, load in sides.items()),
        ),
    )


def _parts(name: str, load: Load) -> str:
    parts = ", ".join(f"{process} {ms:.1f}" for process, ms in sorted(load.cpu.items()))
    return (
        f"Milliseconds a touch of {name}: {parts}. {load.after_reply} texts after an answered reply, "
        f"{load.failed} callbacks refused."
    )
