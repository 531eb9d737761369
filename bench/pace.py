"""How exactly touches keep their times on a fast product clock: quiet hours, rests and reminders included."""

import math
from datetime import datetime, timedelta

from bench.figures import Figure, Row, rows_of
from bench.load import at_rate, lead, stack, until
from demo.client import Client, Json
from domain.clock import Clock

PACE = 20160  # a week in 30 s
BEGINS = "2026-03-03T19:30:00-05:00"  # a Tuesday evening in New York: the windows close an hour and a half later
SILENT, BOOKED = 6, 3
RATE = 2.0  # inquiries a real second
ENDS_WITHIN = 120.0  # real seconds


async def run() -> Figure:
    async with stack(f"--clock={BEGINS}", f"--pace={PACE}") as (launched, tend):
        clock = Clock.read(launched.directory.clock)
        leads: list[str] = []

        async def one(number: int) -> None:
            lead_id = (await tend.take_in(lead(number)))["lead_id"]
            leads.append(lead_id)
            if number >= SILENT:
                await _book(tend, lead_id, clock.now() + timedelta(days=3, hours=number))

        await at_rate(SILENT + BOOKED, RATE, one)

        async def over() -> bool:
            rows = {row["id"]: row for row in await tend.leads()}
            return all(rows[i]["state"] == "finished" for i in leads)

        ended = await until(over, ENDS_WITHIN, 0.5)
        arrived = {item["touch_id"]: datetime.fromisoformat(item["at"]) for item in await tend.outbox()}
        timelines = [[e for e in await tend.timeline(i) if e["kind"] == "touch"] for i in leads]

    sent, late = [], {}
    for touches in timelines:
        missed = {t["step"]: datetime.fromisoformat(t["at"]) for t in touches if t["status"] == "missed"}
        for touch in (t for t in touches if t.get("claimed_at")):
            due = _opening(touch) or datetime.fromisoformat(touch["due_at"])
            # the mail is for those whom the first call did not reach: it waits for the end of that
            wanted = max(due, missed.get("call1", due)) if touch["step"] == "bio" else due
            at = arrived.get(touch["id"])
            sent.append(touch)
            # what came early counts as much as what came late
            late[touch["id"]] = abs((at - clock.real(wanted)).total_seconds()) if at else math.inf
    waited = [late[t["id"]] for t in sent if _opening(t)]
    reminders = [late[t["id"]] for t in sent if t["step"].startswith("remind")]
    return Figure(
        "pace",
        "Touches on a fast clock: a week in 30 s",
        (
            *rows_of("all touches", list(late.values()), {50: None, 99: None, 100: 500}),
            *rows_of("after quiet hours", waited, {100: 500}),
            *rows_of("reminders", reminders, {100: 500}),
            Row("touches", len(sent), ""),
            Row("leads that did not end", 0 if ended else math.inf, "", 0),
        ),
        (
            f"{SILENT} silent leads and {BOOKED} with an appointment, {RATE:g} a second, at pace {PACE}.",
            "From a touch's due time (or the opening, or the end of a call, that it waited for), turned into real time "
            "by the product's clock, to the carrier's `at`.",
        ),
    )


async def _book(tend: Client, lead_id: str, starts_at: datetime) -> None:
    booking = {
        "event": "booked",
        "appointment_id": f"bench-{lead_id}",
        "lead_id": lead_id,
        "starts_at": starts_at.isoformat(),
        "occurred_at": (starts_at - timedelta(days=4)).isoformat(),
        "facility": "main",
    }
    await tend.post("/v1/bookings", booking)


def _opening(touch: Json) -> datetime | None:
    """Until when it was last put off, if it was."""
    times = [entry["until"] for entry in touch["history"] if entry.get("until")]
    return datetime.fromisoformat(times[-1]) if times else None
