"""Faults, in short: the real stack, sixty leads, seven parts killed or frozen; and builds with one safety off."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import Verdict
from tests.faults.plan import Plan, Shape, make_plan
from tests.faults.record import Json
from tests.faults.run import Judged, run_round
from tests.faults.weather import EVERYTHING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole_stack"), pytest.mark.timeout(600)]

BROKEN = Path(__file__).parent / "broken"
ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("FAULTS_SEED", "20261"))
SHORT = Shape(leads=60, storm=16.0, blows=7)


def _tell(judged: Judged) -> str:
    """For who finds the test failed: the same seed gives the same blows."""
    verdict = judged.verdict
    return "\n".join(
        [
            f"FAULTS_SEED={judged.record.seed}: {verdict.leads} leads, {verdict.sent} touches",
            *(f"{s.at.time()} {s.how} {s.victim} until {s.until.time()} ({s.pid})" for s in judged.record.struck),
            *(f"{v.kind}: lead {v.lead_id}: {v.what}" for v in verdict.violations),
        ]
    )


@pytest.mark.parametrize(("seed", "faults"), [(SEED, {}), (SEED + 1, EVERYTHING)], ids=["carrier_well", "carrier_ill"])
async def test_nothing_is_sent_twice_lost_or_sent_after_a_stop(tmp_path: Path, seed: int, faults: Json) -> None:
    judged = await run_round(tmp_path / "data", seed, SHORT, faults=faults, say=print)
    verdict = judged.verdict
    print(f"carrier well: {verdict.off}, ill: {verdict.on}")
    assert not verdict.violations, _tell(judged)
    assert verdict.leads > SHORT.leads // 2, _tell(judged)
    assert verdict.sent > verdict.leads // 2, _tell(judged)
    assert any(s.pid is not None for s in judged.record.struck), _tell(judged)
    _nobody_is_named(tmp_path / "data" / "logs", make_plan(seed, SHORT))


def _nobody_is_named(logs: Path, plan: Plan) -> None:
    """Parts died, so their logs are full of failures; none of them tells whose, and none is a wall of text."""
    said = {path.name: path.read_text(errors="replace") for path in logs.glob("*.log")}
    assert {"api.log", "worker-1.log", "worker-2.log"} <= said.keys()
    for name, text in said.items():
        for life in plan.lives:
            assert life.email not in text, name
            assert life.phone not in text, name
        assert "Traceback" not in text or not name.startswith(("api", "worker")), name


def _without(safety: str) -> dict[str, str]:
    return {"FAULTS_WITHOUT": safety, "PYTHONPATH": f"{ROOT}{os.pathsep}{BROKEN}"}


def _twice(verdict: Verdict) -> bool:
    """Or about to be: the claim is taken for one that sent nothing, and what is at the carrier waits to be sent."""
    return verdict.duplicates > 0 or "denied" in verdict.counts


def _unknown(verdict: Verdict) -> bool:
    return "unknown" in verdict.counts


def _forgotten(verdict: Verdict) -> bool:
    return "forgotten" in verdict.counts


def _after(verdict: Verdict) -> bool:
    return verdict.after_stop > 0


@pytest.mark.parametrize(
    ("safety", "shape", "faults", "seen"),
    [
        (
            "ledger",
            # a worker dies while the carrier has requests in hand, and no callback tells of them
            Shape(leads=40, storm=20.0, blows=4, victims=(("worker", 1),), freezes=0.0, lives=((1, ()),)),
            {"latency_ms": 2500, "drop_callback_rate": 1},
            _twice,
        ),
        (
            "use",
            # a worker dies between a claim and its request, in which no carrier has any part
            Shape(leads=10, storm=8.0, blows=0, lives=((1, ()),)),
            {},
            _unknown,
        ),
        (
            "gate",
            # a message is accepted, and a moment later the stop
            Shape(
                leads=20,
                storm=10.0,
                blows=2,
                victims=(("temporal", 1),),
                freezes=0.0,
                lives=((1, ("message", "opt_out")),),
            ),
            {},
            _after,
        ),
        (
            "sweep",
            # workflows are terminated, and no signal brings them back
            Shape(leads=20, storm=16.0, blows=8, afterwards=120, victims=(("workflow", 1),), lives=((1, ()),)),
            {},
            _forgotten,
        ),
    ],
    ids=["ledger", "use", "gate", "sweep"],
)
async def test_a_build_with_a_safety_off_is_found_out(
    tmp_path: Path, safety: str, shape: Shape, faults: Json, seen: Callable[[Verdict], bool]
) -> None:
    where, env = tmp_path / "data", _without(safety)
    # what such a build does wrong it does soon, and what it has forgotten would be waited for in vain
    waits = {"rests_within": 20.0, "told_within": 40.0}
    judged = await run_round(where, SEED, shape, faults=faults, env=env, say=print, **waits)
    assert seen(judged.verdict), _tell(judged)
