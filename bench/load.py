"""A stack to measure, and leads to send it."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from temporalio.client import Client as Temporal

from config.data_dir import load_settings
from demo.client import Client, Json, client
from demo.launch import Launched
from wire.connect import connect
from wire.keyring import KeyRing

# fmt: off
AREA_CODES = (
    212, 312, 415, 646, 713, 202, 305, 404, 503, 602, 201, 203, 205, 206, 207, 208, 210, 213, 214, 215, 216, 217, 218,
    219, 224, 225, 228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301,
    302, 303, 304, 307, 308, 309, 310, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 331, 334, 336, 337,
)
# fmt: on
_PER_AREA = 100  # 555-0100 to 555-0199: numbers that are nobody's


@asynccontextmanager
async def stack(*words: str, env: dict[str, str] | None = None) -> AsyncIterator[tuple[Launched, Client]]:
    """A fresh `tend up` in a directory that is removed at the end, with `env` as its settings.

    Product time is a day's 10:00 at the real pace, unless `words` say otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="tend-bench-", ignore_cleanup_errors=True) as path:
        clock = () if any(word.startswith("--clock") for word in words) else ("--clock", ten_o_clock(), "--pace", "1")
        launched = Launched(Path(path) / "data", "--port", "0", *clock, *words, env=env)
        async with launched:
            endpoints = await launched.start()
            async with client(endpoints, launched.admin_key) as found:
                yield launched, found


async def temporal_of(launched: Launched) -> Temporal:
    """A client of its Temporal that can read what is sealed."""
    settings = load_settings(launched.directory.path)
    assert settings.keys is not None
    keyring = KeyRing.parse(settings.keys.get_secret_value())
    return await connect(launched.endpoints["temporal"], settings.temporal_namespace, keyring)


def ten_o_clock() -> str:
    """Ten in the morning in New York, so that no text waits for the contact window at whatever hour this runs."""
    now = datetime.now(UTC).astimezone(ZoneInfo("America/New_York"))
    return (now.replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)).isoformat()


def phone(number: int) -> str:
    area, rest = divmod(number, _PER_AREA)
    return f"+1{AREA_CODES[area]}55501{rest:02}"


def lead(number: int) -> Json:
    """A made-up lead; no two share an address. At most 100 an area code."""
    return {
        "first_name": "Test",
        "last_name": f"Lead {number}",
        "phone": phone(number),
        "email": f"lead{number}@example.com",
        "postal_code": "10001",
        "source": {"channel": "web_form", "form": "bench"},
        "consents": [
            {
                "channel": "sms",
                "purpose": "care",
                "text": "You may text me about my request.",
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        ],
    }


async def at_rate(count: int, per_second: float, one: Callable[[int], Awaitable[None]]) -> None:
    """Starts `one(0)`, `one(1)`, ... on an open-loop schedule, whether or not the earlier ones are done."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            group.create_task(_run(one, number))


async def _run(one: Callable[[int], Awaitable[None]], number: int) -> None:
    await one(number)


async def until(holds: Callable[[], Awaitable[bool]], within: float, every: float = 0.1) -> bool:
    """Whether it came to hold within so many real seconds."""
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every)
    return True
