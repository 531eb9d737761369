"""One run of the real stack, with everything in it, that all tests of this folder look at."""

import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from demo.client import Client, client
from demo.launch import Launched
from domain.clock import Clock
from tests.e2e.story import BEGINS, PEOPLE, Person, Story, Told, read, until

# Slow while people reply and claim calls, and again a day after the start, when the link to book is out. Each ends in a
# walk, which is left when that has come which is waited for: what a busy machine takes is then no matter.
FIRST_CALLS = "1:5s,60:20m,2500:3.5h,150:40m,60"
VISITS = "10000:19.4h,900:4h,60"
THE_REST = "30000"
STOPPED_AT = BEGINS + timedelta(hours=4.4)


@pytest_asyncio.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """Leads and personas, a worker killed in the middle, everything stopped and started twice; to the end of it all."""
    path: Path = tmp_path_factory.mktemp("whole") / "data"
    personas = ",".join({persona for _, _, persona in PEOPLE} | {"coordinator"})
    async with Launched(path, "--port", "0", "--workers", "2", "--personas", personas) as launched:
        endpoints = await launched.start("--clock", BEGINS.isoformat(), "--pace", FIRST_CALLS)
        async with client(endpoints, launched.admin_key) as tend:
            told = await _ask(tend, launched)
            await until(lambda: _past(launched, STOPPED_AT), "the hours of the first calls pass", 120)
        assert await launched.stop(signal.SIGTERM) == 0, launched.said

        endpoints = await launched.start("--pace", VISITS)
        async with client(endpoints, launched.admin_key) as tend:
            await until(lambda: _visits_told(tend, told), "one has come to the visit, and one has not", 120)
        assert await launched.stop(signal.SIGTERM) == 0, launched.said

        endpoints = await launched.start("--pace", THE_REST)
        async with client(endpoints, launched.admin_key) as tend:

            async def all_finished() -> bool:
                return all(row["state"] == "finished" for row in await tend.leads())

            try:
                await until(all_finished, "every lead's cadence ends", 120)
            finally:
                await read(tend, told)
                print("\n".join(lead.describe() for lead in told))
            await until(lambda: _settled(tend, told), "the carrier has reported on everything", 30)
            yield Story(launched, told, await tend.outbox())


async def _ask(tend: Client, launched: Launched) -> list[Told]:
    """They ask, and a worker dies while the first text to the last but one is under way: its outcome may be unknown."""
    told: list[Told] = []
    pid = launched.endpoints["pids"]["worker-1"]

    async def all_are_answered() -> bool:
        return {lead.person.phone for lead in told} <= {item["to"] for item in await tend.outbox()}

    for i, words in enumerate(PEOPLE):
        person = Person(*words, number=41 + i)
        await tend.set_persona(person.phone, person.persona)
        if i == len(PEOPLE) - 2:
            await until(all_are_answered, "the first texts are at the carrier", 30)
        told.append(Told(person, (await tend.take_in(person.inquiry()))["lead_id"]))
        if i == len(PEOPLE) - 2:  # its leads and its touches under way become the other worker's
            os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        return bool(launched.endpoints["pids"].get("worker-1", pid) != pid)

    await until(back, "the killed worker is back", 30)
    return told


async def _past(launched: Launched, at: datetime) -> bool:
    return Clock.read(launched.directory.clock).product(datetime.now(UTC)) >= at


async def _visits_told(tend: Client, told: list[Told]) -> bool:
    await read(tend, told)
    events = {appointment["event"] for lead in told for appointment in lead.kind("appointment")}
    return {"completed", "no_show"} <= events


async def _settled(tend: Client, told: list[Told]) -> bool:
    await read(tend, told)
    return not any(
        touch["status"] in ("claimed", "planned") or (touch["status"] == "accepted" and touch["channel"] != "voice")
        for lead in told
        for touch in lead.touches
    )
