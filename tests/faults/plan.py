"""What a round does, from its seed alone: who asks and acts when, and which part is killed or frozen when.

Times are real seconds from the start of the round; which process a blow meets is found only when it falls.
"""

import random
from dataclasses import dataclass, replace
from typing import Literal

Verb = Literal[
    "repeat",
    "ask_again",
    "reply",
    "answer",
    "stop_text",
    "opt_out",
    "message",
    "pause",
    "resume",
    "disqualify",
    "skip",
    "enroll",
    "claim",
    "complete",
    "note",
    "booked",
    "rescheduled",
    "cancelled",
    "arrived",
    "no_show",
    "completed",
]
How = Literal["kill", "freeze"]

LEADS_MOST = 4000  # that have a number of their own in one data directory
SHARES = 8  # of so many leads the last lives with the one before, at one phone
_AREAS = (
    *("201", "202", "203", "205", "206", "207", "208", "209", "210", "212"),
    *("213", "214", "215", "216", "217", "218", "219", "224", "225", "228"),
    *("301", "302", "303", "304", "305", "307", "308", "309", "310", "312"),
    *("401", "402", "404", "405", "406", "407", "408", "409", "410", "412"),
)
# What leads do: how often of a hundred, and the steps of it. A pair of one moment follows at once.
LIVES: tuple[tuple[int, tuple[Verb, ...]], ...] = (
    (14, ()),
    (6, ("note", "repeat", "note")),
    (6, ("reply", "answer")),
    (4, ("reply",)),
    (10, ("stop_text",)),
    (8, ("opt_out",)),
    (8, ("message", "opt_out")),
    (4, ("message", "message")),
    (7, ("pause", "resume")),
    (3, ("pause",)),
    (4, ("disqualify",)),
    (2, ("ask_again",)),
    (3, ("ask_again", "claim", "complete")),
    (4, ("claim", "complete")),
    (2, ("reply", "claim", "complete")),
    (3, ("skip",)),
    (2, ("enroll",)),
    (3, ("booked", "completed")),
    (2, ("booked", "booked", "rescheduled", "arrived")),
    (1, ("booked", "no_show")),
    (1, ("booked", "cancelled", "cancelled")),
    (3, ("cancelled", "booked")),  # told in the wrong order
)
STOPS = frozenset({"stop_text", "opt_out"})  # of whoever has the phone
WORKFLOW = "workflow"  # of a lead, terminated; never frozen
# What follows at once. What was accepted a moment ago must not go out after the stop; an hour is a second and a half,
# so that a call must be claimed as it opens, and completed before its lease is over.
AT_ONCE = frozenset(
    {("message", "opt_out"), ("ask", "claim"), ("ask_again", "claim"), ("reply", "claim"), ("claim", "complete")}
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How big a round is. Times in real seconds. `victims` with how often each is struck, beside the others."""

    leads: int
    storm: float
    blows: int
    workers: int = 2
    afterwards: int = 1  # the clock's pace after the storm
    frozen: tuple[float, float] = (15.5, 18.0)
    freezes: float = 0.25  # of all blows
    lives: tuple[tuple[int, tuple[Verb, ...]], ...] = LIVES
    victims: tuple[tuple[str, int], ...] = (("worker", 5), ("api", 2), ("temporal", 2), ("postgres", 2), ("backend", 2))


@dataclass(frozen=True, slots=True)
class Act:
    """`n` counts the acts of a lead, and names what is written in it."""

    at: float
    verb: Verb
    n: int


@dataclass(frozen=True, slots=True)
class Life:
    """One lead and what becomes of it. `number` is its own in the data directory."""

    number: int
    asks_at: float
    acts: tuple[Act, ...]

    @property
    def phone(self) -> str:
        area, rest = divmod(self.number - (self.number % SHARES == SHARES - 1), 100)
        return f"+1{_AREAS[area]}55501{rest:02}"

    @property
    def email(self) -> str:
        return f"lead{self.number}@example.com"


@dataclass(frozen=True, slots=True)
class Blow:
    """`draw` (0 to 1) picks the process where several are `victim`. A frozen one is let go on after `lasts`."""

    at: float
    victim: str
    how: How
    draw: float
    lasts: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    lives: tuple[Life, ...]
    blows: tuple[Blow, ...]


def make_plan(seed: int, shape: Shape, first_number: int = 0) -> Plan:
    """The same for the same seed and shape, whatever the machine."""
    rng = random.Random(seed)
    lives = [_life(rng, shape, first_number + n) for n in range(shape.leads)]
    return Plan(seed, _each_one_lead(lives), tuple(_blows(rng, shape)))


def _each_one_lead(lives: list[Life]) -> tuple[Life, ...]:
    """Who asks again after a relative's stop has ended their lead is a new one, and its number would mean two."""
    stopped = {life.phone for life in lives if any(act.verb in STOPS for act in life.acts)}
    return tuple(
        replace(life, acts=()) if life.phone in stopped and any(act.verb == "ask_again" for act in life.acts) else life
        for life in lives
    )


def _life(rng: random.Random, shape: Shape, number: int) -> Life:
    asks_at = round(rng.uniform(0, shape.storm * 0.35), 3)
    verbs = rng.choices([verbs for _, verbs in shape.lives], [often for often, _ in shape.lives])[0]
    at, acts = asks_at, list[Act]()
    for n, pair in enumerate(zip(("ask", *verbs), verbs, strict=False)):
        pause = 0.0 if pair in AT_ONCE else rng.uniform(0.2, shape.storm * 0.2)
        at = min(at + pause, shape.storm)
        acts.append(Act(round(at, 3), pair[1], n))
    return Life(number, asks_at, tuple(acts))


def _blows(rng: random.Random, shape: Shape) -> list[Blow]:
    """Spread over the storm; at most one part of a kind is frozen at a time, or nobody is left to work."""
    names, often = zip(*shape.victims, strict=True) if shape.victims else ((), ())
    found, free_from = list[Blow](), dict[str, float]()
    for n in range(shape.blows):
        at = round((n + rng.uniform(0.1, 0.9)) * shape.storm / shape.blows, 3)
        kind, draw, cold = rng.choices(names, often)[0], rng.random(), rng.random() < shape.freezes
        victim = f"worker-{int(draw * shape.workers) + 1}" if kind == "worker" else kind
        lasts = round(rng.uniform(*shape.frozen), 3)
        if cold and kind != WORKFLOW and free_from.get(kind, 0.0) <= at:
            free_from[kind] = at + lasts
            found.append(Blow(at, victim, "freeze", draw, lasts))
        else:
            found.append(Blow(at, victim, "kill", draw))
    return found
