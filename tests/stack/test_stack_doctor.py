"""`tend doctor` on a real stack: all is well, then it is not, and what can be mended is."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from bench.load import temporal_of
from config.data_dir import DataDir
from config.settings import Settings
from demo.client import client
from demo.launch import Launched
from domain.sweep import Missed, Stuck, Swept, Tally
from stack.doctor import examine
from stack.doctor_report import show
from stack.stuck_leads import MEANS, NAMED, stuck
from stack.verdicts import Line, Verdict, ok, wrong
from tests.stack.conftest import ROOT
from tests.stack.test_stack_lost import BEGINS, take_in, tend, until, until_step
from workflows import names


@pytest_asyncio.fixture
async def launched(tmp_path: Path) -> AsyncIterator[Launched]:
    async with Launched(tmp_path / "data", "--port", "0") as found:
        yield found


async def look(launched: Launched, *words: str, code: int | None) -> dict[str, str]:
    """Verdicts by check."""
    told = await tend(launched, "doctor", *words, code=code)
    assert code is None or told["well"] == (code == 0)
    return {line["check"]: line["verdict"] for line in told["checks"]}


async def test_it_finds_what_is_wrong_mends_what_can_be_and_says_so(launched: Launched) -> None:
    endpoints = await launched.start("--clock", BEGINS, "--pace", "1")
    async with client(endpoints, launched.admin_key) as clinic:
        lead = await take_in(clinic, 0)
        await until_step(clinic, lead, "confirm")
        with psycopg.connect(endpoints["database_url"]) as conn:
            conn.execute("UPDATE leads SET recorded_at = now() - interval '1 hour'")  # no longer young

        async def swept() -> bool:
            async with clinic.http.stream("GET", "/metrics") as answer:
                return "tend_sweep_last_timestamp_seconds 1" in (await answer.aread()).decode()

        await until(swept, "the first sweep, which any API process shows")
        well = await look(launched, code=0)
        assert set(well.values()) == {"ok"}
        assert {"shared addresses", *(kind.value for kind in Missed)} <= set(well)

        temporal = await temporal_of(launched)
        await temporal.get_schedule_handle(names.SWEEP_SCHEDULE).delete()
        handle = temporal.get_workflow_handle(names.workflow_id(lead))
        await handle.terminate("a test")

        async def listed_as_ended() -> bool:
            with suppress(RPCError):  # the sweep may have been first
                await handle.terminate("a test")
            return (await look(launched, code=None))["workflow_ended"] == "wrong"

        await until(listed_as_ended, "it is found")

        async def mended() -> bool:
            """The sweep may have been first: then it is ended once more."""
            with suppress(RPCError):
                await handle.terminate("a test")
            return (await look(launched, "--repair", code=None))["workflow_ended"] == "repaired"

        await until(mended, "it is mended")

        async def runs() -> bool:
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

        await until(runs, "its workflow runs again")
    await launched.stop()
    assert "start `tend up`" in str(await tend(launched, "doctor", code=1))


def test_every_kind_says_what_it_means() -> None:
    assert set(MEANS) == set(Missed)


class Failing:
    """A sweep that finds leads that fail, in two pages."""

    async def sweep(self, after: str | None = None, *, repair: bool = True) -> Swept:
        since = datetime.now(UTC) - timedelta(hours=3)
        found = [Stuck(Missed.FAILING, f"lead-{n}", since, "NewerFact") for n in range(NAMED + 2)]
        found.append(Stuck(Missed.FAILING, "another", since, "heartbeat"))
        tally = Tally(Missed.FAILING, len(found), oldest=timedelta(hours=3))
        return Swept((tally,), after="a page" if after is None else None, failing=tuple(found))


@pytest.mark.parametrize("repair", [False, True])
async def test_leads_that_fail_are_named_by_failure_and_are_not_mended_by_a_wake(repair: bool) -> None:
    (line,) = [line async for line in stuck(Failing(), repair=repair) if line.check == "failing"]
    assert line.verdict is Verdict.WRONG
    assert line.found.startswith(f"{NAMED + 3}, the oldest 3 h old")
    assert "NewerFact (lead-0, " in line.found
    assert "and 2 more)" in line.found
    assert "heartbeat (another)" in line.found
    assert "waking does not help" in line.do


def test_its_signs_need_neither_colour_nor_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    show([ok("keys", "fine"), wrong("workers", "none", "start one")], plain=True)
    said = capsys.readouterr().out
    assert said.isascii()
    assert "ok" in said.splitlines()[1]
    assert "!!" in said.splitlines()[2]
    assert "1 of 2 need a look" in said
    show([Line("schedule", Verdict.REPAIRED, "made")], plain=True)
    assert "all is well" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "build", "verdict"),
    [("tend", None, Verdict.OK), ("tend", "0.2.0", Verdict.OK), (None, "0.2.0", Verdict.WRONG)],
)
async def test_who_asks_need_not_know_the_build_of_a_worker(
    directory: DataDir, name: str | None, build: str | None, verdict: Verdict
) -> None:
    settings = Settings(_env_file=None, data_dir=directory.path, deployment_name=name, build_id=build)
    lines = [line async for line in examine(settings, repair=False)]
    assert (lines[0].check, lines[0].verdict) == ("settings", verdict)
    assert ("TEND_DEPLOYMENT_NAME is not set" in lines[0].found) == (verdict is Verdict.WRONG)


def test_it_needs_no_stack_to_say_that_there_is_none(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "cli", "doctor", "--data-dir", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "start `tend up`" in " ".join(done.stdout.split())
