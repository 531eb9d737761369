"""How soon other leads are on time again when a worker is killed with touches in flight."""

import asyncio
import math
import os
import signal
import time
from contextlib import suppress

from bench.carrier import Text, carrier
from bench.figures import Figure, Row, rows_of
from bench.load import at_rate, until
from bench.sides import product

RATE = 10.0  # touches a second
KILLS, EVERY = 5, 12.0  # real seconds
BEGINS, AHEAD = 6.0, 50.0  # the first kill so long after the first touch; ahead as bench_soon says
ON_TIME = 0.5  # real seconds late at most
LAST_COMES_WITHIN = 60.0
_TOUCHES = "SELECT id::text, due_at, claimed_at, status FROM touches WHERE step <> 'stop'"


async def run() -> Figure:
    count = int(RATE * (BEGINS + KILLS * EVERY))
    kills: list[float] = []
    async with carrier() as texts, product(texts, "bench_soon") as side:
        taken: list[str] = []

        async def one(_: int) -> None:
            if lead_id := await side.take_in(next(side.numbers)):
                taken.append(lead_id)

        async def kill() -> None:
            await asyncio.sleep(AHEAD + BEGINS)
            killed = 0

            async def back() -> bool:
                return side.pids()["worker-1"] != killed

            for n in range(KILLS):
                await until(back, EVERY)
                arrived = asyncio.Event()
                texts.heard = lambda _, arrived=arrived: arrived.set()  # type: ignore[misc]
                with suppress(TimeoutError):  # in flight: the carrier has it and has not answered
                    await asyncio.wait_for(arrived.wait(), EVERY)
                texts.heard = _unheard
                killed = side.pids()["worker-1"]
                os.kill(killed, signal.SIGKILL)
                kills.append(time.time())
                await asyncio.sleep(kills[0] + (n + 1) * EVERY - time.time())

        async def intake() -> float:
            await at_rate(count, RATE, one)
            return time.time()

        taken_in, _ = await asyncio.gather(intake(), kill())

        async def all_there() -> bool:
            return len({text.touch_id for text in texts.texts}) > len(taken)

        await until(all_there, LAST_COMES_WITHIN, 0.5)
        first: dict[str, float] = {}
        for text in texts.texts:
            first.setdefault(text.touch_id, text.at)
        rows = await side.rows(_TOUCHES)
        touches = [
            (side.real(due), claimed.timestamp() if claimed else math.inf, first.get(i, math.inf))
            for i, due, claimed, _ in rows
        ]
    late, again, in_flight = _after(kills, touches)
    alone = [took for kill, took in again.items() if kill > taken_in]
    unknown = sum(status == "unknown" and i not in first for i, _, _, status in rows)
    return Figure(
        "killed",
        f"A worker killed in flight, {KILLS} times, {RATE:g} touches/s",
        (
            *rows_of("other leads' touches after a kill, lateness", late, {50: None, 95: 5000, 100: None}),
            *rows_of("all other leads on time again after a kill", list(again.values()), {50: None, 95: 5000}),
            *rows_of("of these where the intake was over", alone, {100: None}),
            Row("claimed at a kill and not yet with the carrier", in_flight, ""),
            Row("not sent, and unknown to the product", unknown, ""),
            Row("not sent otherwise", len(taken) + 1 - len(first) - unknown, "", 0),
            Row("leads not taken in", count - len(taken), "", 0),
            Row("sent twice", len(texts.texts) - len(first), "", 0),
        ),
        (
            f"SIGKILL to the only worker of a fresh `tend up` every {EVERY:g} s, each time while the carrier holds a "
            f"text that it has not answered. On time is at most {ON_TIME * 1000:g} ms late; the lateness is that of "
            f"touches that were due within {EVERY:g} s after a kill. Touches claimed before a kill and not yet with "
            "the carrier are in flight and left out: their leads wait for the claim's end. At each kill the "
            "carrier holds one more, unanswered: sent twice, it would be in the last row.",
            f"The intake goes on, at the same rate, for {count / RATE:g} s, and the first kill comes after "
            f"{AHEAD + BEGINS:g}: {RATE:g} new leads a second are taken in and told to Temporal beside it.",
        ),
    )


def _unheard(_: Text) -> None:
    return


def _after(
    kills: list[float], touches: list[tuple[float, float, float]]
) -> tuple[list[float], dict[float, float], int]:
    """Lateness of what was due after a kill; by kill, real seconds until all were on time; how many were in flight."""
    late: list[float] = []
    again = dict.fromkeys(kills, 0.0)
    flying = {touch for touch in touches if any(touch[1] <= kill < touch[2] for kill in kills)}
    for due, _, at in (touch for touch in touches if touch not in flying):
        # the last one before it came: what is due just before a kill is late because of that one
        kill = max((kill for kill in kills if kill <= (due if math.isinf(at) else at)), default=None)
        if kill is not None and due < kill + EVERY:
            late.append(at - due)
            again[kill] = max(again[kill], at - kill if at - due > ON_TIME else 0.0)
    return late, again, len(flying)
