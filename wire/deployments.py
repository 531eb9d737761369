"""Versions of workers in Temporal: which there are, which one the leads move to, and whether its workers are there."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import (
    RoutingConfigUpdateState,
    TaskQueueType,
    WorkerDeploymentVersionStatus,
    WorkerVersioningMode,
)
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue, TaskQueueVersioningInfo
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentVersionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from domain.errors import TendError

RPC_TIMEOUT = timedelta(seconds=10)  # real
PATIENCE = timedelta(seconds=30)  # real: for workers that have just been started, and for the server to tell all queues
POLLED_WITHIN = timedelta(seconds=75)  # real: a worker's request for work is renewed every minute
_WHO = "tend release"


class NotReady(TendError):
    """A build cannot be made the current one yet: no worker of it has polled every queue."""


class Version(NamedTuple):
    """One build of a deployment; in its place None stands for workers without a version."""

    deployment: str
    build_id: str


class NoneAtWork(TendError):
    """No worker that gets the queue's work asks for it. `asking` are the versions that do, `due` those that get it."""

    def __init__(self, said: str, asking: Collection[Version | None] = (), due: Collection[Version | None] = ()):
        super().__init__(said)
        self.asking, self.due = asking, due


class NoWorker(NoneAtWork):
    """Nobody asks."""


class NoCurrentBuild(NoneAtWork):
    """Only builds ask, and none is current."""


class NotTheCurrentBuild(NoneAtWork):
    """Others ask, and not the build that is current."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who has asked for a queue's work lately, and who gets it: None where the server does not tell versions."""

    by: frozenset[tuple[str, Version | None]]  # a worker's identity, and its version
    due: frozenset[Version | None] | None

    @property
    def workers(self) -> int:
        return len({identity for identity, _ in self.by})

    def check(self) -> None:
        """Raises NoneAtWork, by the kind that it is."""
        if not self.by:
            raise NoWorker("none asks for work")
        versions = {version for _, version in self.by}
        if self.due is None or versions & self.due:
            return
        asking = _words(versions, none="workers without a version")
        said = f"{_words(self.due, none='no build')} is current, and work is asked for by {asking} only"
        raise (NoCurrentBuild if None in self.due else NotTheCurrentBuild)(said, versions, self.due)


async def asking_for(client: Client, namespace: str, queue: str, timeout: timedelta) -> Asking:
    """Who asks for the workflows' work of a queue, and who gets it. Raises RPCError.

    Goes for workflows that move to the current build at their next task: a build before it gets nothing any more.
    """
    request = DescribeTaskQueueRequest(
        namespace=namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=timeout)
    now = datetime.now(UTC)
    lately = [p for p in found.pollers if now - p.last_access_time.ToDatetime(UTC) < POLLED_WITHIN]
    due = _due(found.versioning_info) if found.HasField("versioning_info") else None
    return Asking(frozenset((p.identity, _version(p)) for p in lately), due)


