"""How exactly touches keep their times on a fast product clock: quiet hours, rests and reminders included."""

import math
from datetime import datetime, timedelta

from bench.figures import Figure, Row, rows_of
from bench.load import lead, stack, until
from demo.client import Client, Json
from domain.clock import Clock

PACE = 20160  # a week in 30 s
BEGINS = "2026-03-03T19:30:00-05:00"  # a Tuesday evening in New York: the windows close an hour and a half later
SILENT, BOOKED = 10, 5
ENDS_WITHIN = 120.0  # real seconds


async def run() -> Figure:
    async with stack(f"--clock={BEGINS}", f"--pace={PACE}") as (launched, tend):
        clock = Clock.read(launched.directory.clock)
        leads = [(await tend.take_in(lead(number)))["lead_id"] for number in range(SILENT + BOOKED)]
        for number, lead_id in enumerate(leads[SILENT:]):
            await _book(tend, lead_id, clock.now() + timedelta(days=3, hours=number))

        async def over() -> bool:
            rows = {row["id"]: row for row in await tend.leads()}
            return all(rows[i]["state"] == "finished" for i in leads)

        ended = await until(over, ENDS_WITHIN, 0.5)
        arrived = {item["touch_id"]: datetime.fromisoformat(item["at"]) for item in await tend.outbox()}
        touches = [touch for i in leads for touch in await tend.timeline(i) if touch["kind"] == "touch"]

    sent = [t for t in touches if t.get("claimed_at")]
    late = {t["id"]: _lateness(clock, t, arrived.get(t["id"])) for t in sent}
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
            f"{SILENT} silent leads and {BOOKED} with an appointment at pace {PACE}; from a touch's due time (or the "
            "opening it waited for), turned into real time by the product's clock, to the carrier's `at`, in real time.",
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


def _lateness(clock: Clock, touch: Json, at: datetime | None) -> float:
    """Real seconds; infinite if it never came, and what came early counts as much as what came late."""
    if at is None:
        return math.inf
    wanted = _opening(touch) or datetime.fromisoformat(touch["due_at"])
    return abs((at - clock.real(wanted)).total_seconds())
