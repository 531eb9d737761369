"""The real SendGrid SDK sends mail to the carrier."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import requests
from python_http_client.exceptions import BadRequestsError, UnauthorizedError
from sendgrid.helpers.mail import CustomArg, Header, Mail

from sandbox.keys import PRIVATE, PUBLIC, ensure_sendgrid_keys
from tests.sandbox.world import MAIL_KEY, Carrier, Receiver


def mail(to: str, touch: str = "t-1") -> Mail:
    one = Mail("care@example.com", to, "Your question", "Hello there", "<p>Hello there</p>")
    one.add_custom_arg(CustomArg("touch_id", touch))
    one.add_header(Header("List-Unsubscribe", "<https://example.com/u/1>"))
    return one


def events(receiver: Receiver) -> list[dict[str, str]]:
    return [event for got in receiver.all("/events") for event in got.json]


def test_mail_is_kept_and_its_events_are_signed(carrier: Carrier, receiver: Receiver) -> None:
    answer = carrier.sendgrid().send(mail("lead@example.com"))
    assert answer.status_code == 202
    message_id = answer.headers["X-Message-Id"]
    (row,) = carrier.outbox(channel="email")
    assert (row["to"], row["from"], row["subject"]) == ("lead@example.com", "care@example.com", "Your question")
    assert (row["text"], row["html"], row["touch_id"]) == ("Hello there", "<p>Hello there</p>", "t-1")
    assert row["headers"]["List-Unsubscribe"] == "<https://example.com/u/1>"
    assert MAIL_KEY not in json.dumps(row)
    (got,) = receiver.wait_for("/events")
    assert got.signed_by_sendgrid(carrier.public_key)
    assert [event["event"] for event in got.json] == ["processed", "delivered"]
    for event in got.json:
        assert event["touch_id"] == "t-1"
        assert event["email"] == "lead@example.com"
        assert event["sg_message_id"].startswith(message_id + ".")
        assert isinstance(event["timestamp"], int)
    assert len({event["sg_event_id"] for event in got.json}) == 2


@pytest.mark.parametrize(
    ("to", "expected", "kind"),
    [
        ("bounce@example.com", ["processed", "bounce"], "bounce"),
        ("lead+bounce@example.com", ["processed", "bounce"], "bounce"),
        ("lead+blocked@example.com", ["processed", "bounce"], "blocked"),
        ("lead+dropped@example.com", ["dropped"], None),
        ("lead+spam@example.com", ["processed", "delivered", "spamreport"], None),
    ],
)
def test_addresses_with_a_meaning(
    carrier: Carrier, receiver: Receiver, to: str, expected: list[str], kind: str | None
) -> None:
    carrier.sendgrid().send(mail(to))
    receiver.wait(lambda: len(events(receiver)) >= len(expected))
    assert [event["event"] for event in events(receiver)] == expected
    assert events(receiver)[-1].get("type") == kind


def test_refusals(carrier: Carrier) -> None:
    with pytest.raises(UnauthorizedError):
        carrier.sendgrid("SG.wrong").send(mail("lead@example.com"))
    with pytest.raises(BadRequestsError) as refused:
        carrier.sendgrid().client.mail.send.post(request_body={"from": {"email": "care@example.com"}})
    (error,) = json.loads(refused.value.body)["errors"]
    assert error["field"] == "personalizations"
    with pytest.raises(BadRequestsError):
        carrier.sendgrid().send(mail("lead@nowhere"))
    assert carrier.outbox() == []


def test_the_key_pair_is_made_once(tmp_path: Path) -> None:
    public = ensure_sendgrid_keys(tmp_path)
    assert ensure_sendgrid_keys(tmp_path) == public
    assert (tmp_path / PUBLIC).read_text().strip() == public
    assert stat.S_IMODE((tmp_path / PRIVATE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "odd",
    [
        {"subject": "\ud800"},
        {"mail_settings": "x"},
        {"mail_settings": {"sandbox_mode": None}},
        {"categories": 5},
        {"headers": "x"},
        {"content": [{"type": {}, "value": "x"}]},
    ],
)
def test_a_mail_of_another_shape_is_refused_and_not_kept(carrier: Carrier, odd: dict[str, Any]) -> None:
    mail: dict[str, Any] = {
        "personalizations": [{"to": [{"email": "lead@example.com"}]}],
        "from": {"email": "care@example.com"},
        "subject": "Your question",
        "content": [{"type": "text/plain", "value": "Hello"}],
    }
    key = {"Authorization": f"Bearer {MAIL_KEY}"}
    answer = requests.post(f"{carrier.base}/v3/mail/send", json=mail | odd, headers=key, timeout=5)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["message"]
    assert carrier.outbox() == []
