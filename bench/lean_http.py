"""HTTP as lean as can be, so that what is measured is the product and not the load: kept connections, no checks."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_KEPT = 3.0  # real seconds; a server that closes an idle connection does so after five or more
LIMIT = 20.0  # real seconds for one answer

Handle = Callable[[str, str, bytes], Awaitable[bytes]]
"""Method, address and body to the JSON that answers: a POST with 201, anything else with 200."""


class Caller:
    """POSTs to one origin. Raises OSError, TimeoutError or asyncio.IncompleteReadError where nobody answers in time."""

    def __init__(self, origin: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._fixed = "".join(f"{k}: {v}\r\n" for k, v in {"Host": parts.netloc, **(headers or {})}.items())
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        own = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        head = f"POST {path} HTTP/1.1\r\n{self._fixed}{own}Content-Length: {len(body)}\r\n\r\n"
        async with asyncio.timeout(LIMIT):
            reader, writer = await self._connection()
            try:
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(answer)
                content = await reader.readexactly(int(found[1])) if found else b""
            except BaseException:
                writer.close()
                raise
        self._idle.append((time.monotonic(), reader, writer))
        return int(answer[9:12]), content

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[2].close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < _KEPT and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)


async def serve(handle: Handle) -> tuple[asyncio.Server, str]:
    """A server on a free port of loopback, and its address."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                method, path, _ = head.split(b" ", 2)
                answer = await handle(method.decode(), path.decode(), body)
                status = b"201 Created" if method == b"POST" else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\nContent-Length: ")
                writer.write(str(len(answer)).encode() + b"\r\n\r\n" + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
