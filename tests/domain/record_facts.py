"""`python -m tests.domain.record_facts`: keeps, of each kind of fact in its present version, its schema and examples.

What is there is never written anew: it is what databases hold. An entry that no release has ever written may be taken
out by hand, and is then recorded as it is now.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

from domain.fact_versions import FIRST, VERSIONS
from domain.facts import Fact
from domain.stored_fact import StoredFact

FILE = Path(__file__).with_name("recorded_facts.json")
TYPES = {t.model_fields["kind"].default: t for t in get_args(get_args(Fact)[0])}
ANY = {"string": "text", "integer": 1, "number": 0.5, "boolean": True}
AT = "2026-06-02T14:00:00Z"

Entry = dict[str, Any]


def recorded() -> dict[str, dict[str, Entry]]:
    """Of each kind and version: `schema`, and `examples` as the database holds them."""
    found: dict[str, dict[str, Entry]] = json.loads(FILE.read_text())
    return found


def schema(kind: str) -> Any:
    """Fields, types and words; not how they are described."""
    return _bare(TYPES[kind].model_json_schema())


def _bare(node: Any) -> Any:
    if isinstance(node, list):
        return [_bare(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _bare(inner) for name, inner in value.items()} if key in _NAMED else _bare(value)
        for key, value in node.items()
        if key not in ("title", "description")
    }


_NAMED = ("properties", "$defs")  # in these a title may be a field's name


def examples(kind: str) -> list[str]:
    """One with everything, one with nothing that may be absent."""
    shape = TYPES[kind].model_json_schema()
    full = {name: _value(field, shape) for name, field in shape["properties"].items()}
    least = {name: full[name] for name in shape.get("required", ())}
    return [StoredFact.of(TYPES[kind].model_validate(data)).data for data in (full, least)]


def _value(field: Any, shape: Any) -> Any:
    if "$ref" in field:
        return _value(shape["$defs"][field["$ref"].rpartition("/")[2]], shape)
    if "anyOf" in field:
        return _value(field["anyOf"][0], shape)
    if "const" in field:
        return field["const"]
    if "enum" in field:
        return field["enum"][0]
    if field["type"] == "array":
        return [_value(field["items"], shape)]
    if "properties" in field:
        return {name: _value(inner, shape) for name, inner in field["properties"].items()}
    return AT if field.get("format") == "date-time" else ANY[field["type"]]


def main() -> None:
    found = recorded() if FILE.exists() else {}
    for kind in sorted(TYPES):
        versions, present = found.setdefault(kind, {}), VERSIONS.present(kind)
        if present == FIRST and str(present) not in versions and FILE.exists() and kind not in VERSIONS.new:
            sys.exit(f"{kind} is a new kind: say in VERSIONS.new which release brings it")
        if str(present) not in versions:
            versions[str(present)] = {"schema": schema(kind), "examples": examples(kind)}
            print(f"{kind}: version {present}")
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
