"""What a soak has found so far, in `docs/figures/faults.md`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import FOLDER, machine
from tests.faults.checker import KINDS, Share

if TYPE_CHECKING:
    from tests.faults.soak import State

PARTS = {
    "worker": "worker",
    "api": "API",
    "temporal": "Temporal",
    "postgres": "Postgres",
    "backend": "a connection's process in Postgres",
}

_HOW = (
    "Two workers; leads ask, write, stop, are paused, booked and let go, tasks are completed and steps skipped over",
    "HTTP while parts die, at a product hour in 1.5 s. Then the carrier's outbox is compared with the timelines,",
    "with what was accepted, and with what the sequences owe (`tests/faults/checker.py`). A touch whose worker died",
    "before its request is claimed anew; where it died at the very request, nobody knows until the carrier tells:",
    "nothing is sent again, and a person is asked.",
)


def keep(state: State, folder: Path = FOLDER) -> Path:
    path = folder / "faults.md"
    path.write_text("\n".join(_lines(state)) + "\n", encoding="utf-8")
    return path


def _lines(state: State) -> list[str]:
    directories = state.directories
    off, on = sum((d.off for d in directories), Share()), sum((d.on for d in directories), Share())
    lines = ["# Parts killed and frozen, a carrier that does wrong", ""]
    lines += [f"- {name}: {value}" for name, value in machine().items()]
    told = ", ".join(f"{commit} ({rounds} rounds)" for commit, rounds in state.code.items())
    lines += [f"- code: {told}"]
    if state.again:
        lines += [f"- judged again by a later checker: data directory {', '.join(map(str, state.again))}"]
    lines += [
        f"- command: `make soak` (seed {state.seed}, {state.rounds} rounds, {state.seconds / 60:.0f} minutes)",
        "",
    ]
    lines += ["| part | killed | frozen for more than 15 s |", "|---|---:|---:|"]
    lines += [f"| {name} | {state.kills.get(p, 0)} | {state.freezes.get(p, 0)} |" for p, name in PARTS.items()]
    lines += [f"| all | {state.killed} | {sum(state.freezes.values())} |", ""]
    rows: list[tuple[str, object, object]] = [
        ("leads", sum(d.leads for d in directories), ""),
        ("requests accepted with a 2xx", sum(d.accepted for d in directories), ""),
        ("touches claimed", off.touches + on.touches, ""),
        ("at the carrier", sum(d.sent for d in directories), ""),
        ("duplicates", sum(d.duplicates for d in directories), 0),
        ("unaccounted", sum(d.unaccounted for d in directories), 0),
        ("claimed or arrived after a stop", sum(d.after_stop for d in directories), 0),
        ("unknown, carrier well", _share(off), 0),
        ("of these never at the carrier", off.unsent, ""),
        ("unknown, carrier ill", _share(on), ""),
        ("of these never at the carrier", on.unsent, ""),
    ]
    lines += ["| measure | found | target |", "|---|---:|---:|"]
    lines += [f"| {name} | {found} | {target} |" for name, found, target in rows]
    kinds: Counter[str] = Counter()
    for directory in directories:
        kinds.update(directory.violations)
    if kinds:
        lines += ["", *(f"- {times} {kind}: {KINDS[kind]}" for kind, times in sorted(kinds.items()))]
    lines.append("")
    return [*lines, *_HOW]


def _share(share: Share) -> str:
    return f"{share.unknown} ({share.unknown / share.touches:.2%})" if share.touches else "not run"
