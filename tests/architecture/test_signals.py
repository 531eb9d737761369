"""Rule 5: nothing outside `relay/` starts, signals, updates, cancels or terminates a workflow."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import WorkflowService

RELAY = "relay"
DELIVERY = "relay.temporal_delivery"
COMPOSITION_ROOT = "worker.py"

# However it is spelled, the way to a workflow goes through one of these.
WAYS = frozenset(
    {
        *("start_workflow", "execute_workflow", "get_workflow_handle", "get_workflow_handle_for", "list_workflows"),
        *("start_update", "execute_update", "start_update_with_start_workflow", "execute_update_with_start_workflow"),
        *("signal_with_start", "WithStartWorkflowOperation", "create_schedule", "get_schedule_handle"),
        *("start_child_workflow", "execute_child_workflow"),
        *("get_external_workflow_handle", "get_external_workflow_handle_for"),
    }
)
SERVICE = ("_workflow_execution", "_workflow_rule")  # the ends of the raw service's calls, whatever they do
# Words of other things too: `signal` counts wherever it is called, the rest where Temporal is known.
SHARED_WAYS = frozenset({"cancel", "terminate"})

ALLOWED = {
    ("bench/bare.py", "get_workflow_handle"): "the workflow that the product is compared with",
    ("bench/bare.py", "signal"): "the workflow that the product is compared with",
    ("bench/bare_side.py", "start_workflow"): "the workflow that the product is compared with",
    ("bench/reactions.py", "get_workflow_handle"): "the benchmark looks at queries, from outside the product",
    ("bench/reply.py", "get_workflow_handle"): "the benchmark looks at a query, from outside the product",
    ("sandbox/__main__.py", "signal"): "a signal of the operating system",
    ("activities/heartbeat.py", "cancel"): "the activity's own task",
    ("cli.py", "signal"): "a signal of the operating system",
    ("workflows/lead.py", "cancel"): "the workflow's own timer",
}


@dataclass(frozen=True)
class Module:
    name: str
    tree: ast.Module

    @property
    def in_relay(self) -> bool:
        return self.name.startswith(f"{RELAY}/")

    @property
    def imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))

    @property
    def knows_temporal(self) -> bool:
        return any(name == "temporalio" or name.startswith("temporalio.") for name in self.imports)

    @property
    def ways(self) -> Iterator[tuple[str, int]]:
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) | ast.Constant(value=str(name))
                ):
                    if name in WAYS or (name.endswith(SERVICE) and name.isidentifier()):
                        yield name, node.lineno
                case ast.Call(func=ast.Attribute(attr=name)):
                    if name == "signal" or (name in SHARED_WAYS and self.knows_temporal):
                        yield name, node.lineno


@pytest.fixture(scope="module")
def modules(root: Path) -> list[Module]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    rooms = {*project["importlinter"]["root_packages"], "bench"}
    files = [path for room in sorted(rooms) for path in sorted((root / room).rglob("*.py"))]
    files += [root / f"{name}.py" for name in project["setuptools"]["py-modules"]]
    return [Module(path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def test_only_the_relay_reaches_a_workflow(modules: list[Module]) -> None:
    found = [
        f"{module.name}:{line}: {way}"
        for module in modules
        if not module.in_relay
        for way, line in module.ways
        if (module.name, way) not in ALLOWED
    ]
    assert found == []


def test_the_exceptions_are_still_needed(modules: list[Module]) -> None:
    assert set(ALLOWED) <= {(module.name, way) for module in modules for way, _ in module.ways}


def test_the_relay_is_what_reaches_workflows(modules: list[Module]) -> None:
    assert {m.name: {way for way, _ in m.ways} for m in modules if m.in_relay and list(m.ways)} == {
        "relay/lead_workflows.py": {"list_workflows", "get_workflow_handle"},  # to look, and nothing else
        "relay/sticky_queues.py": {"list_workflows"},  # to look, and nothing else
        "relay/sweep_schedule.py": {"create_schedule", "get_schedule_handle"},
        "relay/temporal_delivery.py": {"start_workflow", "signal"},
    }


def test_only_the_composition_root_hands_out_the_delivery(modules: list[Module]) -> None:
    knowing = {m.name for m in modules if any(name.startswith(DELIVERY) for name in m.imports)}
    assert {name for name in knowing if not name.startswith(f"{RELAY}/")} == {COMPOSITION_ROOT}


def test_every_way_of_the_sdk_is_known() -> None:
    """A later temporalio with another way to a workflow must be looked at."""
    looks = {"count_workflows", "workflow_service"}
    client = {name for name in dir(Client) if "workflow" in name and not name.startswith("_")}
    assert client - looks <= WAYS
    handle = {name for name in dir(WorkflowHandle) if not name.startswith("_")}
    assert handle - WAYS - SHARED_WAYS - {"signal"} == {
        *("describe", "fetch_history", "fetch_history_events", "first_execution_run_id", "get_update_handle"),
        *("get_update_handle_for", "id", "query", "result", "result_run_id", "run_id"),
    }
    writes = {"signal_with_start", "signal", "start", "terminate", "request_cancel", "update", "reset", "delete"}
    assert all(hasattr(WorkflowService, f"{word}{SERVICE[0]}") for word in writes)


@pytest.mark.parametrize(
    ("code", "way"),
    [
        ("handle.signal('staff_acted')", "signal"),
        ("client.start_workflow", "start_workflow"),
        ("getattr(client, 'execute_workflow')", "execute_workflow"),
        ("client.workflow_service.signal_workflow_execution(r)", "signal_workflow_execution"),
        ("import temporalio\nhandle.terminate()", "terminate"),
        ("from temporalio.client import WithStartWorkflowOperation", "WithStartWorkflowOperation"),
    ],
)
def test_what_is_searched_for_would_be_found(code: str, way: str) -> None:
    assert way in {name for name, _ in Module("api/x.py", ast.parse(code)).ways}
