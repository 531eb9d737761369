"""What the measured processes use: processor time and memory of each with all it has started."""

from collections.abc import Mapping
from contextlib import suppress

import psutil


def cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds by name, since each process began: its own, its living children's and those already ended."""
    return {name: sum(_seconds(process) for process in _tree(pid)) for name, pid in pids.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor seconds by name between two looks."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def memory(pids: Mapping[str, int]) -> dict[str, float]:
    """Mebibytes resident by name. Pages that Postgres's processes share count once (the proportional share)."""
    return {name: sum(_share(process) for process in _tree(pid)) / 2**20 for name, pid in pids.items()}


def supervisor(child: int) -> float:
    """Processor seconds of the parent of that process alone."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(child).parent()
        if parent is not None:
            return float(sum(parent.cpu_times()[:2]))
    return 0.0


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _share(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):  # not a Linux, or somebody else's process
            return int(process.memory_info().rss)
    return 0
