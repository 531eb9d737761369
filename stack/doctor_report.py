"""How `tend doctor` shows what it found: a table to read, or JSON; signs that need no colour."""

import asyncio
import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.settings import Settings
from stack.doctor import examine
from stack.verdicts import Line, Verdict

SIGNS = {Verdict.OK: "✔", Verdict.WRONG: "✘", Verdict.REPAIRED: "+"}
PLAIN = {Verdict.OK: "ok", Verdict.WRONG: "!!", Verdict.REPAIRED: "++"}
STYLES = {Verdict.OK: "green", Verdict.WRONG: "bold red", Verdict.REPAIRED: "yellow"}


def run(settings: Settings, *, as_json: bool, repair: bool) -> int:
    """The command; 0 where all is well, or was repaired, else 1."""
    lines = asyncio.run(_all(settings, repair))
    well = all(line.verdict is not Verdict.WRONG for line in lines)
    if as_json:
        print(json.dumps({"well": well, "checks": [asdict(line) for line in lines]}, indent=1))
    else:
        show(lines)
    return 0 if well else 1


async def _all(settings: Settings, repair: bool) -> list[Line]:
    return [line async for line in examine(settings, repair=repair)]


def show(lines: list[Line], *, plain: bool = False) -> None:
    """`plain`: in ASCII, as on a terminal that shows no more."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    signs = PLAIN if plain or not (console.encoding or "").lower().startswith("utf") else SIGNS
    table = Table(box=None, pad_edge=False)
    for name in ("", "check", "found", "what to do"):
        table.add_column(name)
    for line in lines:
        sign = f"[{STYLES[line.verdict]}]{signs[line.verdict]}[/]"
        table.add_row(sign, line.check, escape(line.found), escape(line.do))
    console.print(table)
    count = sum(line.verdict is Verdict.WRONG for line in lines)
    console.print("all is well" if not count else f"{count} of {len(lines)} need a look", style="bold")
