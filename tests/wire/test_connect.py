"""Against the real dev server: what it keeps, and what a namespace is made ready with."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import (
    RetryPolicy,
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.wire.conftest import DevServer
from wire.connect import WrongSearchAttribute, connect, prepare_namespace, register_search_attributes
from wire.keyring import KeyRing
from worker import register
from workflows import names

PLANTED = "Zebra-Planted-Word"
QUEUE = "wire-tests"


class Greeting(BaseModel):
    text: str


@activity.defn
async def echo(greeting: Greeting) -> Greeting:
    return greeting


@activity.defn
async def refuse(greeting: Greeting) -> None:
    raise ApplicationError(greeting.text, greeting.text, type="Refused", non_retryable=True)


@workflow.defn
class Talk:
    def __init__(self) -> None:
        self.heard = ""

    @workflow.run
    async def run(self, greeting: Greeting) -> Greeting:
        await workflow.sleep(timedelta(milliseconds=1), summary=greeting.text)
        await workflow.wait_condition(lambda: bool(self.heard))
        limit = timedelta(seconds=20)
        answer = await workflow.execute_activity(echo, greeting, start_to_close_timeout=limit, summary=greeting.text)
        try:
            await workflow.execute_activity(refuse, greeting, start_to_close_timeout=limit)
        except ActivityError:
            return answer
        raise ApplicationError("not refused")

    @workflow.signal
    def hear(self, text: str) -> None:
        self.heard = text


@workflow.defn
class Fail:
    @workflow.run
    async def run(self, greeting: Greeting) -> None:
        raise ApplicationError(greeting.text)


def ring() -> KeyRing:
    return KeyRing.parse(KeyRing.make())


def worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[Talk, Fail],
        activities=[echo, refuse],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def talk(client: Client, text: str) -> tuple[str, bytes]:
    """The result of a talk, and all that the server holds of it."""
    async with worker(client):
        handle = await client.start_workflow(
            Talk.run,
            Greeting(text=text),
            id=f"talk/{uuid.uuid4()}",
            task_queue=QUEUE,
            memo={"note": text},
            static_summary=text,
            static_details=text,
        )
        await handle.signal(Talk.hear, text)
        result = await handle.result()
    history = await handle.fetch_history()
    described = await handle.describe()
    kept = b"".join(event.SerializeToString() for event in history.events)
    return result.text, kept + history.to_json().encode() + described.raw_description.SerializeToString()


async def test_the_server_holds_nothing_in_clear(server: DevServer) -> None:
    text, kept = await talk(await connect(server.address, "default", ring()), PLANTED)
    assert text == PLANTED
    assert b"binary/encrypted" in kept
    assert PLANTED.encode() not in kept

    # The search finds what is not sealed: the same talk through a plain client.
    spied = "Okapi-Planted-Word"
    plain = await Client.connect(server.address, data_converter=pydantic_data_converter)
    _, kept = await talk(plain, spied)
    assert spied.encode() in kept
    on_disk = b"".join(path.read_bytes() for path in server.database.parent.iterdir())
    assert spied.encode() in on_disk
    assert PLANTED.encode() not in on_disk


async def test_a_failure_holds_nothing_in_clear(server: DevServer) -> None:
    client = await connect(server.address, "default", ring())
    async with worker(client):
        handle = await client.start_workflow(
            Fail.run,
            Greeting(text=PLANTED),
            id=f"fail/{uuid.uuid4()}",
            task_queue=QUEUE,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.message == PLANTED
    kept = b"".join(event.SerializeToString() for event in (await handle.fetch_history()).events)
    assert PLANTED.encode() not in kept


async def test_a_rotated_ring_reads_what_an_older_one_wrote(server: DevServer) -> None:
    old = KeyRing.make()
    workflow_id = f"talk/{uuid.uuid4()}"
    client = await connect(server.address, "default", KeyRing.parse(old))
    await client.start_workflow(Talk.run, Greeting(text=PLANTED), id=workflow_id, task_queue=QUEUE)

    rotated = await connect(server.address, "default", KeyRing.parse(f"{KeyRing.make()},{old}"))
    async with worker(rotated):
        handle = rotated.get_workflow_handle(workflow_id, result_type=Greeting)
        await handle.signal(Talk.hear, "go on")
        assert (await handle.result()).text == PLANTED


async def test_retention_is_raised_once_and_never_lowered(server: DevServer) -> None:
    client = await connect(server.address, "default", ring())
    await prepare_namespace(client, "default", 30)
    for days in (90, 90, 7):
        await prepare_namespace(client, "default", days)
        found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        assert found.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=max(days, 90))


async def test_a_worker_makes_a_namespace_ready_or_says_what_is_missing(
    server: DevServer, capsys: pytest.CaptureFixture[str]
) -> None:
    client = await connect(server.address, "default", ring())
    await register(client, "default")
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert names.ATTRIBUTE_TYPES.items() <= dict(listed.custom_attributes).items()
    await register(client, "nobody-s")
    assert "search attributes" in capsys.readouterr().out


async def test_search_attributes_are_registered_once_and_usable_at_once(server: DevServer) -> None:
    client = await connect(server.address, "default", ring())
    kinds = SearchAttributeIndexedValueType
    attributes = {
        "TendState": kinds.KEYWORD,
        "TendSequence": kinds.KEYWORD,
        "TendStep": kinds.KEYWORD,
        "TendFacility": kinds.KEYWORD,
        "TendPaused": kinds.BOOL,
        "TendNextAt": kinds.DATETIME,
    }
    few = {name: kind for name, kind in attributes.items() if name in {"TendState", "TendPaused"}}
    for wanted in (few, attributes, attributes):
        await register_search_attributes(client, "default", wanted)

    handle = await client.start_workflow(
        Talk.run,
        Greeting(text="x"),
        id=f"talk/{uuid.uuid4()}",
        task_queue="nobody-listens",
        search_attributes=TypedSearchAttributes(
            [
                *(
                    SearchAttributePair(SearchAttributeKey.for_keyword(name), "x")
                    for name, kind in attributes.items()
                    if kind is kinds.KEYWORD
                ),
                SearchAttributePair(SearchAttributeKey.for_bool("TendPaused"), True),
                SearchAttributePair(SearchAttributeKey.for_datetime("TendNextAt"), datetime(2026, 3, 2, tzinfo=UTC)),
            ]
        ),
    )
    described = await handle.describe()
    assert described.typed_search_attributes[SearchAttributeKey.for_bool("TendPaused")] is True
    await handle.terminate()

    with pytest.raises(WrongSearchAttribute, match="TendState is keyword here instead of bool"):
        await register_search_attributes(client, "default", {"TendState": kinds.BOOL})


@pytest.mark.parametrize(("cert", "key"), [(Path("c.pem"), None), (None, Path("k.pem"))])
async def test_half_a_certificate_is_refused(cert: Path | None, key: Path | None) -> None:
    with pytest.raises(ValueError, match="both"):
        await connect("127.0.0.1:1", "default", ring(), tls_cert=cert, tls_key=key, lazy=True)


async def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c\.pem"):
        await connect(
            "127.0.0.1:1", "default", ring(), tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "k.pem", lazy=True
        )


async def test_lazy_connects_when_it_must(server: DevServer) -> None:
    client = await connect(server.address, "default", ring(), lazy=True)
    assert (await client.count_workflows()).count >= 0
