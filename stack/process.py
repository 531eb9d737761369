"""One supervised child process: start it, know when it is ready, start it again when it ends, stop it."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stack.preflight import StartError

LOG_LIMIT = 10_000_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0
_STEADY = 10.0
BEHIND = 5  # `nice` of what works behind the answers to people: a third of their share of the processors (sched(7))
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child is. `ready` gets its process id; `before` runs before each start, `prepare` once it answers.

    `grace` and `ready_within` are real seconds. `user` is (uid, gid) to run as. Children of one `stage` stop together,
    the highest stage first. `nice`, as the kernel counts it: how far it steps back where the processors are all taken.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[int], Awaitable[bool]]
    env: Mapping[str, str] | None = field(default=None, repr=False)
    stage: int = 0
    before: Callable[[], Awaitable[None]] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    grace: float = 5.0
    ready_within: float = 60.0
    user: tuple[int, int] | None = None
    cwd: Path | None = None
    nice: int = 0


def _with_parent(death: signal.Signals, nice: int) -> Callable[[], None]:
    """Run in the child before exec: on Linux the kernel ends it when the supervisor dies, however that happens."""
    parent = os.getpid()

    def arm() -> None:
        os.nice(nice)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
            if os.getppid() != parent:  # it died in between
                os._exit(1)

    return arm


async def _step_back(pid: int, nice: int) -> None:
    """Where the kernel shares processors out among sessions, of which each child has its own, `nice` is the session's.

    It lets an ordinary user say so ten times a second, and may not know it at all: then the child goes on as it is.
    """
    for _ in range(3):
        if _session_told(pid, nice):
            return
        await asyncio.sleep(0.15)


def _session_told(pid: int, nice: int) -> bool:
    """False: it wants to be asked later."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    except BlockingIOError:
        return False
    except OSError:  # a kernel without them
        return True
    return True


def stop_signals() -> tuple[signal.Signals, ...]:
    """A hangup stops too, unless who started us wants it ignored (nohup)."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if ignored else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def how_it_ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class Child:
    """One child. `started` is called with name and process id each time it is ready, `spawned` each time it is made."""

    def __init__(
        self,
        spec: ChildSpec,
        logs: Path,
        say: Callable[[str], None],
        spawned: Callable[[], None] = lambda: None,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self.pid: int | None = None
        self._log = logs / f"{spec.name}.log"
        self._say = say
        self._spawned = spawned
        self._started = started
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> float:
        """Starts it and waits until it is ready; the real seconds that took. Raises StartError."""
        began = time.monotonic()
        try:
            await self._start_once()
        except StartError:
            raise
        except OSError as error:
            raise StartError(f"{self.spec.name} cannot be started: {error}") from None
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.spec.name}")
        return time.monotonic() - began

    async def _start_once(self) -> None:
        spec = self.spec
        if spec.before is not None:
            await spec.before()
        user, group = spec.user or (None, None)
        with self._open_log() as log:
            process = self._process = await asyncio.create_subprocess_exec(
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if spec.env is None else dict(spec.env),
                cwd=spec.cwd,
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor alone
                preexec_fn=_with_parent(spec.death_signal, spec.nice),
                user=user,
                group=group,
                umask=0o077,  # what it writes is for its own user
                extra_groups=None if spec.user is None else [],
            )
        self._spawned()
        await self._until_ready(process)
        if spec.nice:  # not before: meanwhile nobody does its work
            await _step_back(process.pid, spec.nice)
        if spec.prepare is not None:
            await spec.prepare()
        self.pid = process.pid
        self._started()

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline, pause = time.monotonic() + self.spec.ready_within, 0.03
        while not await self.spec.ready(process.pid):
            if process.returncode is not None:
                raise StartError(
                    f"{self.spec.name} ended while starting ({how_it_ended(process.returncode)}): {self._last_words()}"
                )
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.spec.name} did not answer within {self.spec.ready_within:.0f} s: look into {self._log}"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 0.25)
        if process.returncode is not None:  # somebody else answered in its place
            raise StartError(f"{self.spec.name} ended while starting: look into {self._log}")

    async def _watch(self) -> None:
        """Starts it again whenever it ends, until it is stopped."""
        pause = _FIRST_PAUSE
        while True:
            assert self._process is not None
            since = time.monotonic()
            code = await self._process.wait()
            if self._stopping:
                return
            if time.monotonic() - since > _STEADY:
                pause = _FIRST_PAUSE
            self._say(f"{self.spec.name} ended ({how_it_ended(code)}); starting it again")
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                began = time.monotonic()
                try:
                    await self._start_once()
                except Exception as error:
                    reason = str(error) if isinstance(error, StartError) else type(error).__name__
                    self._say(f"{self.spec.name} is not back yet: {reason}")
                    await self._end(0.0)
                else:
                    self._say(f"{self.spec.name} is back ({time.monotonic() - began:.1f} s)")
                    break

    async def stop(self, within: float) -> bool:
        """Asks it to stop, and kills it after `within` real seconds. Never raises for a child that is gone.

        Whether it ended in good order.
        """
        self._stopping = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        in_order = await self._end(within)
        self.pid = None
        return in_order

    async def _end(self, within: float) -> bool:
        process = self._process
        if process is None or process.returncode is not None:
            return process is None or process.returncode == 0
        if within > 0:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), within)
                return True
            self._say(f"{self.spec.name} did not stop in time and was killed")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return False

    @property
    def running_pid(self) -> int | None:
        """The process id, ready or not; None if it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def _open_log(self) -> BinaryIO:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.1"))
        return os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _last_words(self) -> str:
        """The last line it wrote, cut short, and where the rest is."""
        try:
            lines = [line.strip() for line in self._log.read_text(errors="replace")[-4000:].splitlines()]
        except OSError:
            lines = []
        said = [line for line in lines if line]
        return f"{said[-1][:200]} (more in {self._log})" if said else f"it said nothing in {self._log}"
