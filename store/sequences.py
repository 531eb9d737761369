"""Sequence versions on file: published once, immutable, read by every process."""

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from content.library import PinnedSequence, parse_content
from content.templates import Template
from domain.errors import InvalidSequence, NotFound, UnreadableSequence
from domain.sequence import Sequence
from store.engine import Store
from store.tables import sequence_versions as table

log = logging.getLogger(__name__)
_PUBLISH_LOCK = 7_300_001  # any constant: serializes publishing processes


class SequenceBook:
    """All versions in memory. `refresh` reads what other processes have published since.

    One that this release cannot read (a later one published it, say) keeps no other from being read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[tuple[str, int], tuple[Sequence, dict[str, Template]]] = {}
        self._latest: dict[str, int] = {}
        self._unreadable: dict[tuple[str, int], str] = {}  # and why

    async def refresh(self) -> None:
        async with self._store.engine.connect() as conn:
            await self.refresh_by(conn)

    async def refresh_by(self, conn: AsyncConnection) -> None:
        """For who holds a connection: many who wait for a second one at once would wait for each other."""
        there = (await conn.execute(select(table.c.key, table.c.version))).all()
        read = self._versions.keys() | self._unreadable.keys()
        new = [(key, version) for key, version in there if (key, version) not in read]
        if not new:
            return
        query = select(table.c.key, table.c.version, table.c.content).order_by(table.c.key, table.c.version)
        for key, version, content in await conn.execute(query.where(tuple_(table.c.key, table.c.version).in_(new))):
            try:
                self._versions[key, version] = _read(key, version, content)
            except UnreadableSequence as error:
                log.warning("%s", error)
                self._unreadable[key, version] = error.cause
            else:
                self._latest[key] = max(version, self._latest.get(key, 0))

    def latest(self, key: str) -> Sequence:
        """The newest version that can be read. Raises NotFound, and UnreadableSequence where there are only others."""
        if key in self._latest:
            return self.get(key, self._latest[key])
        if others := [version for other, version in self._unreadable if other == key]:
            return self.get(key, max(others))
        raise NotFound(f"no sequence {key!r}; there are {', '.join(sorted(self._latest))}")

    def get(self, key: str, version: int) -> Sequence:
        """Raises NotFound and UnreadableSequence."""
        if (key, version) in self._unreadable:
            raise UnreadableSequence(key, version, self._unreadable[key, version])
        return self._pinned(key, version)[0]

    def template(self, key: str, version: int, name: str) -> Template:
        """The template as that version pinned it. Raises NotFound, also where the version cannot be read."""
        return self._pinned(key, version)[1][name]

    def knows(self, key: str, version: int) -> bool:
        """Whether it can be read."""
        return (key, version) in self._versions

    def keys(self) -> list[str]:
        """Of those of which a version can be read."""
        return sorted(self._latest)

    def unreadable(self) -> dict[tuple[str, int], str]:
        """Key and version, and why this release cannot read it."""
        return dict(sorted(self._unreadable.items()))

    def _pinned(self, key: str, version: int) -> tuple[Sequence, dict[str, Template]]:
        found = self._versions.get((key, version))
        if found is None:
            raise NotFound(f"no version {version} of sequence {key!r}")
        return found


def _read(key: str, version: int, content: Any) -> tuple[Sequence, dict[str, Template]]:
    """Raises UnreadableSequence, whatever another release's text makes our parser fail with."""
    try:
        return parse_content(content, version)
    except InvalidSequence as error:
        raise UnreadableSequence(key, version, str(error)) from None
    except Exception as error:
        raise UnreadableSequence(key, version, type(error).__name__) from error


async def publish(
    engine: AsyncEngine, pinned: list[PinnedSequence], now: datetime, *, again: bool = False
) -> list[tuple[str, int]]:
    """Stores each sequence whose content is new as its next version; returns those. `now` is product time.

    `again`: also one whose text is that of an earlier version, as when a change is taken back. Without it such a text
    is left alone: a worker with older files than another's must not put its own in force again. So is one whose newest
    version this release cannot read, for a later one has published it.
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
            if last and not again and not await _readable(conn, key, last):
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


async def _readable(conn: AsyncConnection, key: str, version: int) -> bool:
    content = await conn.scalar(select(table.c.content).where(table.c.key == key, table.c.version == version))
    try:
        _read(key, version, content)
    except UnreadableSequence:
        return False
    return True
