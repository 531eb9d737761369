"""The versions in which facts are written, and how what an earlier release wrote is read today. Pure: dict to dict.

A kind whose fields or words change gets a step here, and with it the next version; a new kind its release. Steps stay
for good: what they read is never rewritten. `python -m tests.domain.record_facts` then records the new version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import NewerFact

Data = dict[str, Any]
FIRST = 1  # of every kind; rows from before versions were counted are of it


@dataclass(frozen=True, slots=True)
class Step:
    """From one version of a kind to the next. `release`: the first that reads the next one."""

    release: str
    upgrade: Callable[[Data], Data]


def as_it_is(data: Data) -> Data:
    """For a version that only adds what may be absent, or a word."""
    return data


def _untold(reply: Data) -> Data:
    return reply | {"told": False}


@dataclass(frozen=True, slots=True)
class FactVersions:
    """`steps`: of each kind, the first from version 1 to 2. `new`: kinds that release 0.1.0 does not know."""

    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    new: Mapping[str, str] = field(default_factory=dict)

    def present(self, kind: str) -> int:
        """The version that a fact of this kind is written in."""
        return FIRST + len(self.steps.get(kind, ()))

    def release(self, kind: str) -> str | None:
        """The first release that reads what is written; None: every one."""
        steps = self.steps.get(kind)
        return steps[-1].release if steps else self.new.get(kind)

    def upgraded(self, kind: str, version: int, data: Data, release: str | None = None) -> Data:
        """The data as the present version has it. `release`: as it was stored with the fact. Raises NewerFact."""
        if version > self.present(kind):
            raise NewerFact(kind, version, release)
        for step in self.steps.get(kind, ())[version - FIRST :]:
            data = step.upgrade(data)
        return data


VERSIONS = FactVersions(
    {
        "appointment": (Step("0.2.0", as_it_is),),  # facility: the lead's is no longer written where nobody named one
        "reply": (Step("0.2.0", _untold),),  # told: who only may have written hears who did, resting or not
        "resumed": (Step("0.2.0", as_it_is),),  # further modes, of review; slots: when what is overdue goes
        "touch": (Step("0.2.0", as_it_is),),  # look_at, looks: when and how often an unknown one is looked for
    },
    new={"under_review": "0.2.0"},
)
