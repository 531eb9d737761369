"""docs/sandbox.md names every fault with its default, and every endpoint."""

import json
import re
from pathlib import Path

from sandbox.control import routes
from sandbox.faults import FaultRules

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()


def test_every_fault_is_in_the_table_and_no_other() -> None:
    table = PAGE.partition("## Faults")[2].partition("## What it lists")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    assert list(rows) == list(FaultRules.model_fields)
    shown = json.loads(FaultRules().model_dump_json())
    for name, default in rows.items():
        if shown[name] is not None:
            assert json.loads(default) == shown[name], name


def test_every_endpoint_is_named() -> None:
    for route in routes:
        if route.path.startswith("/_sandbox/"):
            for method in (route.methods or set()) - {"HEAD"}:
                assert f"`{method} {route.path.removeprefix('/_sandbox')}" in PAGE
