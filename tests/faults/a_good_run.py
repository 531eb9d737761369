"""A run in which all is well, as the checker sees it; to be spoilt."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.faults.checker import Verdict, check
from tests.faults.record import Json, Round, Struck, Told
from tests.faults.run import sequences
from tests.faults.seen import Lead, Seen

REAL = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
PRODUCT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LEAD, OTHER = "lead-a", "lead-b"


def real(seconds: float) -> datetime:
    return REAL + timedelta(seconds=seconds)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def touch(no: int, step: str, part: str, status: str = "delivered", **more: object) -> Json:
    entry: Json = {"no": no, "at": iso(PRODUCT), "kind": "touch", "by": "system", "id": f"{LEAD}/{step}/{part}"}
    entry |= {"enrollment": 1, "step": step, "part": part, "channel": part, "status": status}
    return entry | {"claimed_at": iso(real(no))} | more


def task(no: int, step: str | None, kind: str = "call", **more: object) -> Json:
    entry: Json = {"no": no, "at": iso(PRODUCT), "kind": "task", "id": f"task {no}", "task_kind": kind}
    return entry | {"state": "missed", "enrollment": 1, "step": step, "part": "call", "reason": None} | more


def sent(entry: Json, seconds_after: float = 0.5) -> Json:
    at = datetime.fromisoformat(entry["claimed_at"]) + timedelta(seconds=seconds_after)
    return {"id": f"SM{entry['no']}", "channel": entry["channel"], "touch_id": entry["id"], "at": iso(at)}


def told(verb: str, mark: str, seconds: float, number: int = 0, status: int | None = 200, **more: object) -> Told:
    answered = real(seconds + 0.1) if status is not None else None
    return replace(Told(number, verb, mark, real(seconds), answered, status), **more)  # type: ignore[arg-type]


class Run:
    """A lead with its whole cadence, another that stopped, both of one round; to be spoilt."""

    def __init__(self) -> None:
        self.timeline: list[Json] = [
            {"no": 1, "at": iso(PRODUCT), "kind": "inquired"},
            {
                "no": 2,
                "at": iso(PRODUCT),
                "kind": "enrolled",
                "enrollment": 1,
                "sequence": "consultation",
                "version": 1,
            },
            touch(3, "confirm", "sms"),
            task(4, "call1"),
            touch(5, "bio", "email"),
            task(6, "call2"),
            touch(7, "link", "sms"),
            touch(8, "edu", "email"),
            touch(9, "end", "email"),
            task(10, "end"),
            {"no": 11, "at": iso(PRODUCT), "kind": "note", "text": "note-0-0"},
            {"no": 12, "at": iso(PRODUCT + timedelta(days=8)), "kind": "finished", "exit_reason": "exhausted"},
        ]
        self.stopped: list[Json] = [
            {"no": 1, "at": iso(PRODUCT), "kind": "inquired"},
            {
                "no": 2,
                "at": iso(PRODUCT),
                "kind": "enrolled",
                "enrollment": 1,
                "sequence": "consultation",
                "version": 1,
            },
            touch(3, "confirm", "sms", id=f"{OTHER}/confirm"),
            {"no": 4, "at": iso(PRODUCT), "kind": "reply", "body": "STOP", "intent": "opt_out"},
            {"no": 5, "at": iso(PRODUCT), "kind": "opt_out", "channels": ["sms", "voice"]},
            {"no": 6, "at": iso(PRODUCT), "kind": "finished", "exit_reason": "opted_out"},
            touch(7, "stop", "confirm5", id=f"{OTHER}/stop", channel="sms"),
        ]
        self.outbox = [sent(e) for e in (*self.timeline, *self.stopped) if e["kind"] == "touch"]
        self.told = [
            told("ask", "ask-0", 0, status=202),
            told("note", "note-0-0", 1),
            told("ask", "ask-1", 0, number=1, status=202),
            told("stop_text", "STOP", 4, number=1),
        ]
        self.faults: Json = {}
        self.struck: list[Struck] = []
        self.restless: dict[str, str] = {}
        self.appointments: list[Json] = []
        self.state = "finished"
        self.phones = ("+1", "+2")

    def entry(self, step: str, kind: str = "touch") -> Json:
        return next(e for e in self.timeline if e.get("step") == step and e["kind"] == kind)

    def drop(self, step: str, kind: str = "touch") -> None:
        gone = self.entry(step, kind)
        self.timeline.remove(gone)
        self.outbox = [i for i in self.outbox if i["touch_id"] != gone["id"]]

    def keep_from_carrier(self, step: str) -> Json:
        entry = self.entry(step)
        self.outbox = [i for i in self.outbox if i["touch_id"] != entry["id"]]
        return entry

    def verdict(self, *later: Round) -> Verdict:
        row = {"last_name": "Lead 0", "phone": self.phones[0], "state": self.state, "appointments": self.appointments}
        leads = {
            LEAD: Lead(LEAD, row, self.timeline),
            OTHER: Lead(OTHER, row | {"last_name": "Lead 1", "phone": self.phones[1]}, self.stopped),
        }
        tasks = {e["id"]: deepcopy(e) for e in self.timeline if e["kind"] == "task" and not e.get("hidden")}
        seen = Seen(self.outbox, leads, tasks, self.restless, iso(PRODUCT + timedelta(days=9)))
        return check(seen, [*self.rounds(), *later], sequences())

    def rounds(self) -> list[Round]:
        return [Round(1, 0, 2, self.faults, "", self.told, self.struck)]
