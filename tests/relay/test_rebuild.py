"""`tend rebuild` while Temporal is away: it says so, goes on, ends in the end, can be stopped, and loses nothing."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import update
from temporalio.testing import WorkflowEnvironment

from config.settings import Settings
from domain.priority import Priority
from relay.lead_workflows import LeadWorkflows, Looked, Seen
from relay.rebuild import Progress, Rebuild, TemporalAway
from relay.temporal_delivery import TemporalDelivery
from stack.database import Tools
from stack.preflight import StartError
from stack.rebuild import Options, rebuild
from store import home, outbox
from store.restored import Compared, Comparison
from store.tables import sources
from tests.api.office import ring_text
from tests.relay.conftest import LONGEST, Clinic
from tests.store.a_copy import at_home
from wire.connect import connect, register_search_attributes
from wire.keyring import KeyRing
from workflows import names

ROOT = Path(__file__).resolve().parents[2]
QUICK = 0.5  # real seconds


@dataclass
class Frozen:
    """A dev server of its own, which can be stopped in the midst."""

    clinic: Clinic
    address: str
    process: psutil.Process

    def rebuild(self, most_away: float = LONGEST) -> Rebuild:
        return Rebuild(self.clinic.store.engine, self.clinic.sweep(), quiet=QUICK, most_away=most_away)


@pytest_asyncio.fixture
async def frozen(clinic: Clinic, keyring: KeyRing) -> AsyncIterator[Frozen]:
    before = set(psutil.Process().children())
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")), dev_server_log_level="error"
    )
    async with server:
        address = server.client.service_client.config.target_host
        client = await connect(address, "default", keyring)
        await register_search_attributes(client, "default", names.ATTRIBUTE_TYPES)
        (process,) = (child for child in set(psutil.Process().children()) - before if "temporal" in child.name())
        try:
            yield Frozen(replace(clinic, temporal=client), address, process)
        finally:
            process.resume()


class Told(list[Progress]):
    """What the rebuild has told so far."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def append(self, progress: Progress) -> None:
        super().append(progress)
        self._news.set()

    async def until_away(self) -> None:
        async with asyncio.timeout(LONGEST):
            while not (self and self[-1].away):
                self._news.clear()
                await self._news.wait()


@pytest.mark.parametrize("everyone", [False, True])
async def test_it_says_that_temporal_is_away_and_goes_on_when_it_is_back(frozen: Frozen, everyone: bool) -> None:
    clinic, told = frozen.clinic, Told()
    leads = [await clinic.take_in_unheard() for _ in range(3)]
    frozen.process.suspend()
    work = frozen.rebuild()
    doing = asyncio.create_task(work.all(told.append) if everyone else work.missing(1000, told.append))
    await told.until_away()
    assert not doing.done()
    frozen.process.resume()
    async with asyncio.timeout(LONGEST):
        assert await doing == told[-1] == Progress(3, 3, 3)
    assert [await clinic.has_workflow(lead) for lead in leads] == [True] * 3
    assert await clinic.entries() == 0


