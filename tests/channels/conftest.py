import socket
from collections.abc import AsyncIterator

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
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
