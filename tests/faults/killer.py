"""Strikes parts of a running stack: SIGKILL, or SIGSTOP and SIGCONT later; and workflows of leads, by terminating."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psutil
from temporalio.service import RPCError

from bench.load import temporal_of
from demo.launch import Launched
from tests.faults.plan import WORKFLOW, Blow
from tests.faults.record import Struck
from workflows.names import workflow_id

BACK_WITHIN = 25.0  # real seconds that a blow waits for a victim which is just being started again
BREATH = 3.0  # real seconds that whoever came back is left alone: a part that is never there shows nothing


class Killer:
    """`struck` hears of each blow as it has fallen; `leads` are those taken in so far. At the end call `thaw`."""

    def __init__(
        self, launched: Launched, struck: Callable[[Struck], None], leads: Callable[[], list[str]] = list
    ) -> None:
        self._launched = launched
        self._leads = leads
        self._struck = struck
        self._frozen: set[int] = set()
        self._since: dict[int, float] = {}
        self._killed: set[int] = set()  # `endpoints.json` names them until the next is ready

    async def strike(self, blow: Blow) -> None:
        if blow.victim == WORKFLOW:
            await self._terminate(blow)
            return
        deadline = asyncio.get_running_loop().time() + BACK_WITHIN
        while (pid := self._find(blow)) is None or not _send(pid, _FIRST[blow.how]):
            if asyncio.get_running_loop().time() > deadline:
                now = datetime.now(UTC)
                self._struck(Struck(blow.victim, blow.how, now, now, None))
                return
            await asyncio.sleep(0.05)
        at = datetime.now(UTC)
        if blow.how == "kill":
            self._killed.add(pid)
        else:
            self._frozen.add(pid)
            try:
                await asyncio.sleep(blow.lasts)
            finally:
                self._thaw(pid)
        self._struck(Struck(blow.victim, blow.how, at, datetime.now(UTC), pid))

    async def _terminate(self, blow: Blow) -> None:
        """As by a hand in Temporal's UI: the lead lives on, and nobody is at it."""
        leads, at = self._leads(), datetime.now(UTC)
        hit = False
        if leads:
            with contextlib.suppress(RPCError, RuntimeError, OSError):  # closed already, or Temporal is away
                temporal = await temporal_of(self._launched)
                lead = leads[int(blow.draw * len(leads))]
                await temporal.get_workflow_handle(workflow_id(lead)).terminate(rpc_timeout=timedelta(seconds=5))
                hit = True
        self._struck(Struck(blow.victim, blow.how, at, at, 0 if hit else None))

    def thaw(self) -> None:
        for pid in list(self._frozen):
            self._thaw(pid)

    def _thaw(self, pid: int) -> None:
        self._frozen.discard(pid)
        _send(pid, signal.SIGCONT)

    def _find(self, blow: Blow) -> int | None:
        """The process, if it runs. `backend` is one that serves a connection of the product."""
        try:
            pids = self._launched.endpoints["pids"]
            if blow.victim != "backend":
                pid = pids.get(blow.victim)
                return pid if pid not in self._killed and _runs(pid) and self._is_back(pid) else None
            children = psutil.Process(pids["postgres"]).children()
            serving = sorted(c.pid for c in children if c.pid not in self._killed and _serves(c))
        except (OSError, KeyError, ValueError, psutil.Error):
            return None
        return serving[int(blow.draw * len(serving))] if serving else None

    def _is_back(self, pid: int) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault(pid, now if self._killed else 0.0) >= BREATH


_FIRST = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


def _runs(pid: int | None) -> bool:
    with contextlib.suppress(psutil.Error):
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _serves(process: psutil.Process) -> bool:
    """The title of a backend is `postgres: USER DATABASE HOST(PORT) what it does`; of a helper just its task."""
    with contextlib.suppress(psutil.Error):
        return "(" in "".join(process.cmdline()[:1])
    return False


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
