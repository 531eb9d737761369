"""Children are started in order, brought back when they end, and stopped so that nothing is left."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.data_dir import DataDir
from stack.preflight import StartError
from stack.process import BEHIND, ChildSpec
from stack.supervisor import end_leftovers
from tests.stack.conftest import ROOT, Stage, Until, gone, launch, script, web_server

_STUBBORN = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({ready!r}).touch()
time.sleep(600)
"""
_POLITE = """
import pathlib, signal, sys, threading
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
pathlib.Path({ready!r}).touch()
over.wait()
with open({told!r}, "a") as file: file.write({name!r} + "\\n")
"""


async def test_children_of_one_start_are_ready_when_it_returns(stage: Stage) -> None:
    await stage.supervisor.start(web_server("one"), web_server("two"))
    assert set(stage.supervisor.pids) == {"one", "two"}
    assert sorted(line.split(" ready ")[0] for line in stage.said) == ["one", "two"]


async def test_a_killed_child_is_back_and_said_so(stage: Stage, until: Until) -> None:
    await stage.supervisor.start(web_server("worker-1"))
    first, changes = stage.supervisor.pids["worker-1"], stage.changes
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.supervisor.pids["worker-1"] != first, "a new process")
    assert stage.changes > changes
    assert "worker-1 ended (signal 9); starting it again" in stage.said
    assert psutil.Process(stage.supervisor.pids["worker-1"]).is_running()


async def test_a_child_that_steps_back_does_so_with_its_whole_session_at_every_start(
    stage: Stage, until: Until
) -> None:
    await stage.supervisor.start(replace(web_server("worker-1"), nice=BEHIND), web_server("api"))
    first = stage.supervisor.pids["worker-1"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.supervisor.pids["worker-1"] != first, "a new process")
    assert _nice(stage.supervisor.pids["worker-1"]) == {BEHIND}
    assert _nice(stage.supervisor.pids["api"]) == {0}


def _nice(pid: int) -> set[int]:
    """Of the process beside ours, and of its session where the kernel shares processors out among sessions."""
    session = Path(f"/proc/{pid}/autogroup")
    told = {int(session.read_text().split()[-1])} if session.exists() else set()
    return {os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)} | told


async def test_what_a_child_needs_is_prepared_at_every_start(stage: Stage, until: Until) -> None:
    prepared = []

    async def prepare() -> None:
        prepared.append(1)

    await stage.supervisor.start(web_server("server", prepare=prepare))
    os.kill(stage.supervisor.pids["server"], signal.SIGKILL)
    await until(lambda: len(prepared) == 2, "prepared again")


async def test_a_child_that_ends_while_starting_is_one_clear_line(stage: Stage, directory: DataDir) -> None:
    async def never(_pid: int) -> bool:
        return False

    code = "print('the reason'); raise SystemExit(3)"
    with pytest.raises(StartError) as caught:
        await stage.supervisor.start(ChildSpec("api", (sys.executable, "-c", code), never))
    assert str(caught.value).startswith("api ended while starting (exit code 3): the reason")
    assert "\n" not in str(caught.value)


async def test_a_program_that_is_missing_is_one_clear_line(stage: Stage) -> None:
    async def never(_pid: int) -> bool:
        return False

    with pytest.raises(StartError, match="postgres cannot be started"):
        await stage.supervisor.start(ChildSpec("postgres", ("/no/such/program",), never))


async def test_later_stages_stop_first(stage: Stage, tmp_path: Path) -> None:
    told = tmp_path / "told"
    for number, name in enumerate(("postgres", "api", "worker-1")):
        ready = tmp_path / name
        code = _POLITE.format(ready=str(ready), told=str(told), name=name)
        await stage.supervisor.start(script(name, code, ready, stage=number))
    pids = list(stage.supervisor.pids.values())
    assert await stage.supervisor.stop(14.0)
    assert told.read_text().split() == ["worker-1", "api", "postgres"]
    assert all(map(gone, pids))


async def test_a_child_that_ignores_the_request_is_killed(stage: Stage, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    await stage.supervisor.start(script("stubborn", _STUBBORN.format(ready=str(ready)), ready, grace=0.3))
    pid = stage.supervisor.pids["stubborn"]
    assert not await stage.supervisor.stop(14.0), "not in good order"
    assert gone(pid)
    assert "stubborn did not stop in time and was killed" in stage.said


_SUPERVISOR = """
import asyncio, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.stack.conftest import web_server
from config.data_dir import DataDir
from stack.supervisor import Supervisor

async def main():
    directory = DataDir(Path({data!r}))
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    supervisor = Supervisor(directory.logs, directory.children, print)
    await supervisor.start(web_server("one"), web_server("two"))
    print("pids", *supervisor.pids.values(), flush=True)
    await over.wait()
    await supervisor.stop()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_nothing_is_left_when_the_supervisor_ends(number: int, directory: DataDir, until: Until) -> None:
    code = _SUPERVISOR.format(root=str(ROOT), data=str(directory.path))
    process = launch(code)
    try:
        assert process.stdout is not None
        pids: list[int] = []
        for line in process.stdout:
            if line.startswith("pids "):
                pids = [int(word) for word in line.split()[1:]]
                break
        assert len(pids) == 2
        process.send_signal(number)
        await until(lambda: process.poll() is not None, "the supervisor ends")
        await until(lambda: all(map(gone, pids)), "its children end")
    finally:
        process.kill()
        process.wait()


async def test_leftovers_are_ended_and_strangers_are_not(directory: DataDir) -> None:
    left = launch("import time; time.sleep(600)")
    stranger = launch("import time; time.sleep(600)")
    try:
        rows = [
            {"name": "api", "pid": left.pid, "born": psutil.Process(left.pid).create_time()},
            {"name": "postgres", "pid": stranger.pid, "born": psutil.Process(stranger.pid).create_time() - 60},
        ]
        directory.children.write_text(json.dumps(rows))
        assert end_leftovers(directory.children) == ["api"]
        assert gone(left.pid)
        assert stranger.poll() is None
        assert end_leftovers(directory.children) == []
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()
