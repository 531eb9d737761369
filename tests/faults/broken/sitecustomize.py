"""A build with one safety off: Python loads this at its start where PYTHONPATH leads here, as a test has its stack do.

`FAULTS_WITHOUT` names what is off. Nothing of it is in the product: a loaded module is changed right after its loading.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any


def _without_ledger(module: Any) -> None:
    """A claim that an earlier try left behind is taken for one of our own: its message is sent again."""
    ledger, held = module.TouchLedger, module.TouchLedger._held

    async def taken_anew(self: Any, unit: Any, ref: Any) -> Any:
        claim = await held(self, unit, ref)
        return replace(claim, search=None, deadline=datetime.now(UTC) + module.CLAIM_LIVES)

    async def begin(self: Any, ref: Any, claim: Any, now: Any) -> None:
        """Whoever thinks that it has the claim may write."""

    ledger._held, ledger.begin = taken_anew, begin


def _without_use(module: Any) -> None:
    """A claim does not say whether it was used, so that who finds one left behind must look for it.

    One worker dies between its claim and the request, which no killer from outside meets for certain.
    """
    begin = module.begin
    once = Path(sys.argv[sys.argv.index("--data-dir") + 1]) / "died-between"

    async def nobody_knows(conn: Any, ref: Any) -> None:
        """Whether it was used."""

    async def dies_once(*given: Any) -> None:
        with suppress(FileExistsError):
            once.touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        await begin(*given)

    module.unused, module.begin = nobody_knows, dies_once


def _without_gate(module: Any) -> None:
    """The gate does not look at stops."""
    check = module.check

    def lets_pass(state: Any, sequence: Any, touch: Any, now: Any, closed: Any, *more: Any) -> Any:
        return check(
            replace(state, closed=frozenset(), opted_out=frozenset()), sequence, touch, now, frozenset(), *more
        )

    module.check = lets_pass


def _without_sweep(module: Any) -> None:
    """It runs, and finds nobody."""

    async def nobody(self: Any, after: str | None = None, *, repair: bool = True) -> Any:
        return module.Swept((), None)

    module.Sweep.sweep = nobody


# What can be off: the module that it is in, and how it is switched off there.
_OFF = {
    "ledger": ("store.touch_ledger", _without_ledger),
    "use": ("store.open_claims", _without_use),
    "gate": ("domain.gate", _without_gate),
    "sweep": ("relay.sweep", _without_sweep),
}


class _Switch(importlib.abc.MetaPathFinder):
    """Finds the one module as everybody does, and changes it once it is loaded."""

    def __init__(self, name: str, change: Any) -> None:
        self._name, self._change = name, change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.loader is not None
        load, change = spec.loader.exec_module, self._change

        def load_and_change(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


if without := os.environ.get("FAULTS_WITHOUT"):
    sys.meta_path.insert(0, _Switch(*_OFF[without]))
