"""Faults are repeatable, and rules that cannot be are refused by name."""

from pathlib import Path
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from sandbox.book import Step
from sandbox.faults import Fate
from tests.sandbox.sending import HOUR, faults, text
from tests.sandbox.world import MAIL_KEY, Carrier, Receiver, config_for, running


def heard(carrier: Carrier, receiver: Receiver) -> str:
    try:
        text(carrier, receiver)
    except TwilioRestException as error:
        return str(error.status)
    except requests.exceptions.ConnectionError:
        return "cut"
    return "taken"


MIXED: dict[str, Any] = {
    "seed": 11,
    "error_rate": 0.25,
    "error_status": 503,
    "lose_answer_rate": 0.25,
    "error_after_accept_rate": 0.25,
    "accept_late_rate": 0.25,
    "accept_late_ms": HOUR,
}


def test_the_same_seed_gives_the_same_faults_also_over_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    config = config_for(tmp_path, receiver)
    with running(config) as carrier:
        runs = []
        for _ in range(2):
            carrier.ask("POST", "/_sandbox/faults", MIXED)
            runs.append(([heard(carrier, receiver) for _ in range(16)], len(carrier.outbox())))
            carrier.ask("DELETE", "/_sandbox/outbox")
        assert set(runs[0][0]) == {"taken", "cut", "503"}
        assert runs[0] == runs[1]
        carrier.ask("POST", "/_sandbox/faults", MIXED)
        half = [heard(carrier, receiver) for _ in range(8)]
    with running(config) as carrier:
        assert carrier.ask("GET", "/_sandbox/faults") == (200, MIXED)
        assert half + [heard(carrier, receiver) for _ in range(8)] == runs[0][0]


def test_what_one_fault_draws_moves_no_other(carrier: Carrier, receiver: Receiver) -> None:
    carrier.ask("POST", "/_sandbox/faults", {"seed": 3, "error_rate": 0.5})
    plain = [heard(carrier, receiver) for _ in range(12)]
    more = {"drop_callback_rate": 0.5, "callback_delay_ms": [0, 5], "refuse_rate": 0.5, "list_lag_ms": 5}
    carrier.ask("POST", "/_sandbox/faults", {"seed": 3, "error_rate": 0.5, **more})
    assert [heard(carrier, receiver) for _ in range(12)] == plain
    assert set(plain) == {"taken", "500"}


def test_a_messages_callbacks_are_drawn_from_its_own_key() -> None:
    steps = [Step(1.0, "twilio", {}, "http://127.0.0.1/status", "SM1", status) for status in ("sent", "delivered")]
    fates = [Fate(drop=0.3, duplicate=0.3, delay=(0, 9), key=f"7/{n}") for n in range(400)]
    first = [fate.spread(steps) for fate in fates]
    assert [Fate.load(fate.dump()).spread(steps) for fate in fates] == first
    callbacks = [[step for step in spread if step.url] for spread in first]
    assert {len(found) for found in callbacks} == {0, 1, 2, 3, 4}
    assert all(step.status is None and 1.0 <= step.due <= 10.0 for found in callbacks for step in found)
    for spread in first:  # the statuses themselves: each once, in its time
        assert [(step.status, step.due) for step in spread if step.status] == [("sent", 1.0), ("delivered", 1.0)]


# --- refused rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"eror_rate": 0.5}, "eror_rate"),
        ({"error_rate": 2}, "error_rate"),
        ({"to": 5}, "to"),
        ({"error_after_accept_rate": -0.1}, "error_after_accept_rate"),
        ({"accept_late_rate": "often"}, "accept_late_rate"),
        ({"accept_late_ms": -1}, "accept_late_ms"),
        ({"list_lag_ms": HOUR + 1}, "list_lag_ms"),
        ({"drop_callback_rate": 1.1}, "drop_callback_rate"),
        ({"duplicate_callback_rate": None}, "duplicate_callback_rate"),
        ({"callback_delay_ms": 100}, "callback_delay_ms"),
        ({"callback_delay_ms": [100]}, "callback_delay_ms.1"),
        ({"callback_delay_ms": [200, 100]}, "callback_delay_ms"),
        ({"retry_after_s": 1.5}, "retry_after_s"),
    ],
)
def test_faults_that_cannot_be_are_refused_by_name(carrier: Carrier, rules: dict[str, Any], field: str) -> None:
    kept = {"seed": 1, "list_lag_ms": 5.0}
    faults(carrier, **kept)
    status, problem = carrier.ask("POST", "/_sandbox/faults", rules)
    assert (status, problem["field"]) == (422, field)
    assert field in problem["detail"]
    assert carrier.ask("GET", "/_sandbox/faults") == (200, kept)


def test_sendgrids_own_sandbox_mode_meets_no_faults(carrier: Carrier) -> None:
    faults(carrier, error_rate=1.0)
    checked: dict[str, Any] = {
        "personalizations": [{"to": [{"email": "lead@example.com"}]}],
        "from": {"email": "care@example.com"},
        "subject": "Your question",
        "content": [{"type": "text/plain", "value": "Hello"}],
        "mail_settings": {"sandbox_mode": {"enable": True}},
    }
    key = {"Authorization": f"Bearer {MAIL_KEY}"}
    assert requests.post(f"{carrier.base}/v3/mail/send", json=checked, headers=key, timeout=5).status_code == 200
    assert carrier.outbox() == []