@dataclass(frozen=True, slots=True)
class Build:
    """One version of the workers. `status` is Temporal's word: inactive, current, ramping, draining, drained."""

    build_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployment `name` of a namespace. Every method may raise RPCError."""

    client: Client
    name: str
    patience: timedelta = PATIENCE

    async def builds(self) -> list[Build]:
        """Newest first; none where no versioned worker has ever polled."""
        found = await self._describe()
        if found is None:
            return []
        newest = sorted(found.version_summaries, key=lambda v: v.create_time.ToNanoseconds(), reverse=True)
        return [Build(v.deployment_version.build_id, _word(v.status)) for v in newest]

    async def is_current(self, build_id: str) -> bool:
        """Whether the leads move to this build: no other gets work."""
        return Build(build_id, "current") in await self.builds()

    async def make_current(self, build_id: str, queues: Collection[str]) -> None:
        """Leads move to this build at their next task; answers when every queue knows it.

        Waits for workers that have just been started. Raises NotReady if they do not poll all `queues`.
        """
        async for attempt in self._patiently(NotReady):
            with attempt:
                await self._check(build_id, queues)
                await self._set(build_id)
        await self._settled(lambda found: found.routing_config.current_deployment_version.build_id == build_id)

    async def make_unversioned(self) -> None:
        """Leads move to workers without a version at their next task; harmless where there is no deployment."""
        if await self._describe() is None:
            return
        await self._set("")
        await self._settled(lambda found: not found.routing_config.current_deployment_version.build_id)

    async def _describe(self) -> WorkerDeploymentInfo | None:
        request = DescribeWorkerDeploymentRequest(namespace=self.client.namespace, deployment_name=self.name)
        try:
            answer = await self.client.workflow_service.describe_worker_deployment(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return answer.worker_deployment_info

    async def _check(self, build_id: str, queues: Collection[str]) -> None:
        """A queue that the build does not poll would keep its tasks for ever."""
        request = DescribeWorkerDeploymentVersionRequest(namespace=self.client.namespace)
        request.deployment_version.deployment_name, request.deployment_version.build_id = self.name, build_id
        try:
            answer = await self.client.workflow_service.describe_worker_deployment_version(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise NotReady(
                f"no worker of build {build_id} has polled: start one with TEND_BUILD_ID={build_id}"
            ) from None
        polled = {queue.name for queue in answer.worker_deployment_version_info.task_queue_infos}
        if missing := set(queues) - polled:
            raise NotReady(f"no worker of build {build_id} polls {', '.join(sorted(missing))}")

    async def _set(self, build_id: str) -> None:
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self.client.namespace, deployment_name=self.name, build_id=build_id, identity=_WHO
        )
        try:
            await self.client.workflow_service.set_worker_deployment_current_version(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.FAILED_PRECONDITION:  # the server's own look at who polls
                raise NotReady(f"build {build_id} cannot be the current one: its workers do not poll") from None
            raise

    async def _settled(self, holds: Callable[[WorkerDeploymentInfo], bool]) -> None:
        """Until all queues route by it: for a moment some still hand tasks to the build before."""
        async for attempt in self._patiently(TimeoutError):
            with attempt:
                found = await self._describe()
                told = found is not None and found.routing_config_update_state != _IN_PROGRESS
                if found is None or not told or not holds(found):
                    raise TimeoutError("Temporal has not told every queue yet: look again with `tend release show`")

    def _patiently(self, error: type[Exception]) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(error),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(self.patience),
            reraise=True,
        )


_UNVERSIONED, _ALL = "__unversioned__", 100
_IN_PROGRESS = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS


def _version(poller: PollerInfo) -> Version | None:
    """A worker may name its build and have no version all the same."""
    told = poller.deployment_options
    if told.worker_versioning_mode != WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED:
        return None
    return Version(told.deployment_name, told.build_id)


def _due(told: TaskQueueVersioningInfo) -> frozenset[Version | None] | None:
    """The current version, and the one that gets a share beside it, up to all."""
    if told.current_version not in {"", _UNVERSIONED} and not told.HasField("current_deployment_version"):
        return None  # an older server, which has one word for both names
    share = told.ramping_version_percentage
    current, ramping = told.current_deployment_version, told.ramping_deployment_version
    due = [current] * (share < _ALL) + [ramping] * (share > 0)
    return frozenset(Version(v.deployment_name, v.build_id) if v.build_id else None for v in due)


def _words(versions: Collection[Version | None], none: str) -> str:
    return ", ".join(sorted(none if v is None else f"build {v.build_id} of {v.deployment}" for v in versions))


def _word(status: int) -> str:
    name = WorkerDeploymentVersionStatus.Name(WorkerDeploymentVersionStatus.ValueType(status))
    return name.removeprefix("WORKER_DEPLOYMENT_VERSION_STATUS_").lower()
