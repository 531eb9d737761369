import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.inbound_sendgrid import SendGridEvents, parse
from domain.errors import InvalidInput
from domain.ports import Remedy
from domain.touches import TouchStatus

PRIVATE = ec.generate_private_key(ec.SECP256R1())
STAMP = "1772463845"
RAW = '[{"event":"delivered","email":"ada@example.com","name":"ü"}]\r\n'.encode()


def der(key: Any) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(raw: bytes = RAW, stamp: str = STAMP, key: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    return base64.b64encode(key.sign(stamp.encode() + raw, ec.ECDSA(hashes.SHA256()))).decode()


def test_a_signed_body_is_sendgrids() -> None:
    assert SendGridEvents(der(PRIVATE)).verify(RAW, sign(), STAMP)


def test_what_was_tampered_with_is_not() -> None:
    events = SendGridEvents(der(PRIVATE))
    assert not events.verify(RAW + b" ", sign(), STAMP)
    assert not events.verify(RAW, sign(), "1772463846")
    assert not events.verify(RAW, sign(key=ec.generate_private_key(ec.SECP256R1())), STAMP)
    assert not events.verify(RAW, sign(RAW[:-2]), STAMP)


@pytest.mark.parametrize("signature", [None, "", "?", "ü", "AAAA", base64.b64encode(b"x" * 70).decode(), "\ud800"])
@pytest.mark.parametrize("stamp", [None, "", STAMP, "\ud800"])
def test_malformed_input_never_raises(signature: str | None, stamp: str | None) -> None:
    events = SendGridEvents(der(PRIVATE))
    assert not events.verify(RAW, signature, stamp)
    assert not events.verify(b"\xff\xfe", signature, stamp)


@pytest.mark.parametrize("key", ["", "not a key", "AAAA", der(rsa.generate_private_key(65537, 2048))])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="SendGrid's webhook key"):
        SendGridEvents(key)


def event(word: str, **more: object) -> dict[str, object]:
    return {
        "event": word,
        "email": "ada@example.com",
        "timestamp": 1772463845,
        "sg_event_id": f"ev-{word}",
        "sg_message_id": "msg1.recvd-55c-1",
        "touch_id": "8f14e45f-ceea-567f-a0e6-0f1c2d3e4f50",
    } | more


@pytest.mark.parametrize(
    ("given", "status", "remedy", "code"),
    [
        (event("processed"), TouchStatus.ACCEPTED, None, None),
        (event("delivered", response="250 OK"), TouchStatus.DELIVERED, None, None),
        (event("bounce", type="bounce", status="5.1.1"), TouchStatus.UNDELIVERED, Remedy.SUPPRESS, "5.1.1"),
        (event("bounce", type="blocked", status="4.2.2"), TouchStatus.UNDELIVERED, Remedy.DROP, "4.2.2"),
        (event("bounce", status="ada@example.com"), TouchStatus.UNDELIVERED, Remedy.SUPPRESS, None),
        (event("blocked"), TouchStatus.UNDELIVERED, Remedy.DROP, None),
        (event("dropped", reason="Bounced Address"), TouchStatus.FAILED, Remedy.SUPPRESS, None),
        (event("dropped", reason="Spam Content"), TouchStatus.FAILED, Remedy.DROP, None),
    ],
)
def test_what_becomes_of_a_mail(
    given: dict[str, object], status: TouchStatus, remedy: Remedy | None, code: str | None
) -> None:
    (update,) = parse(json.dumps([given]).encode())
    assert (update.status, update.remedy, update.code) == (status, remedy, code)
    assert (update.event_id, update.touch_id) == (given["sg_event_id"], given["touch_id"])
    assert update.provider_id == "msg1"
    assert update.at == datetime.fromtimestamp(1772463845, UTC)


def test_the_rest_is_left_out_and_the_order_kept() -> None:
    words = ["deferred", "open", "click", "spamreport", "unsubscribe", "group_unsubscribe", "something new"]
    batch = [*map(event, words), event("delivered"), event("processed"), event("delivered", touch_id=None)]
    del batch[-1]["touch_id"]
    assert [update.status for update in parse(json.dumps(batch).encode())] == [
        TouchStatus.DELIVERED,
        TouchStatus.ACCEPTED,
    ]


@pytest.mark.parametrize("stamp", [None, "soon", True, 1e30])
def test_an_unreadable_time_does_not_lose_the_event(stamp: object) -> None:
    assert parse(json.dumps([event("delivered", timestamp=stamp)]).encode())[0].at is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"{",
        b"{}",
        b"[1]",
        json.dumps([event("delivered", sg_event_id=None)]).encode(),
        json.dumps([event("delivered", touch_id={"a": 1})]).encode(),
    ],
)
def test_malformed_bodies(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(raw)
