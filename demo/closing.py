"""The end of the demo: how each lead ended, where to look, and what to try next."""

import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.board import Board, Watched

_SENT = ("accepted", "delivered", "undelivered")
_NOT_SENT = ("skipped", "missed", "failed", "unknown")


def summary(console: Console, board: Board) -> None:
    table = Table(title="How it went", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("lead", "persona", "ended"):
        table.add_column(name, no_wrap=True)
    table.add_column("sent", justify="right", no_wrap=True)
    table.add_column("not sent, and why", ratio=1)
    for lead in board.leads:
        ended = lead.summary.get("exit_reason") or lead.summary.get("state", "")
        sent = sum(touch["status"] in _SENT for touch in lead.touches())
        table.add_row(lead.guest.name, lead.guest.persona, ended.replace("_", " "), str(sent), _not_sent(lead))
    console.print()
    console.print(table)


def _not_sent(lead: Watched) -> str:
    """Counted by status and reason; waits, which send nothing, are left out."""
    found = Counter(
        (touch["status"], touch.get("reason") or "")
        for touch in lead.touches()
        if touch["status"] in _NOT_SENT and touch.get("channel")
    )
    return "\n".join(f"{count} {status}" + (f": {why}" if why else "") for (status, why), count in found.items())


def where_to_look(console: Console, endpoints: dict[str, Any], directory: Path) -> None:
    """Addresses, and commands to copy."""
    api, ui, sandbox = endpoints["api"], endpoints["temporal_ui"], endpoints["sandbox"]
    console.print()
    console.print("Open", style="bold")
    for name, address in (
        ("API documentation", f"{api}/docs"),
        ("Temporal UI", ui),
        ("what reached the carrier", f"{sandbox}/_sandbox/outbox"),
    ):
        console.print(f"  {name:<25}{address}", highlight=False, soft_wrap=True)
    console.print("Try", style="bold")
    for what, command in commands(api, ui, directory):
        console.print(f"  # {what}", style="dim", highlight=False, soft_wrap=True)
        # soft wrap: a command that is copied must not hold line breaks
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def commands(api: str, ui: str, directory: Path) -> list[tuple[str, str]]:
    """What to do, and how; each is one line for a shell in the present directory, the first comes first."""
    place = _relative(directory)
    auth = f'-H "Authorization: Bearer $(cat {shlex.quote(f"{place}/admin.key")})"'
    json = "-H 'Content-Type: application/json'"
    lead = (
        '{"first_name": "Test", "phone": "+12125550142", "email": "test@example.com", "postal_code": "10001", '
        '"source": {"channel": "web_form"}}'
    )
    its_id = 'sed \'s/.*"lead_id":"\\([^"]*\\)".*/\\1/\''
    pause = '{"reason": "on holiday"}'
    return [
        ("a lead of your own", f"LEAD=$(curl -s {auth} {json} {api}/v1/leads -d '{lead}' | {its_id}); echo $LEAD"),
        ("what comes next for it", f"curl -s {auth} {api}/v1/leads/$LEAD/upcoming"),
        ("everything that happened to it, and why", f"curl -s {auth} {api}/v1/leads/$LEAD/timeline"),
        ("hold it", f"curl -s {auth} {json} {api}/v1/leads/$LEAD/pause -d '{pause}'"),
        ("its workflow, to open in a browser", f"echo {ui}/namespaces/default/workflows/lead%2F$LEAD"),
        (
            "a key for a colleague",
            f"{_tend()} keys create --data-dir {shlex.quote(place)} --name desk --role coordinator",
        ),
    ]


def _tend() -> str:
    """How to call `tend` from here."""
    if shutil.which("tend"):
        return "tend"
    beside = Path(sys.executable).parent / "tend"
    return _relative(beside) if beside.exists() else f"{sys.executable} -m cli"


def _relative(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
