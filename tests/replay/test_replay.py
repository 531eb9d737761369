"""Leads in flight: the workflow of today goes on with what earlier ones did, from recorded and sealed histories."""

import base64
import json
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay.record import FOLDER, RENEWED, STORIES
from tests.replay.ring import RING
from wire.codec import data_converter
from workflows import names
from workflows.lead import LeadWorkflow
from workflows.messages import LeadStart

RECORDED = sorted(FOLDER.glob("*.json"))


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json("lead/recorded", path.read_text())


def replayer(*workflows: type) -> Replayer:
    return Replayer(workflows=list(workflows), data_converter=data_converter(RING))


def test_every_story_is_recorded() -> None:
    assert {path.stem for path in RECORDED} == {story.__name__ for story in STORIES} | {"renewed"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer(LeadWorkflow).replay_workflow(history(path))


async def test_a_run_that_continued_as_new_is_among_them() -> None:
    events = history(FOLDER / "renewed.json").events
    assert events[-1].HasField("workflow_execution_continued_as_new_event_attributes")
    assert len(events) >= RENEWED


@workflow.defn(name=names.WORKFLOW, sandboxed=False)
class Hasty:
    """Another workflow under the name: it acts before it plans."""

    @workflow.run
    async def run(self, start: LeadStart) -> str:
        await workflow.sleep(1)
        return start.lead_id


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_workflow_that_does_something_else_is_found_out(path: Path) -> None:
    with pytest.raises(NondeterminismError):
        await replayer(Hasty).replay_workflow(history(path))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_payload_in_it_is_sealed(path: Path) -> None:
    payloads = list(_payloads(json.loads(path.read_text())))
    assert payloads
    assert {base64.b64decode(p["metadata"]["encoding"]) for p in payloads} == {b"binary/encrypted"}


def _payloads(node: object) -> "list[dict[str, dict[str, str]]]":
    """Everything in the history that has data and an encoding, search attributes (which bypass the codec) left out."""
    found: list[dict[str, dict[str, str]]] = []
    if isinstance(node, dict):
        if "metadata" in node and "encoding" in node["metadata"]:
            found.append(node)
        else:
            for key, value in node.items():
                found += _payloads(value) if key != "searchAttributes" else []
    elif isinstance(node, list):
        for value in node:
            found += _payloads(value)
    return found
