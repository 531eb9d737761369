"""Whether the clocks of those who work here agree, for the doctor."""

from datetime import timedelta

from sqlalchemy import func, select

from domain.carry_out import CLOCK_AHEAD
from stack.database import Tools
from stack.verdicts import Line, ok, wrong
from store import clocks
from store.tables import touches

CLOCKS_APART = timedelta(seconds=2)  # more than this cuts into the time that a claim has
LATELY = timedelta(hours=1)


async def agree(found: Tools) -> Line:
    async with found.engine.connect() as conn:
        apart = abs(await clocks.apart(conn))
        odd = [clock for clock in await clocks.odd(conn) if clocks.ours() - clock.at < LATELY]
        rule, _ = CLOCK_AHEAD
        waiting = (touches.c.status == "delayed", touches.c.rule == rule)
        count = await conn.scalar(select(func.count()).select_from(touches).where(*waiting))
    if apart > CLOCKS_APART:
        return wrong("clocks", f"this machine and Postgres are {apart.total_seconds():.0f} s apart", "set up NTP")
    if odd:
        last = odd[0]
        said = f"{last.host} and Postgres were {abs(last.apart.total_seconds()):.0f} s apart at {last.at:%H:%M} UTC"
        return wrong(
            "clocks", f"{said}; noticed {last.times} times in all", "set up NTP there; what was refused is tried again"
        )
    if count:
        said = f"{count} touches wait: the stories of their leads were dated by a clock that was ahead"
        return wrong("clocks", said, "they go out when that time has come: until then reach them by other means")
    return ok("clocks", "this machine and Postgres agree")
