"""What a lead's cadence leaves in both databases."""

import asyncio
import sqlite3

from bench.bare_side import bare_workflow
from bench.carrier import carrier
from bench.figures import Figure, Row
from bench.load import until
from bench.sides import Side, product
from bench.touches import TOUCHES

# Postgres makes a table longer by up to 64 pages at once: with a few hundred leads that alone is 5 kB a lead.
LEADS, AT_ONCE = 1000, 40
ENDS_WITHIN = 120.0  # real seconds
SHOWN = 6  # of the tables, the largest
_TABLES = "SELECT relname::text, pg_total_relation_size(relid) FROM pg_stat_user_tables"


async def run() -> Figure:
    rows: list[Row] = []
    async with carrier() as texts, product(texts, "bench_seven") as side:
        empty = await _tables(side)
        temporal, postgres = await _grown(side)
        tables = {name: (size - empty.get(name, 0)) / LEADS / 1000 for name, size in (await _tables(side)).items()}
    rows += [Row("Temporal, Tend", temporal, "kB", 45), Row("Postgres, Tend", postgres, "kB", 25)]
    async with carrier() as texts, bare_workflow(texts) as side:
        temporal, postgres = await _grown(side)
    rows += [Row("Temporal, bare", temporal, "kB"), Row("Postgres, bare", postgres, "kB")]
    largest = sorted(tables.items(), key=lambda item: -item[1])[:SHOWN]
    return Figure(
        "storage",
        f"Kilobytes a lead in the databases, after a cadence of {TOUCHES} touches",
        tuple(rows),
        (
            f"What {LEADS} leads add to Temporal's file (its pages in use) and to the database of Postgres (its size, "
            "indexes and rows not yet cleaned up included), each with two callbacks a text and no reply.",
            f"Tend's largest tables, kB a lead: {', '.join(f'{name} {size:.1f}' for name, size in largest)}.",
        ),
    )


async def _grown(side: Side) -> tuple[float, float]:
    """Kilobytes a lead, Temporal's and Postgres's."""
    await _settled(side, 1)
    before = await _sizes(side)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            await side.take_in(next(side.numbers))

    await asyncio.gather(*(one() for _ in range(LEADS)))
    await _settled(side, 1 + LEADS)
    after = await _sizes(side)
    temporal, postgres = ((b - a) / LEADS / 1000 for a, b in zip(before, after, strict=True))
    return temporal, postgres


async def _settled(side: Side, leads: int) -> None:
    """Until so many leads had all their texts, and what follows from the last one is written too."""

    async def over() -> bool:
        return len(side.carrier.texts) >= leads * TOUCHES

    await until(over, ENDS_WITHIN, 0.3)
    await asyncio.sleep(2.0)


async def _sizes(side: Side) -> tuple[int, int]:
    """Bytes of Temporal's pages in use and of the database."""
    with sqlite3.connect(f"file:{side.directory.temporal}?mode=ro", uri=True) as db:
        page, count, free = (
            db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count")
        )
    db.close()
    return page * (count - free), int((await side.rows("SELECT pg_database_size(current_database())"))[0][0])


async def _tables(side: Side) -> dict[str, int]:
    """Bytes of each table of the database, with its indexes."""
    return {str(name): int(size) for name, size in await side.rows(_TABLES)}
