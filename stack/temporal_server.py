"""Temporal: the dev server as a supervised child on loopback, or a server elsewhere; and what Tend needs in either."""

import asyncio
import os
import sys
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from config.data_dir import DataDir
from config.settings import Settings
from stack.preflight import StartError
from stack.process import BEHIND, ChildSpec
from wire.connect import WrongSearchAttribute, connect, prepare_namespace, register_search_attributes
from wire.keyring import KeyRing
from workflows import names

RETENTION_DAYS = 90
_CONFIG = {
    # Short timers ring on time, 20 ms late instead of up to a second; and when several ring at once the later ones do
    # not wait for the server's next look (20 a second, if not raised): 30 ms instead of 250 with six leads.
    "history.timerProcessorMaxTimeShift": '"20ms"',
    "history.timerProcessorMaxPollRPS": "1000",
    "history.transferProcessorMaxPollRPS": "1000",
    # A queue is one queue: what is limited a second is so to the second, and what goes first goes first of all.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # What sleeps for weeks lies in the file, not in memory: 30 to 40 kB a lead, and 128,000 leads by default.
    "history.hostLevelCacheMaxSize": "20000",
    # A search attribute is usable at once after it was registered.
    "system.forceSearchAttributesCacheRefreshOnRead": "true",
}


class Temporal:
    """Talks to the Temporal at `address` for the supervisor. `settings.keys` must be set."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self.address = address
        self.namespace = settings.temporal_namespace
        self._client: Client | None = None

    async def client(self) -> Client:
        """Raises RuntimeError (nobody answers), ValueError (certificate)."""
        if self._client is None:
            s = self._settings
            assert s.keys is not None
            self._client = await connect(
                self.address,
                self.namespace,
                KeyRing.parse(s.keys.get_secret_value()),
                **s.temporal_access,
            )
        return self._client

    async def prepare(self, *, retention: bool) -> None:
        """Registers the search attributes and, if asked, the retention. Raises StartError."""
        try:
            client = await self.client()
            if retention:
                await prepare_namespace(client, self.namespace, RETENTION_DAYS)
            await register_search_attributes(client, self.namespace, names.ATTRIBUTE_TYPES)
        except WrongSearchAttribute as error:
            raise StartError(f"temporal: {error}") from None
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise StartError(f"temporal: namespace {self.namespace!r} cannot be prepared ({_short(error)})") from None

    async def check(self) -> None:
        """For a server elsewhere: that it answers and knows the namespace. Raises StartError."""
        advice = "correct TEND_TEMPORAL_ADDRESS, or unset it to use the embedded server"
        try:
            client = await asyncio.wait_for(self.client(), 10)
            await client.count_workflows(f"WorkflowType = '{names.WORKFLOW}'")
        except ValueError as error:
            raise StartError(f"temporal: {error}") from None
        except (RuntimeError, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else "nobody answers, or it is no Temporal"
            raise StartError(f"no Temporal at {self.address} ({why}): {advice}") from None
        except RPCError as error:
            raise StartError(
                f"Temporal at {self.address} refuses namespace {self.namespace!r} "
                f"({_short(error)}): make the namespace, or correct TEND_TEMPORAL_NAMESPACE and the credentials"
            ) from None

    async def polls(self, pid: int) -> bool:
        """Whether the process of that id asks for work on the queue of the leads: a worker that is ready."""
        try:
            client = await self.client()
            found = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self.namespace,
                    task_queue=TaskQueue(name=names.LEADS_QUEUE),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                )
            )
        except (RPCError, RuntimeError):
            return False
        return any(poller.identity.startswith(f"{pid}@") for poller in found.pollers)


def server_spec(directory: DataDir, temporal: Temporal, *, ui_port: int, codec: str) -> ChildSpec:
    """The dev server as a child. `codec` is the address its Web UI sends payloads to for opening."""
    host, _, port = temporal.address.rpartition(":")
    namespace = temporal.namespace
    program = Path(sys.executable).with_name("temporal")
    if not program.exists():  # as in the image
        raise StartError("no Temporal comes with this installation: set TEND_TEMPORAL_ADDRESS")
    # fmt: off
    argv = [
        str(program), "server", "start-dev",
        "--ip", host, "--port", port, "--ui-ip", host, "--ui-port", str(ui_port),
        "--db-filename", directory.temporal.name,  # in its working directory: a path would be read as a URI
        # half the server's work; after a power cut its last moments may be lost, and Postgres is the truth
        "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1",
        "--ui-codec-endpoint", codec, "--ui-disable-news-fetch", "--log-level", "error",
    ]
    # fmt: on
    if namespace != "default":
        argv += ["--namespace", namespace]
    for name, value in _CONFIG.items():
        argv += ["--dynamic-config-value", f"{name}={value}"]

    async def answers(_pid: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        try:
            await asyncio.wait_for(temporal.client(), 5)
        except (RuntimeError, TimeoutError):
            return False
        return True

    async def prepare() -> None:
        await temporal.prepare(retention=True)

    return ChildSpec(
        "temporal",
        tuple(argv),
        answers,
        env=_environment(),
        stage=1,
        prepare=prepare,
        grace=5.0,
        cwd=directory.path.absolute(),
        nice=BEHIND,
    )


def _environment() -> dict[str, str]:
    """Without TEMPORAL_* variables and a configuration file of the user's, which the command would obey."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "TEND_"))}
    return kept | {"TEMPORAL_CONFIG_FILE": os.devnull}


def _short(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:160]
