"""Many touches due in one instant, as when the contact window opens in the morning, and a new lead meanwhile."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bench.carrier import carrier
from bench.figures import Figure, Row, rows_of
from bench.load import phone, until
from bench.sides import Side, product
from bench.touches import replies, saturated

COUNT, AT_ONCE = 500, 20
BEFORE = 75.0  # real seconds from the start to the opening: what taking in so many takes
NEW = 3.0  # leads a real second, while the others are drained
DRAINED_WITHIN = 120.0
MEASURES = 10.0


async def run() -> Figure:
    opening = _eight_o_clock()
    begins = (opening - timedelta(seconds=BEFORE)).isoformat()
    async with carrier() as texts, product(texts, "bench_one", "--clock", begins, "--pace", "1") as side:
        await _take_in(side)
        opens, early = side.real(opening), len(texts.texts)
        waiting, spare = {phone(n) for n in range(next(side.numbers))}, opens - time.time()
        await asyncio.sleep(max(0.0, spare))
        latency = await _new_leads(side, waiting)
        late = [text.at - opens for text in texts.texts if text.to in waiting]
        drained = late[COUNT - 1] if len(late) >= COUNT else math.inf
        await asyncio.sleep(2.0)
        side.sequence, texts.replies = "bench_seven", replies
        most = await saturated(side, MEASURES)
    return Figure(
        "burst",
        f"{COUNT} touches due in one instant",
        (
            Row("all at the carrier after", drained, "s"),
            Row("drained", COUNT / drained, "/s"),
            Row("most touches a second of the same stack", most.rate, "/s"),
            Row("drained to most", COUNT / drained / most.rate, "x", 0.6, least=True),
            *rows_of("a new lead's first SMS meanwhile", latency, {50: None, 95: 2000, 100: None}),
            Row("new leads meanwhile", len(latency), ""),
            Row("sent before the opening", early, "", 0),
            Row("taken in too late", max(0.0, -spare), "s", 0),
        ),
        (
            f"{COUNT} leads taken in before eight in the morning, whose first text waits for the window; from eight on "
            f"{NEW:g} new leads a second until all have theirs. One worker. The most is measured after that, as in "
            "`touches`.",
        ),
    )


def _eight_o_clock() -> datetime:
    now = datetime.now(UTC).astimezone(ZoneInfo("America/New_York"))
    return (now + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)


async def _take_in(side: Side) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            while await side.take_in(next(side.numbers)) is None:
                pass

    await asyncio.gather(*(one() for _ in range(COUNT)))


async def _new_leads(side: Side, waiting: set[str]) -> list[float]:
    """Real seconds from the request to the first text of each lead that came while the others were drained."""
    sent: dict[str, float] = {}
    tasks: list[asyncio.Task[str | None]] = []

    async def drained() -> bool:
        number = next(side.numbers)
        sent[phone(number)] = time.time()
        tasks.append(asyncio.create_task(side.take_in(number)))
        return sum(text.to in waiting for text in side.carrier.texts) >= COUNT

    await until(drained, DRAINED_WITHIN, 1 / NEW)
    await asyncio.gather(*tasks)

    async def all_there() -> bool:
        return set(sent) <= {text.to for text in side.carrier.texts}

    await until(all_there, 30.0, 0.2)
    first = {text.to: text.at for text in reversed(side.carrier.texts)}
    return [first[number] - at if number in first else math.inf for number, at in sent.items()]
