"""Settings completed from the data directory; ports that stay the same."""

import json
import socket

import pytest
from pydantic import SecretStr

from config.data_dir import DataDir, check_start, clock, load_settings, write_private
from config.settings import Environment, Settings
from stack import carrier
from stack.clock_file import ClockFile, parse
from stack.endpoints import Endpoints, base_url
from stack.ports import bind_error, stable_ports
from wire.keyring import KeyRing


def endpoints() -> Endpoints:
    return Endpoints(
        api="http://127.0.0.1:8000",
        temporal="127.0.0.1:7233",
        temporal_ui="http://127.0.0.1:8233",
        database_url="postgresql://tend:word@127.0.0.1:5432/tend",
        public_url="http://127.0.0.1:8000",
        sandbox="http://127.0.0.1:8010",
    )


def test_a_directory_completes_what_is_unset(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing.make()
    write_private(directory.keys, ring + "\n")
    carrier.ensure_credentials(directory)
    endpoints().write(directory, {"api": 1})
    monkeypatch.setenv("TEND_TEMPORAL_ADDRESS", "temporal.example.com:7233")
    settings = load_settings(directory.path)
    assert settings.keys == SecretStr(ring)
    assert settings.database_url == endpoints().database_url
    assert settings.temporal_address == "temporal.example.com:7233"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.temporal_ui_url == "http://127.0.0.1:8233"
    assert settings.twilio_base_url == settings.sendgrid_base_url == "http://127.0.0.1:8010"
    assert settings.twilio_account_sid is not None
    assert len(settings.twilio_account_sid) == 34
    assert settings.sendgrid_webhook_key
    assert settings.twilio_from == carrier.FROM


def test_credentials_stay_the_same_and_private(directory: DataDir) -> None:
    carrier.ensure_credentials(directory)
    first = directory.credentials.read_text()
    carrier.ensure_credentials(directory)
    assert directory.credentials.read_text() == first
    assert directory.credentials.stat().st_mode & 0o777 == 0o600
    line = carrier.argv(
        directory, load_settings(directory.path), host="127.0.0.1", port=1, api="http://x", personas=("eager",)
    )
    secrets = [json.loads(first)[name] for name in ("auth_token", "sendgrid_api_key")]
    assert not any(secret in word for secret in secrets for word in line)
    assert (directory.sandbox / "auth_token").read_text() == secrets[0]


def test_endpoints_hold_what_is_promised(directory: DataDir) -> None:
    endpoints().write(directory, {"postgres": 1, "worker-1": 2})
    kept = json.loads(directory.endpoints.read_text())
    assert {"api", "console", "temporal", "temporal_ui", "sandbox", "database_url", "pids"} <= set(kept)
    assert kept["pids"] == {"postgres": 1, "worker-1": 2}
    assert directory.endpoints.stat().st_mode & 0o777 == 0o600


def test_production_takes_nothing_from_the_directory(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(directory.keys, KeyRing.make())
    endpoints().write(directory, {})
    monkeypatch.setenv("TEND_ENVIRONMENT", "production")
    settings = load_settings(directory.path)
    assert settings.keys is None
    assert settings.database_url is None
    assert check_start(Settings(environment=Environment.DEVELOPMENT)) == []


PRODUCTION = {
    "ENVIRONMENT": "production",
    "KEYS": KeyRing.make(),
    "DATABASE_URL": "postgresql://db.example.com/tend",
    "TEMPORAL_ADDRESS": "temporal.example.com:7233",
    "PUBLIC_URL": "https://tend.example.com",
    "CARRIER": "live",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "made-up",
    "TWILIO_FROM": "+12125550100",
    "SENDGRID_API_KEY": "made-up",
    "SENDGRID_WEBHOOK_KEY": "made-up",
    "ORGANIZATION": "A Practice",
    "EMAIL_FROM": "practice@example.com",
    "POSTAL_ADDRESS": "1 Example Road, Springfield, IL 62701",
}


def test_production_that_has_all_it_needs(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(f"TEND_{name}", value)
    assert check_start(load_settings(directory.path)) == []
    monkeypatch.delenv("TEND_TWILIO_FROM")
    assert check_start(load_settings(directory.path)) == [
        "TEND_TWILIO_FROM is not set (the number that calls, and texts where no messaging service is set)"
    ]
    monkeypatch.setenv("TEND_ENVIRONMENT", "development")  # the live carrier cannot do without anywhere
    assert [line.split()[0] for line in check_start(load_settings(directory.path))] == ["TEND_TWILIO_FROM"]
    monkeypatch.setenv("TEND_ENVIRONMENT", "production")
    monkeypatch.setenv("TEND_TWILIO_FROM", "+12125550100")
    ClockFile(directory, parse(None, "60"), virtual_allowed=True).run()
    assert "virtual clock" in check_start(load_settings(directory.path))[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TWILIO_AUTH_TOKEN", "  ", "TEND_TWILIO_AUTH_TOKEN is not set"),
        ("ORGANIZATION", "   ", "TEND_ORGANIZATION is blank"),
        ("PUBLIC_URL", "http://tend.example.org", "TEND_PUBLIC_URL must be an https address"),
        ("KEYS", "k1:" + "A" * 43 + "=", "TEND_KEYS holds a key that is not random"),
    ],
)
def test_production_takes_nothing_blank_and_nothing_made_up(
    directory: DataDir, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    for one, given in PRODUCTION.items():
        monkeypatch.setenv(f"TEND_{one}", given)
    monkeypatch.setenv(f"TEND_{name}", value)
    (wrong,) = check_start(load_settings(directory.path))
    assert wrong.startswith(said)


def test_the_clock_is_the_directory_s(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not clock(load_settings(directory.path)).virtual
    written = ClockFile(directory, parse(None, "60"), virtual_allowed=True).run()
    assert clock(load_settings(directory.path)) == written
    monkeypatch.setenv("TEND_CARRIER", "live")
    assert not clock(load_settings(directory.path)).virtual


def test_ports_stay_while_they_are_free(directory: DataDir) -> None:
    first = stable_ports(directory.ports, ("postgres", "temporal"))
    assert stable_ports(directory.ports, ("postgres", "temporal")) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["postgres"]))
        taken.listen()
        assert bind_error("127.0.0.1", first["postgres"]) is not None
        moved = stable_ports(directory.ports, ("postgres", "temporal"))
    assert moved["postgres"] != first["postgres"]
    assert moved["temporal"] == first["temporal"]


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::1", "http://[::1]:1")],
)
def test_addresses_that_can_be_reached(host: str, url: str) -> None:
    assert base_url(host, 1) == url
