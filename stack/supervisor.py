"""The children of one `tend up`: started stage by stage, kept running, stopped in reverse."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from config.data_dir import write_private
from stack.process import Child, ChildSpec

_LAST_MOMENTS = 0.7  # real seconds that every later stage keeps of the time to stop


class Supervisor:
    """Starts, watches and stops children. `changed` is called whenever a child has a new process id.

    `register` is the file in which the running processes are kept, for `end_leftovers`.
    """

    def __init__(
        self, logs: Path, register: Path, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._logs = logs
        self._register = register
        self._say = say
        self._changed = changed
        self._children: list[Child] = []

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each child that has answered, in order of start."""
        return {child.spec.name: child.pid for child in self._children if child.pid is not None}

    async def start(self, *specs: ChildSpec) -> None:
        """Starts these side by side and returns when all are ready. Raises StartError; then call `stop`."""
        fresh = [Child(spec, self._logs, self._say, self._enroll, self._changed) for spec in specs]
        self._children += fresh

        async def one(child: Child) -> None:
            took = await child.start()
            self._say(f"{child.spec.name} ready ({took:.1f} s)")

        tasks = [asyncio.create_task(one(child)) for child in fresh]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def stop(self, within: float = 14.0) -> bool:
        """Stops all, the last stage first, in `within` real seconds at most; what does not stop is killed.

        Whether every one ended in good order.
        """
        in_order = True
        deadline = time.monotonic() + within
        by_stage = sorted(self._children, key=lambda c: c.spec.stage, reverse=True)
        stages = [list(group) for _, group in itertools.groupby(by_stage, key=lambda c: c.spec.stage)]
        for i, stage in enumerate(stages):
            left = max(0.1, deadline - time.monotonic() - _LAST_MOMENTS * (len(stages) - i - 1))
            in_order &= all(await asyncio.gather(*(child.stop(min(child.spec.grace, left)) for child in stage)))
        self._children.clear()
        self._register.unlink(missing_ok=True)
        return in_order

    def _enroll(self) -> None:
        rows = []
        for child in self._children:
            if (pid := child.running_pid) is not None:
                with contextlib.suppress(psutil.Error):
                    rows.append({"name": child.spec.name, "pid": pid, "born": psutil.Process(pid).create_time()})
        write_private(self._register, json.dumps(rows))


def end_leftovers(register: Path, wait: float = 3.0) -> list[str]:
    """Ends what a killed supervisor left behind (where the kernel has not); the names of those it found.

    A process counts only if it has the same id and birth as it was registered with.
    """
    try:
        rows = json.loads(register.read_text())
    except (OSError, ValueError):
        return []
    found: dict[psutil.Process, str] = {}
    for row in rows if isinstance(rows, list) else ():
        with contextlib.suppress(psutil.Error, KeyError, TypeError, ValueError):  # or no list of ours
            process = psutil.Process(int(row["pid"]))
            if abs(process.create_time() - float(row["born"])) < 0.05:
                found[process] = str(row["name"])
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(list(found), timeout=wait)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=wait)
    register.unlink(missing_ok=True)
    return list(found.values())
