"""A server whose machine or way vanished says nothing: the connection itself must find out, and soon."""

import asyncio
import os
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import URL

from store.engine import Store, listen, make_engine

# As Linux calls it: a silent server is asked for a sign of life, and owes an answer to what was sent (milliseconds).
FOUND_OUT = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}


@pytest.mark.skipif(sys.platform != "linux", reason="the options have these names on Linux")
@pytest.mark.parametrize(
    ("address", "found_out"),
    [({}, {}), ({"tcp_user_timeout": "7000", "keepalives_idle": "9"}, {"TCP_USER_TIMEOUT": 7000, "TCP_KEEPIDLE": 9})],
    ids=["by itself", "as the address says"],
)
async def test_every_connection_finds_out_within_seconds_that_its_server_vanished(
    store: Store, address: dict[str, str], found_out: dict[str, int]
) -> None:
    async with _over_the_network(store) as plain:
        url = plain.update_query_dict(address)
        engine = make_engine(url.render_as_string(hide_password=False))
        try:
            async with engine.connect() as conn:
                raw = (await conn.get_raw_connection()).driver_connection
                assert raw is not None
                assert _found_out(raw.pgconn.socket) == {**FOUND_OUT, **found_out}
        finally:
            await engine.dispose()
        async with await listen(url, "tend_test") as listening:
            assert _found_out(listening.pgconn.socket) == {**FOUND_OUT, **found_out}


def _found_out(number: int) -> dict[str, int]:
    with socket.socket(fileno=os.dup(number)) as way:
        assert way.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        return {name: way.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in FOUND_OUT}


@asynccontextmanager
async def _over_the_network(store: Store) -> AsyncIterator[URL]:
    """The server of these tests is reached by a socket of this machine; here by TCP."""
    async with store.engine.connect() as conn:
        raw = (await conn.get_raw_connection()).driver_connection
        assert raw is not None
        with socket.socket(fileno=os.dup(raw.pgconn.socket)) as way:
            path = way.getpeername()

    async def pass_on(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: StreamReader, writer: StreamWriter) -> None:
        there = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield store.engine.url.set(host="127.0.0.1", port=port).difference_update_query(["host", "port"])
