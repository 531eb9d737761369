"""How late a touch is that was due more than a minute ahead."""

import math

from bench.carrier import carrier
from bench.figures import Figure, Row, rows_of
from bench.load import at_rate, until
from bench.processes import spent
from bench.sides import Side, product

RATE, SECONDS = 10.0, 45.0
AHEAD = 70.0  # real seconds, as bench_later says
LAST_COMES_WITHIN = AHEAD + 30.0


async def run() -> Figure:
    count = int(RATE * SECONDS)
    async with carrier() as texts, product(texts, "bench_later") as side:
        taken: list[str | None] = []

        async def one(_: int) -> None:
            taken.append(await side.take_in(next(side.numbers)))

        await at_rate(count, RATE, one)
        accepted = [lead_id for lead_id in taken if lead_id is not None]
        before, already = side.cpu(), len(texts.texts)

        async def all_there() -> bool:
            return len(texts.texts) > len(accepted)  # one more was taken in to see whether all is ready

        await until(all_there, LAST_COMES_WITHIN, 0.5)
        cpu, done = sum(spent(before, side.cpu()).values()), len(texts.texts) - already
        found = await lateness(side)
    late = [found.get(lead_id, math.inf) for lead_id in accepted] + [math.inf] * (count - len(accepted))
    return Figure(
        "lateness",
        f"Lateness of a touch due {AHEAD:g} s ahead, {RATE:g} touches/s for {SECONDS:g} s",
        (
            *rows_of("due to the carrier", late, {50: None, 95: None, 99: 500, 100: None}),
            Row("touches", count, ""),
            Row("refused or never sent", sum(map(math.isinf, late)), "", 0),
            Row("CPU a touch, without the intake", cpu * 1000 / max(done, 1)),
        ),
        (
            "Open loop against a fresh `tend up` with one worker: leads are taken in at that rate, and then their "
            "touches fall due at it. What was refused or never came counts as never.",
            "From a touch's due time, turned into real time by the product's clock, to its arrival at the carrier.",
        ),
    )


async def lateness(side: Side) -> dict[str, float]:
    """Real seconds by lead, of the one text that each was due."""
    at = {text.touch_id: text.at for text in side.carrier.texts}
    rows = await side.rows("SELECT lead_id::text, id::text, due_at FROM touches WHERE step <> 'stop'")
    return {lead_id: at[i] - side.real(due_at) for lead_id, i, due_at in rows if i in at}
