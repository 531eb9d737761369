"""Whether anybody is at work, whatever the settings of who asks: a worker that gets nothing looks well."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.api.deployment.v1 import WorkerDeploymentOptions, WorkerDeploymentVersion
from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue, TaskQueueVersioningInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse

from api.dependencies import checks
from config.settings import Settings
from stack import doctor
from stack.builds import advice
from store.engine import Store
from tests.releases.installation import NAME, QUEUES, Installation, open_installation
from wire.deployments import NoCurrentBuild, NoneAtWork, NotTheCurrentBuild, NoWorker, Version, asking_for
from wire.keyring import KeyRing
from workflows import names

Seen = tuple[str, str, type[NoneAtWork] | None]  # what the doctor finds and advises, what /readyz names
AT_WORK: Seen = ("1 at work", "", None)
LATELY = "wire.deployments.POLLED_WITHIN"

VERSIONED = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
NOT = WorkerVersioningMode.WORKER_VERSIONING_MODE_UNVERSIONED


async def look(tend: Installation, ring: str) -> list[Seen]:
    """From a shell without the settings of builds, and from one that knows the deployment."""
    found: list[Seen] = []
    for name in (None, NAME):
        settings = Settings(
            _env_file=None,
            temporal_address=tend.client.service_client.config.target_host,
            keys=SecretStr(ring),
            deployment_name=name,
        )
        tools: Any = SimpleNamespace(client=tend.client)
        line, kind = await doctor._workers(settings, tools), None
        try:
            await checks(settings, KeyRing.parse(ring))["workers"]()
        except NoneAtWork as error:
            kind = type(error)
        found.append((line.found, line.do, kind))
    return found


async def last_asked(tend: Installation, builds: set[str]) -> datetime:
    """When the server last had a request of one of these for the leads' work; a minute ago without any."""
    request = DescribeTaskQueueRequest(
        namespace=tend.client.namespace,
        task_queue=TaskQueue(name=names.LEADS_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    found = await tend.client.workflow_service.describe_task_queue(request)
    theirs = [p.last_access_time.ToDatetime(UTC) for p in found.pollers if p.deployment_options.build_id in builds]
    return max(theirs, default=datetime.now(UTC) - timedelta(minutes=1))


async def test_workers_that_get_nothing_are_told_of_in_every_shell(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing.make()
    async with open_installation(store, KeyRing.parse(ring)) as tend:
        stopped: set[str] = set()

        async def sees(seen: Seen) -> None:
            """A worker's first request is with the server a moment after its start.

            Who asked after the last request of those that were stopped asks lately.
            """
            deadline = asyncio.get_running_loop().time() + 30
            while True:
                monkeypatch.setattr(LATELY, datetime.now(UTC) - await last_asked(tend, stopped))
                if (found := await look(tend, ring)) == [seen, seen]:
                    return
                assert asyncio.get_running_loop().time() < deadline, found
                await asyncio.sleep(0.1)

        await sees(("none asks for work: nothing is sent", "start `tend worker`, or see its log", NoWorker))
        first = await tend.start("1")
        said = "no build is current, and work is asked for by build 1 of tend only: nothing is sent"
        do = "`tend release current 1` with TEND_DEPLOYMENT_NAME=tend"
        await sees((said, do, NoCurrentBuild))
        with monkeypatch.context() as older:
            older.setattr("wire.deployments._due", lambda _: None)
            unknown, known = await look(tend, ring)  # a server that does not tell: then it takes the name
            assert unknown == AT_WORK
            assert (known[0], known[2]) == ("no build of tend is current: none gets work", NoCurrentBuild)
        await tend.make_current(first)
        await sees(AT_WORK)

        await first.stop()
        stopped.add("1")
        second = await tend.start("2")
        said = "build 1 of tend is current, and work is asked for by build 2 of tend only: nothing is sent"
        do = "`tend release current 2` with TEND_DEPLOYMENT_NAME=tend, or start workers of build 1"
        await sees((said, do, NotTheCurrentBuild))
        await tend.make_current(second)
        await sees(AT_WORK)

        await second.stop()
        stopped.add("2")
        await tend.start(None)
        said = "build 2 of tend is current, and work is asked for by workers without a version only: nothing is sent"
        do = "`tend release unversioned` with TEND_DEPLOYMENT_NAME=tend, or start workers of build 2"
        await sees((said, do, NotTheCurrentBuild))
        await tend.deployments.make_unversioned(QUEUES)
        await sees(AT_WORK)


@dataclass(frozen=True)
class Asked:
    """One that asked so many seconds before the test, not before the table was made."""

    build: str | None
    mode: Any = VERSIONED
    ago: int = 1

    def told(self) -> PollerInfo:
        found = PollerInfo(identity=f"7@{self.build}")
        found.last_access_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=self.ago))
        if self.build is not None:
            mode = {"worker_versioning_mode": self.mode}
            told = WorkerDeploymentOptions(deployment_name=NAME, build_id=self.build, **mode)
            found.deployment_options.CopyFrom(told)
        return found


def routing(current: str | None, ramping: str | None = None, share: float = 0) -> TaskQueueVersioningInfo:
    def version(build: str | None) -> WorkerDeploymentVersion | None:
        return WorkerDeploymentVersion(deployment_name=NAME, build_id=build) if build else None

    return TaskQueueVersioningInfo(
        current_deployment_version=version(current),
        current_version=f"{NAME}.{current}" if current else "__unversioned__",
        ramping_deployment_version=version(ramping),
        ramping_version_percentage=share,
    )


OLDER = TaskQueueVersioningInfo(current_version=f"{NAME}.1")


@pytest.mark.parametrize(
    ("pollers", "told", "raised"),
    [
        ([], routing("1"), NoWorker),
        ([Asked("1", ago=80)], routing("1"), NoWorker),
        ([Asked("1", ago=80), Asked("2")], routing("1"), NotTheCurrentBuild),
        ([Asked("1"), Asked("2")], routing("1"), None),
        ([Asked("1"), Asked("2")], routing(None), NoCurrentBuild),
        ([Asked("1"), Asked(None)], routing(None), None),
        ([Asked(None)], routing("1"), NotTheCurrentBuild),
        ([Asked("1", NOT)], routing(None), None),  # it names its build, and has no version all the same
        ([Asked("1", NOT)], routing("1"), NotTheCurrentBuild),
        ([Asked("2")], routing("1", "2", 10), None),
        ([Asked("2")], routing("1", "2", 0), NotTheCurrentBuild),
        ([Asked("1")], routing("1", "2", 100), NotTheCurrentBuild),
        ([Asked(None)], routing("1", None, 10), None),  # a share goes to workers without a version
        ([Asked("2")], OLDER, None),
        ([Asked("2")], None, None),
        ([], None, NoWorker),
    ],
)
async def test_who_gets_work_is_what_temporal_says(
    pollers: list[Asked], told: TaskQueueVersioningInfo | None, raised: type[NoneAtWork] | None
) -> None:
    async def describe_task_queue(*_: object, **__: object) -> DescribeTaskQueueResponse:
        return DescribeTaskQueueResponse(pollers=[p.told() for p in pollers], versioning_info=told)

    server: Any = SimpleNamespace(workflow_service=SimpleNamespace(describe_task_queue=describe_task_queue))
    asking = await asking_for(server, "default", names.LEADS_QUEUE, timedelta(seconds=1))
    if raised is None:
        asking.check()
        return
    with pytest.raises(NoneAtWork) as caught:
        asking.check()
    assert type(caught.value) is raised


def test_of_several_builds_a_person_chooses() -> None:
    asking = {Version(NAME, "2"), Version(NAME, "3"), None}
    assert advice(NoneAtWork("", asking, {Version(NAME, "1")})) == (
        "`tend release current BUILD` with TEND_DEPLOYMENT_NAME=tend, or start workers of build 1"
    )
