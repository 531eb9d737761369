"""Reads the YAML files of `config/`: a repeated key is an error, and only numbers, true and false are not text."""

import re
from pathlib import Path
from typing import Any

import yaml

from domain.errors import InvalidSequence


class _Loader(yaml.SafeLoader):
    """YAML 1.1 would read `18:00` as 1080, `on` as true and a date as a date: here they stay what was written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+", [*"-+0123456789"]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _first)


def read_yaml(path: Path) -> Any:
    """What the file holds. Raises InvalidSequence naming file and line."""
    try:
        # SafeLoader with fewer implicit types, so nothing but plain data can come out
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidSequence(f"{path.name}{line}: {e.problem or 'this is not YAML'}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InvalidSequence(f"{path.name}: not a text file in UTF-8 without control characters") from None
    except OSError as e:
        raise InvalidSequence(f"{path.name}: cannot be read ({e.strerror})") from None


def yaml_files(directory: Path) -> list[Path]:
    """The `.yaml` files of a directory, by name. Raises InvalidSequence if there is no such directory or none in it."""
    if not directory.is_dir():
        raise InvalidSequence(f"{directory}: no such directory")
    other = next((p for p in sorted(directory.iterdir()) if p.suffix == ".yml"), None)
    if other is not None:
        raise InvalidSequence(f"{other.name}: would be overlooked; name it {other.stem}.yaml")
    found = sorted(directory.glob("*.yaml"))
    if not found:
        raise InvalidSequence(f"{directory}: holds no .yaml file")
    return found
