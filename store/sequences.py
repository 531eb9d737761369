"""Sequence versions on file: published once, immutable, read by every process."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from content.library import PinnedSequence, parse_content
from content.templates import Template
from domain.errors import NotFound
from domain.sequence import Sequence
from store.engine import Store
from store.tables import sequence_versions as table

_PUBLISH_LOCK = 7_300_001  # any constant: serializes publishing processes


class SequenceBook:
    """All versions in memory. `refresh` reads what other processes have published since."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[tuple[str, int], tuple[Sequence, dict[str, Template]]] = {}
        self._latest: dict[str, int] = {}

    async def refresh(self) -> None:
        async with self._store.engine.connect() as conn:
            await self.refresh_by(conn)

    async def refresh_by(self, conn: AsyncConnection) -> None:
        """For who holds a connection: many who wait for a second one at once would wait for each other."""
        there = (await conn.execute(select(table.c.key, table.c.version))).all()
        new = [(key, version) for key, version in there if (key, version) not in self._versions]
        if not new:
            return
        wanted = tuple_(table.c.key, table.c.version).in_(new)
        rows = (await conn.execute(select(table.c.key, table.c.version, table.c.content).where(wanted))).all()
        for key, version, content in rows:
            self._versions[key, version] = parse_content(content, version)
            self._latest[key] = max(version, self._latest.get(key, 0))

    def latest(self, key: str) -> Sequence:
        """Raises NotFound."""
        if key not in self._latest:
            raise NotFound(f"no sequence {key!r}; there are {', '.join(sorted(self._latest))}")
        return self.get(key, self._latest[key])

    def get(self, key: str, version: int) -> Sequence:
        return self._pinned(key, version)[0]

    def template(self, key: str, version: int, name: str) -> Template:
        """The template as that version pinned it."""
        return self._pinned(key, version)[1][name]

    def knows(self, key: str, version: int) -> bool:
        return (key, version) in self._versions

    def keys(self) -> list[str]:
        return sorted(self._latest)

    def _pinned(self, key: str, version: int) -> tuple[Sequence, dict[str, Template]]:
        found = self._versions.get((key, version))
        if found is None:
            raise NotFound(f"no version {version} of sequence {key!r}")
        return found


async def publish(
    engine: AsyncEngine, pinned: list[PinnedSequence], now: datetime, *, again: bool = False
) -> list[tuple[str, int]]:
    """Stores each sequence whose content is new as its next version; returns those. `now` is product time.

    `again`: also one whose text is that of an earlier version, as when a change is taken back. Without it such a text
    is left alone: a worker with older files than another's must not put its own in force again.
    """
    published: list[tuple[str, int]] = []
    async with engine.begin() as conn:
        await conn.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _PUBLISH_LOCK})
        for one in pinned:
            key, digest = one.sequence.key, one.content_hash
            rows = await conn.execute(select(table.c.version, table.c.content_hash).where(table.c.key == key))
            versions = {version: found.partition("#")[0] for version, found in rows}
            last = max(versions, default=0)
            known = digest in versions.values()
            if versions.get(last) == digest or (known and not again):
                continue
            row: dict[str, Any] = {
                "key": key,
                "version": last + 1,
                "code": one.sequence.code,
                "content_hash": f"{digest}#{last + 1}" if known else digest,
                "content": one.content,
                "published_at": now,
            }
            await conn.execute(insert(table).values(row))
            published.append((key, row["version"]))
    return published
