"""Versions of workers in Temporal: which there are, which one the leads move to, and whether its workers are there."""

import asyncio
from collections.abc import Collection
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
    DescribeTaskQueueResponse,
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
_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


class NotReady(TendError):
    """A build cannot be made the current one yet: no worker of it has polled every queue."""


class NotTold(TendError):
    """Another build is current, and some queues may still give their tasks to the one before."""


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


async def describe_queue(
    client: Client, queue: str, kind: TaskQueueType.ValueType, timeout: timedelta, namespace: str | None = None
) -> DescribeTaskQueueResponse:
    """Raises RPCError."""
    request = DescribeTaskQueueRequest(
        namespace=namespace or client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    return await client.workflow_service.describe_task_queue(request, timeout=timeout)


async def asking_for(client: Client, namespace: str, queue: str, timeout: timedelta) -> Asking:
    """Who asks for the workflows' work of a queue, and who gets it. Raises RPCError.

    Goes for workflows that move to the current build at their next task: a build before it gets nothing any more.
    """
    found = await describe_queue(client, queue, _KINDS[0], timeout, namespace)
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

        Waits for workers that have just been started. Raises NotReady if they do not poll all `queues`, and NotTold.
        """
        async for attempt in self._patiently(NotReady):
            with attempt:
                await self._check(build_id, queues)
        await self._choose(build_id, queues)

    async def make_unversioned(self, queues: Collection[str]) -> None:
        """Leads move to workers without a version at their next task; harmless where there is no deployment.

        Raises NotTold.
        """
        if await self._describe() is not None:
            await self._choose("", queues)

    async def untold(self, queues: Collection[str]) -> list[str]:
        """The queues that do not yet know which build is current, or that none is."""
        found = await self._describe()
        if found is None or found.routing_config_update_state != _IN_PROGRESS:
            return []
        # The server may never find the time to say that it has told them all: then each is asked.
        current = found.routing_config.current_deployment_version.build_id
        due = Version(self.name, current) if current else None
        everywhere = {(queue, kind) for queue in queues for kind in _KINDS}
        asked = sorted(everywhere & await self._polled(current) if current else everywhere)
        told = await asyncio.gather(*(describe_queue(self.client, queue, kind, RPC_TIMEOUT) for queue, kind in asked))
        known = zip(asked, told, strict=True)
        return sorted({queue for (queue, _), one in known if _due(one.versioning_info) not in (None, frozenset({due}))})

    async def _choose(self, build_id: str, queues: Collection[str]) -> None:
        """A server with much to do may give it up, or do it and not say so."""
        asked = False
        try:
            async for attempt in self._patiently(NotReady, RPCError):
                with attempt:
                    if await self._current() != build_id:
                        asked = True
                        await self._set(build_id)
        except RPCError as error:
            if not asked:
                raise
            raise NotTold(
                f"Temporal does not say whether it was done ({error.status.name}): run it again, and stop no worker, "
                "of the build before or of this one, until it answers"
            ) from None
        try:
            async for attempt in self._patiently(NotTold, RPCError):
                with attempt:
                    if untold := await self.untold(queues):
                        raise NotTold(
                            f"it is done, but Temporal has not told every queue yet ({', '.join(untold)}): "
                            "look again with `tend release show`"
                        )
        except RPCError as error:
            raise NotTold(
                f"it is done, but Temporal does not say whether every queue knows it ({error.status.name}): stop no "
                "worker of the build before until `tend release show` answers"
            ) from None

    async def _current(self) -> str | None:
        found = await self._describe()
        return found.routing_config.current_deployment_version.build_id if found is not None else None

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
        polled = {queue for queue, _ in await self._polled(build_id)}
        if not polled:
            raise NotReady(f"no worker of build {build_id} has polled: start one with TEND_BUILD_ID={build_id}")
        if missing := set(queues) - polled:
            raise NotReady(f"no worker of build {build_id} polls {', '.join(sorted(missing))}")

    async def _polled(self, build_id: str) -> set[tuple[str, TaskQueueType.ValueType]]:
        """The queues, and kinds of their tasks, that workers of the build have asked for."""
        request = DescribeWorkerDeploymentVersionRequest(namespace=self.client.namespace)
        request.deployment_version.deployment_name, request.deployment_version.build_id = self.name, build_id
        try:
            answer = await self.client.workflow_service.describe_worker_deployment_version(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return set()
            raise
        return {(queue.name, queue.type) for queue in answer.worker_deployment_version_info.task_queue_infos}

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

    def _patiently(self, *errors: type[Exception]) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(errors),
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
