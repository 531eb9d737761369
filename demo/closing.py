"""The end of the demo: where to look, and what to try next, as commands to copy."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.cast import VISITOR_PHONE


def where_to_look(console: Console, endpoints: dict[str, Any], directory: Path) -> None:
    """Addresses, and commands."""
    api, ui, sandbox = endpoints["api"], endpoints["temporal_ui"], endpoints["sandbox"]
    console.print("\nOpen", style="bold")
    for name, address in (
        ("API, to read and try", f"{api}/docs"),
        ("Temporal UI", ui),
        ("what reached the carrier", f"{sandbox}/_sandbox/outbox"),
    ):
        console.print(f"  {name:<26}{address}", highlight=False, soft_wrap=True)
    console.print("\nTry, in a second terminal", style="bold")
    for what, command in commands(endpoints, directory):
        console.print(f"  # {what}", style="dim", highlight=False, soft_wrap=True)
        # soft wrap: a command that is copied must not hold line breaks
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def commands(endpoints: dict[str, Any], directory: Path) -> list[tuple[str, str]]:
    """What to do, and how; each is one line for a shell anywhere on this machine, in this order.

    The first prepares the shell, the second makes `$LEAD`; the others use both.
    """
    api, ui, sandbox = endpoints["api"], endpoints["temporal_ui"], endpoints["sandbox"]
    place = directory.absolute()
    json, python = "-H 'Content-Type: application/json'", shlex.quote(sys.executable)
    header = f'"Authorization: Bearer $(cat {shlex.quote(str(place / "admin.key"))})"'
    lead = (
        f'{{"first_name": "Test", "phone": "{VISITOR_PHONE}", "email": "test@example.com", "postal_code": "10001", '
        '"source": {"channel": "web_form"}}'
    )
    its_id = 'sed -n \'s/.*"lead_id": "\\(.*\\)".*/\\1/p\''
    says = f'{{"channel": "sms", "from": "{VISITOR_PHONE}", "body": "%s"}}'
    inbound = f"curl -s {json} {sandbox}/_sandbox/inbound"
    tend = f"{_tend()} keys"
    where = f"--data-dir {shlex.quote(str(place))}"
    return [
        ("first of all, once: ask the API with the key of the demo, and read what it says", _ask(header, json, python)),
        (
            "a lead of your own; it gets its first text at once, or in the night of the demo a mail",
            f"LEAD=$(ask {api}/v1/leads -d '{lead}' | {its_id}); echo $LEAD",
        ),
        ("where it stands", f"ask {api}/v1/leads/$LEAD"),
        ("what comes next, when and why", f"ask {api}/v1/leads/$LEAD/upcoming"),
        ("everything that happened to it", f"ask {api}/v1/leads/$LEAD/timeline"),
        ("hold it", f'ask {api}/v1/leads/$LEAD/pause -d \'{{"reason": "on holiday"}}\''),
        (
            "let it go on, everything later by as long as it was held",
            f'ask {api}/v1/leads/$LEAD/resume -d \'{{"mode": "shift"}}\'',
        ),
        (
            "write as the lead: the cadence rests, and the coordinator answers",
            f"{inbound} -d '{says % 'Please tell me more'}'",
        ),
        ("write STOP as the lead: nothing goes to this number any more", f"{inbound} -d '{says % 'STOP'}'"),
        (
            "all that reached its phone",
            f"curl -s '{sandbox}/_sandbox/outbox?to=%2B{VISITOR_PHONE[1:]}' | {python} -m json.tool",
        ),
        ("its workflow, to open in a browser", f"echo {ui}/namespaces/default/workflows/lead%2F$LEAD"),
        ("a key for a colleague, shown once", f"{tend} create {where} --name desk --role coordinator"),
        ("all keys", f"{tend} list {where}"),
        ("take it back", f"{tend} revoke desk {where}"),
    ]


def _ask(header: str, json: str, python: str) -> str:
    return f'ask() {{ curl -s -H {header} {json} "$@" | {python} -m json.tool; }}'


def _tend() -> str:
    """How to call `tend` from anywhere."""
    beside = Path(sys.executable).parent / "tend"
    if beside.exists():
        return shlex.quote(str(beside))
    return "tend" if shutil.which("tend") else f"{shlex.quote(sys.executable)} -m cli"
