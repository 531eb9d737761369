"""Documents cannot rot: what they list is what there is."""

import re
import tomllib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from starlette.routing import Route
from temporalio import workflow

import cli
from api.app import create_app
from api.meters import Meters
from config.settings import Settings
from domain import facts, lead_state, touches
from domain.access import Role
from domain.fact_versions import FIRST, VERSIONS
from domain.ports import Remedy
from wire.keyring import KeyRing
from workflows import names
from workflows.lead import LeadWorkflow

Read = Callable[[str], str]
Rows = Callable[[str], list[list[str]]]
ARCHITECTURE, RUNBOOK = "docs/ARCHITECTURE.md", "docs/runbook.md"


def _shown(default: Any) -> str:
    if default is None:
        return "unset"
    return default.value if isinstance(default, StrEnum) else str(default)


def test_every_setting_with_its_default(rows: Rows) -> None:
    documented = {row[0]: row[1].strip("`") for row in rows("docs/settings.md") if row[0].startswith("`TEND_")}
    real = {f"`TEND_{name.upper()}`": _shown(field.default) for name, field in Settings.model_fields.items()}
    assert documented == real


def test_no_document_names_a_setting_that_is_not_there(root: Path) -> None:
    real = {f"TEND_{name.upper()}" for name in Settings.model_fields}
    for path in _documents(root):
        assert set(re.findall(r"\bTEND_[A-Z_]+\b", path.read_text())) <= real, path.name


def _commands(command: Any, path: tuple[str, ...] = ("tend",)) -> Iterator[tuple[str, list[str]]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), [name for option in command.params for name in option.opts if name.startswith("--")]
    for name, below in (inner or {}).items():
        yield from _commands(below, (*path, name))


def test_every_command_with_its_options(rows: Rows) -> None:
    documented = {
        row[0].strip("`"): sorted(re.findall(r"--[a-z-]+", row[1]))
        for row in rows(RUNBOOK)
        if row[0].startswith("`tend ")
    }
    assert documented == {name: sorted(options) for name, options in _commands(typer.main.get_command(cli.app))}


def test_every_call_of_the_api(rows: Rows, read: Read) -> None:
    app = create_app(
        Settings(_env_file=None, database_url="postgresql://u@127.0.0.1:1/none", keys=SecretStr(KeyRing.make()))
    )
    routes = [route for route in app.routes if isinstance(route, Route)]
    real = {f"`{method} {route.path}`" for route in routes for method in route.methods or () if method != "HEAD"}
    documented = {row[0] for row in rows("docs/api.md") if row[0].startswith("`")}
    assert documented == real
    paths = {re.sub(r"\{\w+\}", "{}", route.path) for route in routes}
    used = re.findall(r"\$API(/[\w/$.-]*)", read("README.md") + read(RUNBOOK))
    assert used
    assert {re.sub(r"\$\w+", "{}", path) for path in used} <= paths


def test_all_that_temporal_shows(read: Read) -> None:
    text = read(ARCHITECTURE)
    definition = workflow._Definition.must_from_class(LeadWorkflow)
    assert set(definition.signals) == set(names.SIGNALS)
    words = {
        names.WORKFLOW,
        names.workflow_id("<lead_id>"),
        names.LEADS_QUEUE,
        *names.CHANNEL_QUEUES.values(),
        *(names.PLAN, names.TOUCH, names.OPEN_TASK, names.EXPIRE_TASK, names.SWEEP),
        *(names.SWEEP_WORKFLOW, names.SWEEP_ID, names.SWEEP_SCHEDULE),
        *names.SIGNALS,
        *(str(name) for name in definition.queries),
        *(key.name for key in names.SEARCH_ATTRIBUTES),
    }
    assert not {word for word in words if f"`{word}`" not in text}


