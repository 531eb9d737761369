"""The sequences that ship, published with a deployment: `tend up` and `tend migrate`."""

from datetime import datetime
from pathlib import Path

from content.library import load_sequences
from content.templates import load_templates
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
