"""How it went: each lead's steps and how they ended, what was not sent and why, and all of it counted."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.board import CHANNEL_WORDS, OWN_TOUCHES, Board, Watched
from demo.client import Json

SEQUENCE = Path(__file__).resolve().parent.parent / "config" / "sequences" / "consultation.yaml"
WIDE = 116  # characters from which the table has all its columns
SENT = {"accepted", "delivered", "undelivered"}
NOT_SENT = {"skipped", "missed", "failed", "unknown"}


def summary(console: Console, board: Board, took: timedelta) -> None:
    console.print()
    console.print(_steps(console, board.leads))
    console.print(_counted(board, took), highlight=False)
    if lines := list(_not_sent(board.leads)):
        console.print("\nNot sent, and why", style="bold")
        for line in lines:
            console.print(f"  {line}", highlight=False)


def _steps(console: Console, leads: Iterable[Watched]) -> Table:
    """A row for each lead, a column for each step of the reference cadence."""
    sequence = yaml.safe_load(SEQUENCE.read_text(encoding="utf-8"))
    wide = console.width >= WIDE
    title = f"How it went: sequence {sequence['key']}, step by step"
    padding = (0, 1 if wide else 0, 0, 0)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=padding)
    table.add_column("lead", no_wrap=True)
    if wide:
        table.add_column("persona", no_wrap=True)
    for step in sequence["steps"]:
        table.add_column(f"{step['key']}\n{step['after']}", no_wrap=True)
    if wide:
        table.add_column("and", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    for lead in leads:
        ended = (lead.summary.get("exit_reason") or lead.summary.get("state", "")).replace("_", " ")
        cells = [_cell(lead, sequence["key"], step["key"]) for step in sequence["steps"]]
        if wide:
            table.add_row(lead.guest.first_name, lead.guest.persona, *cells, _beside(lead, sequence["key"]), ended)
        else:
            table.add_row(lead.guest.first_name, *cells, ended)
    return table


def _cell(lead: Watched, sequence: str, step: str) -> Text:
    runs = lead.runs(sequence)
    touches = [t for t in lead.touches() if t["step"] == step and t["enrollment"] in runs and t.get("channel")]
    return Text("\n").join([_word(lead, t) for t in touches]) if touches else Text("-", style="dim")


def _word(lead: Watched, touch: Json) -> Text:
    """What became of one touch."""
    status, channel = touch["status"], touch["channel"]
    if channel == "voice" and status in SENT:
        return Text(lead.call_ended(touch["id"]) or "dialled")
    if status in {"accepted", "delivered"}:
        return Text(CHANNEL_WORDS[channel])
    return Text(status, style="yellow" if status == "skipped" else "red" if status in NOT_SENT else "")


def _beside(lead: Watched, sequence: str) -> str:
    """What went out that is no step of the reference cadence."""
    runs, sent = lead.runs(sequence), Counter[str]()
    names = {entry["enrollment"]: entry["sequence"] for entry in lead.timeline if entry["kind"] == "enrolled"}
    for touch in lead.touches():
        if touch.get("channel") and touch["status"] in SENT:
            if touch["step"] in OWN_TOUCHES:
                sent[OWN_TOUCHES[touch["step"]]] += 1
            elif touch["enrollment"] not in runs:
                sent[names.get(touch["enrollment"], "")] += 1
    return "\n".join(f"{number} {name}" for name, number in sent.items())


def _counted(board: Board, took: timedelta) -> str:
    touches = [touch for lead in board.leads for touch in lead.touches() if touch.get("channel")]
    sent = Counter(touch["channel"] for touch in touches if touch["status"] in SENT)
    other = Counter(touch["status"] for touch in touches if touch["status"] in NOT_SENT)
    parts = [f"{sent[channel]} {word}s" for channel, word in CHANNEL_WORDS.items()]
    parts += [f"{number} {status}" for status, number in other.items()]
    return f"{len(board.leads)} leads: {', '.join(parts)}; all within {took.total_seconds():.0f} s on this machine."


def _not_sent(leads: Iterable[Watched]) -> Iterable[str]:
    """One line for each step, what became of it and its reason, with all whom it concerns."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for lead in leads:
        for touch in lead.touches():
            if touch["status"] in NOT_SENT and (channel := touch.get("channel")):
                why = (f"{touch['step']} {CHANNEL_WORDS[channel]}", touch["status"], touch.get("reason") or "")
                found.setdefault(why, []).append(lead.guest.first_name)
    for (what, status, reason), names in found.items():
        yield f"{what} to {' and '.join(names)}: {status}" + (f", {reason}" if reason else "")
