import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.inbound_sendgrid import Batch, SendGridEvents, parse
from domain.errors import InvalidInput
from domain.ports import NoMoreMail, Remedy, TouchUpdate
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


@pytest.mark.parametrize(
    "key", ["", "not a key", "AAAA", der(rsa.generate_private_key(65537, 2048))], ids=["none", "words", "short", "rsa"]
)
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="SendGrid's webhook key"):
        SendGridEvents(key)


def read(*events: object) -> Batch:
    return parse(json.dumps(events).encode())


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
    (update,) = read(given).news
    assert isinstance(update, TouchUpdate)
    assert (update.status, update.remedy, update.code) == (status, remedy, code)
    assert update.touch_id == given["touch_id"]
    assert update.provider_id == "msg1"
    assert update.at == datetime.fromtimestamp(1772463845, UTC)


def test_the_rest_is_left_out_and_the_order_kept() -> None:
    words = ["deferred", "open", "click", "group_resubscribe", "something new"]
    batch = [*map(event, words), event("delivered"), event("processed"), event("delivered", touch_id=None)]
    del batch[-1]["touch_id"]
    taken = read(*batch)
    assert [update.status for update in taken.news if isinstance(update, TouchUpdate)] == [
        TouchStatus.DELIVERED,
        TouchStatus.ACCEPTED,
    ]
    assert (len(taken.news), taken.unreadable) == (2, 0)


@pytest.mark.parametrize("word", ["spamreport", "unsubscribe", "group_unsubscribe"])
def test_who_wants_no_more_mail_is_known_by_address_alone(word: str) -> None:
    given = event(word, email=" Ada@Example.com")
    del given["touch_id"], given["sg_message_id"]
    (told,) = read(given).news
    assert isinstance(told, NoMoreMail)
    assert (told.event_id, told.address) == (f"ev-{word}", "ada@example.com")
    assert "ada" not in repr(told)


@pytest.mark.parametrize(
    "bad",
    [
        1,
        None,
        ["delivered"],
        {},
        event("delivered", event=["delivered"]),
        event("unsubscribe", sg_event_id=None, email="ada@example.com"),
        event("unsubscribe", sg_event_id="a\x00b", email="ada@example.com"),
        event("delivered", touch_id={"a": 1}),
        event("delivered", touch_id="\ud800"),
        event("spamreport", email=None),
        event("spamreport", email="nobody"),
        event("unsubscribe", email="a\x00@example.com"),
        event("unsubscribe", email="\ud800@example.com"),
        event("unsubscribe", sg_event_id="", email="ada@example.com"),
    ],
)
def test_one_bad_event_does_not_lose_the_others(bad: object) -> None:
    taken = read(event("processed"), bad, event("delivered"))
    told = [update.status for update in taken.news if isinstance(update, TouchUpdate)]
    assert told == [TouchStatus.ACCEPTED, TouchStatus.DELIVERED] and len(taken.news) == 2
    assert taken.unreadable == 1


@pytest.mark.parametrize("message_id", [None, 5, "a\x00b", "\ud800", "x" * 1000, {"a": 1}])
def test_an_odd_message_id_does_not_lose_the_event(message_id: object) -> None:
    (update,) = read(event("delivered", sg_message_id=message_id)).news
    assert isinstance(update, TouchUpdate)
    assert not update.provider_id


@pytest.mark.parametrize("stamp", [None, "soon", True, 1e30])
def test_an_unreadable_time_does_not_lose_the_event(stamp: object) -> None:
    (update,) = read(event("delivered", timestamp=stamp)).news
    assert isinstance(update, TouchUpdate)
    assert update.at is None


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b"{}", b"5"])
def test_malformed_bodies(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(raw)
