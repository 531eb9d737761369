"""Without a base URL the SDKs go to the provider's own hosts, through the proxy of the environment if there is one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from channels.sendgrid_email import SendGridEmail
from channels.twilio_client import TwilioClient
from channels.twilio_sms import TwilioSms
from domain.ports import ChannelError, Email, Sms


@pytest_asyncio.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """The first lines that reach a proxy which lets nobody through."""
    lines: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    yield lines
    server.close()
    await server.wait_closed()


async def test_twilio(asked: list[str]) -> None:
    client = TwilioClient("AC" + "0" * 32, "secret")
    with pytest.raises(ChannelError):
        await TwilioSms(client, "https://tend.example.com", from_="+12125550100").send(
            Sms("touch-1", "+12125550123", "Hello"), 30
        )
    await client.aclose()
    assert asked == ["CONNECT api.twilio.com:443 HTTP/1.1"]


async def test_sendgrid(asked: list[str]) -> None:
    email = SendGridEmail("SG.secret", "care@example.com")
    with pytest.raises(ChannelError):
        await email.send(Email("touch-1", "ada@example.com", "Hello", "Hello", "<p>Hello</p>"), 30)
    await email.aclose()
    assert [line.rsplit(" ", 1)[0] for line in asked] == ["CONNECT api.sendgrid.com:443"]