def test_every_version_of_a_fact_is_in_the_changelog(read: Read) -> None:
    text = read("CHANGELOG.md")
    raised = [(kind, number) for kind, steps in VERSIONS.steps.items() for number, _ in enumerate(steps, FIRST + 1)]
    assert [f"`{kind}` to version {n}" for kind, n in raised if f"`{kind}` to version {n}" not in text] == []
    assert [kind for kind in VERSIONS.new if f"`{kind}`" not in text] == []


def test_every_metric(rows: Rows) -> None:
    real = {f"`{m.name}{'_total' if m.type == 'counter' else ''}`" for m in Meters().registry.collect()}
    documented = {row[0] for row in rows(RUNBOOK) if row[0].startswith("`tend_")}
    assert documented == real


@pytest.mark.parametrize(
    "words",
    [
        touches.TouchStatus,
        touches.Disposition,
        touches.Channel,
        lead_state.State,
        lead_state.Stage,
        facts.ExitReason,
        facts.TaskKind,
        facts.TaskState,
        facts.Outcome,
        facts.AppointmentStatus,
        Remedy,
        Role,
    ],
)
def test_every_word_is_in_the_glossary(words: type[StrEnum], read: Read) -> None:
    text = read("docs/glossary.md")
    if words is touches.Channel:
        assert f"| channel | {', '.join(words)} |" in text
        return
    entry = next((part for part in text.split("\n\n") if part.startswith("**") and f"`{words.__name__}`" in part), "")
    assert not {word.value for word in words if f"`{word.value}`" not in entry}


def test_every_decision_is_linked_short_and_whole(root: Path, read: Read) -> None:
    text, files = read(ARCHITECTURE), sorted((root / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for path in files:
        decision = path.read_text()
        assert f"(decisions/{path.name})" in text
        assert len(decision.splitlines()) <= 40
        headings = [line for line in decision.splitlines() if line.startswith("#")]
        assert headings[0].startswith(f"# {path.name[:4]}. ")
        assert headings[1:] == ["## Context", "## Decision", "## Consequences"]


def test_every_dependency_has_its_row_and_every_row_is_a_dependency(root: Path, rows: Rows) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    real = {match[0] for text in wanted if (match := re.match(r"[\w-]+", text))}
    listed = {name.strip() for row in rows("docs/decisions/0009-libraries.md")[2:] for name in row[1].split(",")}
    assert listed <= real
    assert {re.match(r"[\w-]+", text)[0] for text in project["dependencies"]} <= listed  # type: ignore[index]


def test_every_room_is_described(root: Path, rows: Rows) -> None:
    rooms = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert {f"`{room}/`" for room in rooms} <= {row[0] for row in rows(ARCHITECTURE)}


def test_every_room_says_what_it_is(root: Path) -> None:
    rooms = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    for room in rooms:
        assert (root / room.replace(".", "/") / "__init__.py").read_text().startswith('"""'), room


def _documents(root: Path) -> list[Path]:
    return [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]


def test_every_link_and_every_file_named_is_there(root: Path) -> None:
    for path in _documents(root):
        text = path.read_text()
        for link in re.findall(r"\]\(([^)#\s]+)\)", text):
            assert "://" in link or (path.parent / link).exists(), f"{path.name}: {link}"
        for name in re.findall(r"`((?:\w+/)+[\w.-]+\.(?:py|yaml|md))`", text):
            assert (root / name).exists(), f"{path.name}: {name}"


def test_every_test_named_is_there(root: Path, read: Read) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", read(ARCHITECTURE))
    assert len({name for _, name in named}) > 15
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (root / file).read_text(), re.MULTILINE), f"{file}::{name}"


def test_every_make_target_named_is_there(root: Path, read: Read) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    for path in _documents(root):
        in_code = " ".join(re.findall(r"`[^`\n]+`|^make .*$", path.read_text(), re.MULTILINE))
        assert set(re.findall(r"\bmake ([a-z]+)\b", in_code)) <= targets, path.name
