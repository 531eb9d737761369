"""The data directory: where things lie in it, and settings completed from it."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from config.settings import Environment, Settings
from domain.clock import Clock
from wire.keyring import KeyRing


@dataclass(frozen=True, slots=True)
class DataDir:
    """The names in a data directory."""

    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "up.lock"

    @property
    def endpoints(self) -> Path:
        """Where everything answers; there while a `tend up` is up."""
        return self.path / "endpoints.json"

    @property
    def children(self) -> Path:
        """The running children, so that a later start can end what a killed one left."""
        return self.path / "children.json"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def keys(self) -> Path:
        """The encryption key ring of this directory, where TEND_KEYS is not set."""
        return self.path / "keys"

    @property
    def admin_key(self) -> Path:
        return self.path / "admin.key"

    @property
    def clock(self) -> Path:
        """The virtual clock; absent on the real one."""
        return self.path / "clock.json"

    @property
    def clock_start(self) -> Path:
        """What --clock and --pace the directory was first started with."""
        return self.path / "clock.start"

    @property
    def clock_alive(self) -> Path:
        """Touched while the stack is up: its time is when product time last ran."""
        return self.path / "clock.alive"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def postgres_password(self) -> Path:
        return self.path / "postgres.password"

    @property
    def postgres_mark(self) -> Path:
        """How far the database beside it had come: one that has come less far was put back from a copy."""
        return self.path / "postgres.mark"

    @property
    def temporal(self) -> Path:
        return self.path / "temporal.db"

    @property
    def settled(self) -> Path:
        """There from a stop in good order to the next start: Temporal keeps all that it was told."""
        return self.path / "temporal.settled"

    @property
    def sandbox(self) -> Path:
        return self.path / "sandbox"

    @property
    def credentials(self) -> Path:
        return self.sandbox / "credentials.json"

    @property
    def staff_key(self) -> Path:
        return self.sandbox / "staff.key"


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, all or nothing."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def load_settings(data_dir: Path | None = None) -> Settings:
    """Settings from the environment and `.env`, completed from the data directory where they are unset.

    In production nothing is taken from the data directory. Raises pydantic's ValidationError, OSError, ValueError.
    """
    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    if settings.environment is Environment.PRODUCTION:
        return settings
    directory = DataDir(settings.data_dir)
    found: dict[str, Any] = {}
    if directory.keys.exists():
        found["keys"] = SecretStr(directory.keys.read_text(encoding="utf-8").strip())
    endpoints = json.loads(directory.endpoints.read_text()) if directory.endpoints.exists() else {}
    for name, key in (
        ("database_url", "database_url"),
        ("temporal_address", "temporal"),
        ("temporal_ui_url", "temporal_ui"),
        ("public_url", "public_url"),
    ):
        found[name] = endpoints.get(key)
    if settings.carrier == "sandbox":
        found["twilio_base_url"] = found["sendgrid_base_url"] = endpoints.get("sandbox")
        if directory.credentials.exists():
            kept = json.loads(directory.credentials.read_text())
            found["twilio_account_sid"] = kept["account_sid"]
            found["twilio_auth_token"] = SecretStr(kept["auth_token"])
            found["twilio_from"] = kept["from"]
            found["sendgrid_api_key"] = SecretStr(kept["sendgrid_api_key"])
            found["sendgrid_webhook_key"] = kept["sendgrid_webhook_key"]
    given = settings.model_fields_set
    return settings.model_copy(
        update={name: value for name, value in found.items() if value is not None and name not in given}
    )


def clock(settings: Settings) -> Clock:
    """The one clock: the virtual one kept in the data directory, with the sandbox carrier; else the real one."""
    if settings.environment is Environment.PRODUCTION or settings.carrier != "sandbox":
        return Clock()
    return Clock.read(DataDir(settings.data_dir).clock)


LEAST_BYTES = 8  # different ones of 32: fewer are no random key

_DEFAULTED = {
    "organization": "the practice's own name, which every message gives",
    "email_from": "the address mails come from",
    "postal_address": "the practice's own postal address",
    "public_url": "where providers and people reach the API",
}
_NEEDED = {
    "keys": "the encryption key ring",
    "database_url": "the address of PostgreSQL",
    "temporal_address": "the address of Temporal",
}
_NEEDED_LIVE = {
    "twilio_account_sid": "from the Twilio console",
    "twilio_auth_token": "from the Twilio console",
    "twilio_from": "the number that calls, and texts where no messaging service is set",
    "sendgrid_api_key": "from SendGrid",
    "sendgrid_webhook_key": "the verification key of SendGrid's event webhook",
}


def check_start(settings: Settings) -> list[str]:
    """Why nothing may start with these settings, one line each; empty if it may.

    Anywhere the live carrier needs its credentials. Production needs more: nothing made up, nothing left at a default.
    """
    production = settings.environment is Environment.PRODUCTION
    wrong = _unset(settings, _NEEDED) if production else []
    wrong += _certificate(settings) + _deployment(settings)
    if settings.carrier == "live":
        wrong += _unset(settings, _NEEDED_LIVE)
    elif production:
        wrong.append("TEND_CARRIER is sandbox: set it to live")
    if not production:
        return wrong
    for name, why in _DEFAULTED.items():
        if getattr(settings, name) == Settings.model_fields[name].default:
            wrong.append(f"TEND_{name.upper()} is the default ({why})")
    wrong += _made_for_tests(settings)
    if DataDir(settings.data_dir).clock.exists():
        wrong.append("the data directory holds a virtual clock: use another TEND_DATA_DIR")
    return wrong


def sandbox_credentials_missing(settings: Settings) -> list[str]:
    """Names of what the sandbox carrier keeps in the data directory and nobody has set; empty once it was started."""
    return [name for name in _NEEDED_LIVE if not _text(getattr(settings, name))]


def _unset(settings: Settings, needed: Mapping[str, str]) -> list[str]:
    return [f"TEND_{n.upper()} is not set ({why})" for n, why in needed.items() if not _text(getattr(settings, n))]


def _text(value: Any) -> str:
    """A blank is no value."""
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value or "").strip()


def _made_for_tests(settings: Settings) -> list[str]:
    """What is set, and must not be so in production."""
    wrong = []
    if not settings.public_url.startswith("https://"):
        wrong.append("TEND_PUBLIC_URL must be an https address")
    if not settings.organization.strip():
        wrong.append("TEND_ORGANIZATION is blank")
    with suppress(ValueError):  # a ring that cannot be read is refused where it is made
        if settings.keys is not None:
            keys = dict(KeyRing.parse(settings.keys.get_secret_value()).keys).values()
            if any(len(set(key)) < LEAST_BYTES for key in keys):
                wrong.append("TEND_KEYS holds a key that is not random")
    return wrong


def _certificate(settings: Settings) -> list[str]:
    """What is wrong with Temporal's client certificate, if one is set."""
    files = {"TEND_TEMPORAL_TLS_CERT": settings.temporal_tls_cert, "TEND_TEMPORAL_TLS_KEY": settings.temporal_tls_key}
    if not any(files.values()):
        return []
    return [
        f"{name} {'is not set, and the other half is' if path is None else 'names a file that cannot be read'}"
        for name, path in files.items()
        if path is None or not os.access(path, os.R_OK)
    ]


def _deployment(settings: Settings) -> list[str]:
    """Half a version is none: its workers would take what is meant for others."""
    halves = {"TEND_DEPLOYMENT_NAME": settings.deployment_name, "TEND_BUILD_ID": settings.build_id}
    unset = [name for name, value in halves.items() if value is None]
    return [f"{unset[0]} is not set, and the other half is: set both, or neither"] if len(unset) == 1 else []