async def test_who_is_looked_at_again_before_temporal_has_heard_counts_once(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, told = frozen.clinic, Told()
    leads = [await clinic.take_in_unheard() for _ in range(3)]

    async def not_yet(_: LeadWorkflows, lead_ids: Sequence[str]) -> list[Seen]:
        return [Seen(Looked.NONE) for _ in lead_ids]

    async def behind(*_: object) -> set[str]:
        return set()

    monkeypatch.setattr(LeadWorkflows, "look", not_yet)
    monkeypatch.setattr(LeadWorkflows, "running", behind)
    async with asyncio.timeout(LONGEST):
        assert await frozen.rebuild().missing(1000, told.append) == Progress(3, 3, 3)
    assert [await clinic.has_workflow(lead) for lead in leads] == [True] * 3


@pytest.mark.parametrize("everyone", [False, True])
async def test_it_ends_where_temporal_stays_away_and_the_next_goes_on(frozen: Frozen, everyone: bool) -> None:
    clinic, told = frozen.clinic, Told()
    leads = [await clinic.take_in_unheard() for _ in range(3)]
    frozen.process.suspend()
    work = frozen.rebuild(most_away=1.0)
    async with asyncio.timeout(LONGEST):
        with pytest.raises(TemporalAway):
            await (work.all(told.append) if everyone else work.missing(1000, told.append))
    assert await clinic.entries() == (3 if everyone else 0)
    frozen.process.resume()
    async with asyncio.timeout(LONGEST):
        await frozen.rebuild().missing(1000, told.append)
    assert [await clinic.has_workflow(lead) for lead in leads] == [True] * 3
    assert await clinic.entries() == 0


async def test_the_command_ends_with_one_line_where_temporal_stays_away(
    frozen: Frozen, database_url: str, keyring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await frozen.clinic.take_in_unheard()
    async with frozen.clinic.store.engine.begin() as conn:
        await at_home(conn)

    def then_it_is_away(found: Tools, renew_after: int | None) -> Rebuild:
        frozen.process.suspend()
        return Rebuild(found.engine, found.sweep, renew_after, most_away=1.0)

    monkeypatch.setattr(Tools, "rebuild", then_it_is_away)
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=database_url,
        temporal_address=frozen.address,
        keys=SecretStr(ring_text(keyring)),
    )
    with pytest.raises(StartError, match=r"has taken nothing for .* run it again") as caught:
        await rebuild(settings, Options(all_=True, as_json=True))
    assert "\n" not in str(caught.value)


async def test_the_command_waits_in_words_is_stopped_by_ctrl_c_and_goes_on(
    frozen: Frozen, database_url: str, keyring: KeyRing, tmp_path: Path
) -> None:
    clinic = frozen.clinic
    leads = [await clinic.take_in_unheard() for _ in range(3)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TEND_")} | {
        "TEND_DATABASE_URL": database_url,
        "TEND_TEMPORAL_ADDRESS": frozen.address,
        "TEND_KEYS": ring_text(keyring),
        "TEND_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TEND_TWILIO_AUTH_TOKEN": "0" * 32,
        "TEND_TWILIO_FROM": "+12125550100",
        "TEND_SENDGRID_API_KEY": "SG.test",
        "TEND_SENDGRID_WEBHOOK_KEY": "test",
    }

    async def begin() -> asyncio.subprocess.Process:
        line = (sys.executable, "-m", "cli", "rebuild", "--json", "--data-dir", str(tmp_path))
        pipe = asyncio.subprocess.PIPE
        # in a shell's background Ctrl-C is ignored, also by whoever is started from there
        heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return await asyncio.create_subprocess_exec(
            *line, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, preexec_fn=heeds
        )

    async with clinic.store.engine.begin() as own:
        await at_home(own)
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await conn.execute("LOCK TABLE outbox IN SHARE MODE")  # Temporal has answered; the wakes cannot be written yet
        stopped = await begin()
        try:

            async def held() -> bool:
                assert stopped.returncode is None, await stopped.communicate()
                waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
                async with await psycopg.AsyncConnection.connect(database_url) as other:
                    found = await (await other.execute(waits, (conn.info.dbname,))).fetchone()
                return found == (1,)

            await clinic.until(held, "it is about to write the wakes")
            frozen.process.suspend()
            await conn.rollback()
            assert stopped.stderr is not None
            async with asyncio.timeout(LONGEST):
                while b"waiting for it" not in (line := await stopped.stderr.readline()):
                    assert line, "it ended without a word"
                stopped.send_signal(signal.SIGINT)
                _, said = await stopped.communicate()
        finally:
            with suppress(ProcessLookupError):
                stopped.kill()
    assert stopped.returncode == 130
    assert b"Nothing is lost" in said.splitlines()[-1]
    assert b"Traceback" not in said
    assert await clinic.entries() == 3

    frozen.process.resume()
    again = await begin()
    async with asyncio.timeout(LONGEST):
        told, said = await again.communicate()
    assert (again.returncode, json.loads(told)["leads"]) == (0, 3), said
    assert [await clinic.has_workflow(lead) for lead in leads] == [True] * 3


async def test_who_has_just_asked_has_a_workflow_before_those_who_sleep(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the ids fall: they are drawn, and the pages go by them."""
    clinic = frozen.clinic
    leads = [await clinic.take_in_unheard() for _ in range(5)]
    asked, asleep = max(leads), sorted(leads)[:-1]
    async with clinic.store.engine.begin() as conn:
        earlier = update(sources).where(sources.c.lead_id.in_(asleep))
        await conn.execute(earlier.values(at=sources.c.at - timedelta(hours=2)))
    started: list[tuple[str, int]] = []
    hand_over = TemporalDelivery.hand_over

    async def told(self: TemporalDelivery, entry: outbox.Entry) -> None:
        started.append((entry.lead_id, entry.priority))
        await hand_over(self, entry)

    monkeypatch.setattr(TemporalDelivery, "hand_over", told)
    monkeypatch.setattr("relay.rebuild.PAGE", 2)
    monkeypatch.setattr("relay.sweep.PAGE", 2)
    monkeypatch.setattr("relay.rebuild.BESIDE", 1)
    async with asyncio.timeout(LONGEST):
        assert await frozen.rebuild().missing(1000, Told().append) == Progress(5, 5, 5)
    assert started[0] == (asked, Priority.INQUIRY)
    assert sorted(started[1:]) == [(lead, Priority.ANEW) for lead in asleep]
    assert [await clinic.has_workflow(lead) for lead in leads] == [True] * 5


async def _noted_by(clinic: Clinic, settings: Settings, options: Options) -> datetime:
    """When the copy is noted to be one, after the command."""
    await rebuild(settings, options)
    async with clinic.store.engine.connect() as conn:
        known = await home.find(conn)
    assert known is not None
    assert known.noticed_at is not None
    return known.noticed_at


async def test_a_snapshot_that_cannot_be_noticed_is_compared_as_long_as_no_worker_is_there(
    frozen: Frozen,
    database_url: str,
    keyring: KeyRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As docs/hosting.md has it done: what fell due until the command counts as perhaps sent."""
    clinic, homes, listed = frozen.clinic, list[home.Home](), timedelta(seconds=1)
    monkeypatch.setattr("stack.rebuild.LISTED_WITHIN", listed)
    lead = await clinic.take_in_unheard()
    async with clinic.store.engine.begin() as conn:
        await at_home(conn)  # a snapshot's own row is right
        assert await home.alive(conn)

    async def compare(_: object, known: home.Home) -> Compared:
        assert known.noticed_at is not None
        assert datetime.now(UTC) > known.noticed_at + listed  # what was sent last is in the list by now
        homes.append(known)
        return Compared(known.alive_at)

    monkeypatch.setattr(Comparison, "compare", compare)
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=database_url,
        temporal_address=frozen.address,
        keys=SecretStr(ring_text(keyring)),
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token=SecretStr("0" * 32),
    )
    began, asked = datetime.now(UTC), Options(restored=True, as_json=True)
    await rebuild(settings, replace(asked, note=True))
    assert homes == []
    async with clinic.store.engine.connect() as conn:
        assert await home.is_copy(conn)
    async with asyncio.timeout(LONGEST):
        await rebuild(settings, asked)
    (known,) = homes
    assert known.noticed_at is not None
    assert began - timedelta(seconds=1) < known.noticed_at < datetime.now(UTC) + timedelta(seconds=1)
    assert known.alive_at < known.noticed_at
    async with clinic.store.engine.connect() as conn:
        assert not await home.is_copy(conn)
    assert await clinic.has_workflow(lead)
    await rebuild(settings, asked)  # "run it again": nobody has sent since, so there is nothing to compare
    assert len(homes) == 1
    note = replace(asked, note=True)  # unless it was put back once more
    noted = [await _noted_by(clinic, settings, note) for _ in range(2)]
    assert noted[0] == noted[1]
    noted += [await _noted_by(clinic, settings, replace(note, again=True))]
    assert noted[1] < noted[2]
    await rebuild(settings, asked)
    assert [known.noticed_at for known in homes[1:]] == noted[2:]
    async with clinic.working():
        await clinic.until_sent(lead)
        with pytest.raises(StartError, match=r"at work on it: stop them first"):
            await rebuild(settings, asked)
    assert len(homes) == 2
    assert "not be in the carrier's list yet" in capsys.readouterr().err
