import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.channels.fake_provider import Provider


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    it = Provider()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", it.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    it.base = f"http://127.0.0.1:{server.port}"
    yield it
    it.released.set()
    await server.close()


@pytest.fixture
def deaf() -> Iterator[dict[str, str]]:
    """Base URLs by scheme at which no connection ever comes about: TCP is left unanswered, or TLS is."""
    with socket.socket() as full, socket.socket() as mute:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # nobody takes them, so there is no room for one more
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        yield {
            "http": f"http://127.0.0.1:{full.getsockname()[1]}",
            "https": f"https://127.0.0.1:{mute.getsockname()[1]}",
        }
        for one in waiting:
            one.close()


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
