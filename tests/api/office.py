"""The API as its callers meet it, on a real database: keys by role, and short ways to ask."""

import base64
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from pydantic import SecretStr

from api.services import Services
from config.settings import Environment, Settings
from domain import facts as f
from domain.access import Role
from domain.touches import Channel, TouchStatus, touch_id
from store import keys
from wire.keyring import KeyRing

PUBLIC_URL = "https://tend.example.com"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
PHONE, EMAIL = "+12125550142", "ada@example.com"
LINES: dict[Role | str, str] = {Role.ADMIN: "+12025550144", Role.COORDINATOR: "+12025550143"}  # of the keys
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())


def settings(database_url: str, keyring_text: str, **more: Any) -> Settings:
    public = SENDGRID_KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    values: dict[str, Any] = {
        "environment": Environment.DEVELOPMENT,
        "database_url": database_url,
        "keys": SecretStr(keyring_text),
        "public_url": PUBLIC_URL,
        "twilio_auth_token": SecretStr(AUTH_TOKEN),
        "sendgrid_webhook_key": base64.b64encode(public).decode(),
        "log_level": "error",
    }
    return Settings(_env_file=None, **(values | more))


def ring_text(keyring: KeyRing) -> str:
    return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keyring.keys)


def inquiry(**more: Any) -> dict[str, Any]:
    """A body that `POST /v1/leads` takes. None leaves a field out."""
    body: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Example",
        "phone": PHONE,
        "email": EMAIL,
        "postal_code": "10001",
        "preferred_facility": "main",
        "source": {"channel": "web_form"},
    } | more
    return {k: v for k, v in body.items() if v is not None}


@dataclass
class Office:
    app: FastAPI
    http: httpx.AsyncClient
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def now(self) -> datetime:
        return self.services.leads.now()

    async def key(self, role: Role | str, *facilities: str) -> str:
        """The secret of a key of that role, made at first use."""
        name = "/".join([str(role), *facilities])
        if name not in self.secrets:
            store = self.services.store
            async with store.engine.begin() as conn:
                made = await keys.create_key(
                    conn, store.vault, name=name, role=role, facilities=facilities, phone=LINES.get(role)
                )
            self.secrets[name] = made[1]
        return self.secrets[name]

    async def ask(
        self, method: str, path: str, role: Role | str = Role.ADMIN, *facilities: str, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {await self.key(role, *facilities)}"} | more.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **more)

    async def get(self, path: str, role: Role | str = Role.ADMIN, *facilities: str, **more: Any) -> Any:
        answer = await self.ask("GET", path, role, *facilities, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, expect: int = 200, **more: Any) -> Any:
        answer = await self.ask("POST", path, json=body, **more)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def lead(self, **more: Any) -> str:
        """A lead of its own address unless one is given; its id."""
        if not {"phone", "email"} & more.keys():
            more |= {"phone": None, "email": f"{uuid.uuid4().hex}@example.com"}
        return str((await self.post("/v1/leads", inquiry(**more), 202))["lead_id"])

    async def call(self, lead_id: str, within: timedelta = timedelta(minutes=10)) -> str:
        """An open call task of the lead, as the worker opens it."""
        task_id = str(uuid.uuid4())
        async with self.services.leads.lead(lead_id) as unit:
            opened = f.TaskOpened(
                task_id=task_id,
                task_kind=f.TaskKind.CALL,
                due_at=unit.now,
                claim_by=unit.now + within,
                enrollment=1,
                step="call1",
                part="call",
                script="first_call",
            )
            unit.append(opened, "system")
        return task_id

    async def claimed(self, lead_id: str, channel: Channel = Channel.SMS) -> str:
        """A touch of the lead that is being handed to the provider."""
        identity = touch_id(lead_id, 1, "confirm", channel.value)
        async with self.services.leads.lead(lead_id) as unit:
            address = unit.address(channel)
            assert address is not None
            unit.append(
                f.TouchChanged(
                    touch_id=identity,
                    enrollment=1,
                    step="confirm",
                    part=channel.value,
                    channel=channel,
                    status=TouchStatus.CLAIMED,
                ),
                "system",
            )
            unit.touch_rows[identity] = {"address_id": address.id}
        return identity

    async def tell(self, event: str, after: timedelta, **more: Any) -> Any:
        """What a scheduler says of the appointment a-1, unless another is named."""
        body = {"event": event, "appointment_id": "a-1", "occurred_at": (self.now + after).isoformat()} | more
        return await self.post("/v1/bookings", body)

    async def book(self, lead_id: str, starts_at: datetime | None = None, **more: Any) -> Any:
        at = starts_at or self.now + timedelta(days=3)
        body = {
            "event": "booked",
            "appointment_id": "a-1",
            "lead_id": lead_id,
            "starts_at": at.isoformat(),
            "occurred_at": self.now.isoformat(),
        } | more
        return await self.post("/v1/bookings", body)


def is_problem(answer: httpx.Response, status: int, field_: str | None = None) -> dict[str, Any]:
    """Checks that it is a problem of that status, naming that field; answers it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    if field_ is not None:
        assert field_ in [e["field"] for e in body["errors"]], body
    return body


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
