"""Whether the database of a `tend up` was put back from a copy, and until when nothing may be sent from it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from config.data_dir import DataDir, write_private
from store import home
from store.engine import make_engine

MARK_EVERY = 5.0  # real seconds
ASK_EVERY = 0.5
_FAR_AHEAD = "FFFFFFFF/FFFFFFFF"  # of any log: so the files stay a copy until they were compared


class Copies:
    """`embedded`: the database lies in the data directory, and `postgres.mark` beside it says how far it had come."""

    def __init__(self, directory: DataDir, database_url: str, *, embedded: bool) -> None:
        self._directory = directory
        self._url = database_url
        self._embedded = embedded

    async def look(self) -> None:
        """Before anything is written: what a start writes would bring older files past their mark."""
        if not self._embedded:
            return
        async with self._connection() as conn:
            behind = await self._is_behind(conn, worked=False)
            if behind and self._mark() != _FAR_AHEAD:
                await home.put_back_again(conn)
        if behind:
            write_private(self._directory.postgres_mark, _FAR_AHEAD + "\n")

    async def put_back(self) -> bool:
        """Whether it is a copy that was not compared yet. One of the files is noted as such, for all who look later."""
        async with self._connection() as conn:
            known = await home.find(conn)
            if known is None:
                return False
            if known.noticed_at is None and self._embedded and await self._is_behind(conn, worked=known.worked):
                await home.put_back(conn)
                return True
            return known.noticed_at is not None

    async def _is_behind(self, conn: AsyncConnection, *, worked: bool) -> bool:
        """Older than its mark. One that was worked on and has no mark is somebody's copy too."""
        with contextlib.suppress(FileNotFoundError):
            return await home.is_behind(conn, self._mark())
        return worked

    def _mark(self) -> str:
        return self._directory.postgres_mark.read_text().strip()

    async def mark(self) -> None:
        if self._embedded:
            async with self._connection() as conn:
                write_private(self._directory.postgres_mark, await home.mark(conn) + "\n")

    async def keep_mark(self) -> None:
        """Until cancelled."""
        while self._embedded:
            await asyncio.sleep(MARK_EVERY)
            with contextlib.suppress(SQLAlchemyError, OSError):  # the next time, then
                await self.mark()

    async def until_compared(self) -> None:
        while True:
            with contextlib.suppress(SQLAlchemyError, OSError):
                async with self._connection() as conn:
                    known = await home.find(conn)
                    if known is None or known.noticed_at is None:
                        return
            await asyncio.sleep(ASK_EVERY)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        engine = make_engine(self._url, pool_size=1)
        try:
            async with engine.begin() as conn:
                yield conn
        finally:
            await engine.dispose()
