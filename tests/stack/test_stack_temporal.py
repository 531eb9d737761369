"""The dev server as a child: prepared for Tend, reachable from loopback alone, keeps what it holds."""

import os
import signal

import psutil
import pytest
from pydantic import SecretStr
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from config.data_dir import DataDir
from config.settings import Settings
from stack.ports import stable_ports
from stack.preflight import StartError
from stack.temporal_server import Temporal, server_spec
from tests.stack.conftest import Stage, Until
from wire.keyring import KeyRing


def settings(**more: str) -> Settings:
    return Settings(keys=SecretStr(KeyRing.make()), **more)  # type: ignore[arg-type]


async def test_it_is_prepared_and_comes_back_after_a_kill(stage: Stage, directory: DataDir, until: Until) -> None:
    ports = stable_ports(directory.ports, ("temporal", "ui"))
    temporal = Temporal(settings(), f"127.0.0.1:{ports['temporal']}")
    spec = server_spec(directory, temporal, ui_port=ports["ui"], codec="http://127.0.0.1:1/codec")
    await stage.supervisor.start(spec)

    async def retention_and_attributes() -> tuple[float, set[str]]:
        client = await Temporal(settings(), temporal.address).client()
        found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
        return found.config.workflow_execution_retention_ttl.seconds / 86400, set(listed.custom_attributes)

    days, attributes = await retention_and_attributes()
    assert days == 90
    assert {"TendState", "TendSequence", "TendStep", "TendFacility", "TendPaused", "TendNextAt"} <= attributes
    assert not await temporal.polls(os.getpid())

    assert directory.temporal.exists()
    first = stage.supervisor.pids["temporal"]
    listening = {c.laddr.ip for c in psutil.Process(first).net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.supervisor.pids["temporal"] != first, "temporal is back")
    assert await retention_and_attributes() == (90, attributes)
    # somebody else's namespace
    with pytest.raises(StartError, match="refuses namespace 'elsewhere'"):
        await Temporal(settings(temporal_namespace="elsewhere"), temporal.address).check()


async def test_a_wrong_address_is_one_clear_line() -> None:
    with pytest.raises(StartError) as caught:
        await Temporal(settings(), "127.0.0.1:1").check()
    said = str(caught.value)
    assert said.startswith("no Temporal at 127.0.0.1:1")
    assert "TEND_TEMPORAL_ADDRESS" in said
    assert "\n" not in said
