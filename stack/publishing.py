"""What is written once at a start: the sequences that ship, and that leads reckon their times anew."""

from datetime import datetime
from pathlib import Path

from content.library import load_sequences
from content.templates import load_templates
from domain.sequence import warnings
from store import outbox
from store.engine import make_engine
from store.sequences import publish

CONFIG = Path(__file__).resolve().parent.parent / "config"


async def publish_shipped(database_url: str, now: datetime) -> list[tuple[str, int]]:
    """Each sequence whose text is not its newest version becomes that, also an earlier text that is back.

    Returns key and version of what was published. `now` is product time. Raises InvalidSequence.
    """
    shipped = load_sequences(CONFIG / "sequences", load_templates(CONFIG / "templates"))
    engine = make_engine(database_url)
    try:
        return await publish(engine, shipped, now, again=True)
    finally:
        await engine.dispose()


def shipped_warnings() -> list[str]:
    """What the authors of the sequences that ship should know. Raises InvalidSequence."""
    shipped = load_sequences(CONFIG / "sequences", load_templates(CONFIG / "templates"))
    return [text for pinned in shipped for text in warnings(pinned.sequence)]


async def reckon_anew(database_url: str, now: datetime) -> None:
    """What leads had asked Temporal to wait for holds no longer: all with something to come plan again.

    Who has just asked goes first. `now` is product time.
    """
    engine = make_engine(database_url, pool_size=1)
    try:
        async with engine.begin() as conn:
            await outbox.wake_all(conn, outbox.ANY_SIGNAL, now)
    finally:
        await engine.dispose()
