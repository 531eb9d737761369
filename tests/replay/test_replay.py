"""Leads in flight: the workflow of today goes on with what earlier ones did, from recorded and sealed histories."""

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.record import FOLDER
from tests.replay.ring import RING
from tests.replay.shapes import SHAPES
from wire.codec import data_converter
from workflows import messages as m
from workflows import names
from workflows.lead import LeadWorkflow

RECORDED = sorted(FOLDER.glob("*.json"))


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json("lead/recorded", path.read_text())


def replayer(*workflows: type) -> Replayer:
    return Replayer(workflows=list(workflows), data_converter=data_converter(RING))


def test_every_shape_is_recorded() -> None:
    """What is missing is recorded by `python -m tests.replay.record`."""
    assert {path.stem for path in RECORDED} == set(SHAPES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_has_its_shape(path: Path) -> None:
    assert SHAPES[path.stem](list(history(path).events))


def test_a_shape_is_not_just_any_history() -> None:
    for name in set(SHAPES) - {
        "answered",
        "replied",
        "paused",
        "cancelled",
    }:  # these are known by how many signals came
        assert sum(SHAPES[name](list(history(path).events)) for path in RECORDED) < len(RECORDED) / 2, name


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer(LeadWorkflow).replay_workflow(history(path))


@workflow.defn(name=names.WORKFLOW, sandboxed=False)
class Hasty:
    """Another workflow under the name: it acts before it plans."""

    @workflow.run
    async def run(self, start: m.LeadStart) -> str:
        await workflow.sleep(1)
        return start.lead_id


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_workflow_that_does_something_else_is_found_out(path: Path) -> None:
    with pytest.raises(NondeterminismError):
        await replayer(Hasty).replay_workflow(history(path))


# Changes to the workflow that look harmless, each with shapes by which it is found out. In place of `LeadWorkflow`'s
# own method stands one that is given that, the workflow and its argument.

Own = Callable[..., Any]


async def plans_after_every_ring(own: Own, self: Any, plan: m.Plan) -> m.Plan:
    return await _plan(own(self, plan.model_copy(update={"do": None})))


async def plans_before_its_first_touch(own: Own, self: Any, do: m.Do) -> m.Plan:
    return await _plan(self._ask() if self._plan is None else own(self, do))


def shows_every_wait(own: Own, self: Any, plan: m.Plan) -> None:
    own(self, plan.model_copy(update={"show": True}))


async def plans_after_every_activity(own: Own, self: Any, do: m.Do) -> m.Plan:
    await own(self, do)
    return await _plan(self._ask())


async def obeys_what_a_signal_made_stale(own: Own, self: Any, do: m.Do) -> m.Plan:
    self._ask, ask = self._last, self._ask
    try:
        return await _plan(own(self, do))
    finally:
        self._ask = ask


async def starts_every_timer_anew(own: Own, self: Any, plan: m.Plan) -> m.Plan:
    self._rings_at = None
    return await _plan(own(self, plan))


def keeps_the_later_timer(own: Own, self: Any, until: Any, reason: str) -> None:
    if self._timer is None:
        own(self, until, reason)


def never_renews(own: Own, self: Any, start: m.LeadStart) -> bool:
    return False


def renews_at_every_wait(own: Own, self: Any, start: m.LeadStart) -> bool:
    return True


def shows_nothing(own: Own, self: Any, plan: m.Plan) -> None:
    pass


async def _plan(found: Awaitable[m.Plan]) -> m.Plan:
    return await found


CHANGES: list[tuple[str, Own, set[str]]] = [
    ("_rest", plans_after_every_ring, {"silent", "night", "unavailable", "cut_off", "leased"}),
    ("_carry_out", plans_after_every_activity, {"silent", "stopped", "visited", "dialled", "woken_again", "onward"}),
    ("_carry_out", plans_before_its_first_touch, {"begun", "begun_at_night", "begun_renewed"}),
    ("_show", shows_every_wait, {"brief"}),
    ("_carry_out", obeys_what_a_signal_made_stale, {"meanwhile"}),
    ("_rest", starts_every_timer_anew, {"paused", "answered"}),
    ("_set_timer", keeps_the_later_timer, {"hurried"}),
    ("_should_renew", never_renews, {"renewed"}),
    ("_should_renew", renews_at_every_wait, {"silent", "onward"}),
    ("_show", shows_nothing, {"silent"}),
]


@pytest.mark.parametrize(("method", "change", "wanted"), CHANGES, ids=[change.__name__ for _, change, _ in CHANGES])
async def test_a_change_that_looks_harmless_is_found_out(
    monkeypatch: pytest.MonkeyPatch, method: str, change: Own, wanted: set[str]
) -> None:
    own = getattr(LeadWorkflow, method)
    monkeypatch.setattr(LeadWorkflow, method, lambda self, *given: change(own, self, *given))
    changed = Replayer(
        workflows=[LeadWorkflow],
        data_converter=data_converter(RING),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    found = set()
    for path in RECORDED:
        try:
            await changed.replay_workflow(history(path))
        except (NondeterminismError, RuntimeError):  # the latter where a timer was to be cancelled that has rung
            found.add(path.stem)
    assert wanted <= found


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_payload_in_it_is_sealed(path: Path) -> None:
    payloads = list(_payloads(json.loads(path.read_text())))
    assert payloads
    assert {base64.b64decode(p["metadata"]["encoding"]) for p in payloads} == {b"binary/encrypted"}


def _payloads(node: object) -> "list[dict[str, dict[str, str]]]":
    """Everything in the history that has data and an encoding. What bypasses the codec is left out: search attributes,
    and the SDK's own mark of a patch, which holds the patch's name.
    """
    found: list[dict[str, dict[str, str]]] = []
    if isinstance(node, dict):
        if node.get("markerName") == "core_patch":
            return []
        if "metadata" in node and "encoding" in node["metadata"]:
            found.append(node)
        else:
            for key, value in node.items():
                found += _payloads(value) if key != "searchAttributes" else []
    elif isinstance(node, list):
        for value in node:
            found += _payloads(value)
    return found
