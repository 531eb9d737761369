"""`docker-compose.yml` as Compose reads it, and `.env` as docs/hosting.md has it written."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
TEND = ("migrate", "api", "worker", "sandbox")  # the services that are Tend itself
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<sign>:[-?])(?P<rest>[^{}]*))?\}")


class Missing(Exception):
    """A variable that must be given is not."""


@dataclass(frozen=True)
class Service:
    name: str
    raw: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        return {key: str(value) for key, value in self.raw.get("environment", {}).items()}

    @property
    def command(self) -> list[str]:
        found = self.raw.get("command", [])
        return found.split() if isinstance(found, str) else [str(word) for word in found]

    @property
    def volumes(self) -> dict[str, str]:
        """Sources by where they are mounted, whatever the mode."""
        return {target: source for source, target, *_ in (v.split(":") for v in self.raw.get("volumes", []))}

    @property
    def waits_for(self) -> dict[str, str]:
        return {name: row["condition"] for name, row in self.raw.get("depends_on", {}).items()}


@dataclass(frozen=True)
class ComposeFile:
    document: dict[str, Any] = field(repr=False)

    @property
    def services(self) -> dict[str, Service]:
        return {name: Service(name, raw) for name, raw in self.document["services"].items()}


def variables() -> dict[str, set[str]]:
    """Each variable the file asks for, with the ways it does: `:-`, `:?` or none."""
    found: dict[str, set[str]] = {}
    for match in _VARIABLE.finditer(FILE.read_text()):
        found.setdefault(match["name"], set()).add(match["sign"] or "")
    return found


def read(given: dict[str, str]) -> ComposeFile:
    """The file with these variables put in. Raises Missing, by the variable's name."""

    def put(match: re.Match[str]) -> str:
        value = given.get(match["name"], "")
        if value or match["sign"] is None:
            return value
        if match["sign"] == ":?":
            raise Missing(match["name"])
        return match["rest"]

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return _VARIABLE.sub(put, node) if isinstance(node, str) else node

    return ComposeFile(walk(yaml.safe_load(FILE.read_text())))


def documented_env(directory: Path) -> dict[str, str]:
    """What the block of docs/hosting.md that writes `.env` writes, run here in `directory`."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "hosting.md").read_text(), re.DOTALL)
    (script,) = [block for block in blocks if "cat > .env" in block]
    subprocess.run(["sh", "-eu", "-c", script], cwd=directory, check=True, timeout=60)
    written = directory / ".env"
    assert written.stat().st_mode & 0o777 == 0o600
    return {key: value or "" for key, value in dotenv_values(written).items()}
