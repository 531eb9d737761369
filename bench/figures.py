"""What a benchmark found: its rows on the terminal and in `docs/figures/`, with the machine it ran on."""

import math
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, in `unit`. A value that is infinite never came. `target` is the most, or the `least`, to reach."""

    name: str
    value: float
    unit: str = "ms"
    target: float | None = None
    least: bool = False

    @property
    def shown(self) -> str:
        return _number(self.value, self.unit)

    @property
    def aim(self) -> str:
        if self.target is None:
            return ""
        return f"at {'least' if self.least else 'most'} {_number(self.target, self.unit)}"

    @property
    def reached(self) -> str:
        if self.target is None:
            return ""
        return "yes" if (self.value >= self.target if self.least else self.value <= self.target) else "no"


@dataclass(frozen=True, slots=True)
class Figure:
    """One benchmark's result. `key` is its name on the command line and its file's; `notes` say how it was measured."""

    key: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def percentiles(values: Sequence[float], *which: int) -> list[float]:
    """By nearest rank: infinite values count like any other, as the slowest."""
    ordered = sorted(values)
    return [ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] if ordered else math.inf for p in which]


def rows_of(name: str, seconds: Sequence[float], targets: dict[int, float | None]) -> list[Row]:
    """One row a percentile, in milliseconds; targets in milliseconds too."""
    found = percentiles(seconds, *targets)
    return [Row(f"{name} p{p}", value * 1000, "ms", targets[p]) for p, value in zip(targets, found, strict=True)]


def show(figure: Figure) -> None:
    console = Console()
    table = Table(title=figure.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("measure")
    table.add_column("found", justify="right")
    table.add_column("reach")
    table.add_column("reached")
    for row in figure.rows:
        table.add_row(row.name, row.shown, row.aim, row.reached)
    console.print(table)
    for note in figure.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def keep(figure: Figure) -> Path:
    """Writes `docs/figures/<key>.md`. What another processor found last is kept beside it, under that one's name."""
    lines = [f"# {figure.title}", ""]
    lines += [f"- {name}: {value}" for name, value in machine().items()]
    lines += [
        f"- command: `python -m bench {figure.key}`",
        "",
        "| measure | found | reach | reached |",
        "|---|---:|---|---|",
    ]
    lines += [f"| {row.name} | {row.shown} | {row.aim} | {row.reached} |" for row in figure.rows]
    lines += ["", *figure.notes]
    path = FOLDER / f"{figure.key}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (other := measured_on(path)) != _processor():
        path.replace(path.with_name(f"{figure.key}.{_slug(other)}.md"))
    path.with_name(f"{figure.key}.{_slug(_processor())}.md").unlink(missing_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measured_on(path: Path) -> str:
    """The processor that a figure's file names."""
    found = re.search(r"^- processor: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


def _slug(processor: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", processor.lower().replace("(r)", "").replace("(tm)", "")))


def machine() -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": sys.version.split(maxsplit=1)[0],
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "never"
    digits = 0 if unit in {"", "events"} or (unit == "ms" and value >= 100) else 1 if unit == "ms" else 2
    return f"{value:.{digits}f} {unit}".strip()
