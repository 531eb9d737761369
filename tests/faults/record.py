"""What the driver was answered and what it did to whom, kept on disk so that a round can be judged again."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """One thing asked for. `accepted`: its 2xx, at real `answered_at`. `refused`: another last answer.

    Neither: nobody knows, it may have happened or not.
    """

    number: int
    verb: str
    mark: str  # what is written in it, or the name of the appointment
    asked_at: datetime
    answered_at: datetime | None
    status: int | None
    answer: Json = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    lead_id: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """It surely did not happen."""
        return self.status is not None and 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Struck:
    """A part was killed, or frozen from `at` to `until`. Real times. `pid` None: it was not there to be struck."""

    victim: str
    how: str
    at: datetime
    until: datetime
    pid: int | None


@dataclass(slots=True)
class Round:
    """A round of one data directory. `faults`: what the carrier did wrong; `first`: the number of its first lead."""

    seed: int
    first: int
    leads: int
    faults: Json
    clock: str  # as clock.json holds it
    told: list[Told] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.first + self.leads

    @property
    def began_at(self) -> datetime | None:
        """Real; None if its clock never ran."""
        segments = json.loads(self.clock or "{}").get("segments", [])
        return datetime.fromisoformat(segments[0]["real"]) if segments else None

    def lead_ids(self) -> list[str]:
        """Of the leads taken in so far."""
        return sorted(str(t.answer["lead_id"]) for t in self.told if t.verb == "ask" and t.accepted)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), default=datetime.isoformat, indent=1))

    @classmethod
    def read(cls, path: Path) -> "Round":
        raw = json.loads(path.read_text())
        raw["told"] = list(_each(raw["told"], Told, "asked_at", "answered_at"))
        raw["struck"] = list(_each(raw["struck"], Struck, "at", "until"))
        return cls(**raw)


def _each(rows: list[Json], make: Callable[..., T], *times: str) -> Iterator[T]:
    for row in rows:
        when = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in times}
        yield make(**(row | when))
