"""Sequence versions on file: published once, immutable, read by every process."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

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
            rows = (await conn.execute(select(table.c.key, table.c.version, table.c.content))).all()
        for key, version, content in rows:
            if (key, version) not in self._versions:
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


async def publish(store: Store, pinned: list[PinnedSequence], now: datetime) -> list[tuple[str, int]]:
    """Stores each sequence whose content is new as its next version; returns those. `now` is product time."""
    published: list[tuple[str, int]] = []
    async with store.engine.begin() as conn:
        await conn.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _PUBLISH_LOCK})
        for one in pinned:
            known = await conn.scalar(
                select(table.c.version).where(table.c.key == one.sequence.key, table.c.content_hash == one.content_hash)
            )
            last = await conn.scalar(select(func.max(table.c.version)).where(table.c.key == one.sequence.key))
            if known is not None and known == last:
                continue
            if known is not None:  # an earlier text is back: a version of its own again, to be the latest
                await conn.execute(
                    table.update()
                    .where(table.c.key == one.sequence.key, table.c.version == known)
                    .values(content_hash=f"{one.content_hash}#{known}")
                )
            row: dict[str, Any] = {
                "key": one.sequence.key,
                "version": (last or 0) + 1,
                "code": one.sequence.code,
                "content_hash": one.content_hash,
                "content": one.content,
                "published_at": now,
            }
            await conn.execute(insert(table).values(row))
            published.append((one.sequence.key, row["version"]))
    return published
