"""Personas react over HTTP, in product time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.booking import booked, first_choice, link_in
from sandbox.config import BadConfig
from tests.sandbox.world import FROM, Carrier, Got, Receiver, config_for, running, staffed

START = datetime.now(UTC) + timedelta(hours=2)  # 2 s of real time at pace 3600


def text(carrier: Carrier, to: str, body: str = "Hello") -> None:
    carrier.twilio().messages.create(to=to, from_=FROM, body=body)


@pytest.mark.parametrize(
    ("persona", "body"),
    [("eager", "Yes, please tell me more"), ("opts_out", "STOP"), ("wrong_number", "Wrong number")],
)
def test_they_reply_to_the_first_text_once(tmp_path: Path, receiver: Receiver, persona: str, body: str) -> None:
    with running(staffed(tmp_path, receiver, persona)) as carrier:
        text(carrier, "+12125550130")
        (got,) = receiver.wait_for("/sms")
        assert got.signed_by_twilio()
        assert (got.form["From"], got.form["To"], got.form["Body"]) == ("+12125550130", FROM, body)
        text(carrier, "+12125550130")
        text(carrier, "+12125550131")
        receiver.wait(lambda: "+12125550131" in receiver.statuses("/sms", "From"))
        assert receiver.statuses("/sms", "From").count("+12125550130") == 1


def test_they_are_given_in_turn_and_remembered(tmp_path: Path, receiver: Receiver) -> None:
    config = staffed(tmp_path, receiver, "silent", "coordinator", "voicemail")
    with running(config) as carrier:
        for n in range(3):
            text(carrier, f"+1212555014{n}")
        text(carrier, "+12125550140")
        status, _ = carrier.ask("POST", "/_sandbox/personas", {"to": "+12125550140", "persona": "slow"})
        assert status == 200
    with running(config) as carrier:
        text(carrier, "+12125550143")
        items = carrier.ask("GET", "/_sandbox/personas")[1]["items"]
    assert [item["persona"] for item in items] == ["slow", "voicemail", "silent", "voicemail"]


def page(got: Got) -> tuple[int, str]:
    if got.method == "GET":
        return 200, (
            '<html><form method="post"><input type="hidden" name="csrf" value="a&amp;b">'
            f'<input type="radio" name="starts_at" value="{START.isoformat()}">'
            f'<input type="radio" name="starts_at" value="{(START + timedelta(days=1)).isoformat()}"></form></html>'
        )
    return 200, f'<p data-appointment="appt-1" data-starts-at="{got.form["starts_at"]}">Booked</p>'


@pytest.mark.parametrize(("persona", "events"), [("books", ["arrived", "completed"]), ("no_show", ["no_show"])])
def test_they_book_by_the_link(tmp_path: Path, receiver: Receiver, persona: str, events: list[str]) -> None:
    receiver.answers |= {"GET /b/abc": page, "POST /b/abc": page}
    with running(staffed(tmp_path, receiver, persona)) as carrier:
        text(carrier, "+12125550150", f"Choose a time: {receiver.base}/b/abc. Reply STOP to opt out")
        (form,) = receiver.wait_for("/b/abc")
        assert form.form == {"starts_at": START.isoformat(), "csrf": "a&b"}
        told = receiver.wait_for("/v1/bookings", len(events))
        assert [got.json["event"] for got in told] == events
        assert {got.json["appointment_id"] for got in told} == {"appt-1"}
        assert {got.headers["authorization"] for got in told} == {"Bearer staff-key"}
        late = timedelta(minutes=30 if persona == "no_show" else 0)
        at = datetime.fromisoformat(told[0].json["occurred_at"])
        assert abs(at - START - late) < timedelta(milliseconds=1)


def test_who_needs_the_api_says_so(tmp_path: Path, receiver: Receiver, carrier: Carrier) -> None:
    with pytest.raises(BadConfig, match="--api"):
        config_for(tmp_path, receiver, personas=("books",))
    with pytest.raises(BadConfig, match="nobody_known"):
        config_for(tmp_path, receiver, personas=("nobody_known",))
    status, problem = carrier.ask("POST", "/_sandbox/personas", {"to": "+12125550151", "persona": "books"})
    assert (status, problem["field"]) == (422, "persona")


def test_the_page_is_read_as_a_browser_would() -> None:
    html = (
        '<form action="/x"><input type="hidden" name="other" value="1"></form><form><input type="hidden" name="a" '
        'value="2"><button name="starts_at" value="2026-01-05T10:00:00-06:00">10</button></form>'
    )
    choice = first_choice(html)
    assert choice is not None
    assert (choice.starts_at, choice.hidden) == ("2026-01-05T10:00:00-06:00", (("a", "2"),))
    assert first_choice("<form></form>") is None
    assert booked('<i data-appointment="x" data-starts-at="not a time"></i>') is None
    assert link_in("See https://example.com/b/t0k-en, please") == "https://example.com/b/t0k-en"
    assert link_in("See https://example.com/c/1") is None


class Tasks:
    """A product with one task of each kind."""

    def __init__(self, receiver: Receiver) -> None:
        self.kinds = {
            "t-call": "call",
            "t-reply": "reply",
            "t-wrong": "reply",
            "t-review": "review",
            "t-later": "call",
        }
        self.state = dict.fromkeys(self.kinds, "open")
        self.disposition: str | None = None
        self.broken = 2  # the first answers fail
        answers = receiver.answers
        answers["GET /v1/tasks"] = self.list
        for task in self.kinds:
            answers[f"GET /v1/tasks/{task}"] = lambda got, task=task: (200, json.dumps(self.show(task)))  # type: ignore[misc]
            for verb in ("claim", "dial", "complete"):
                answers[f"POST /v1/tasks/{task}/{verb}"] = (
                    lambda got, task=task, verb=verb: self.obey(task, verb)  # type: ignore[misc]
                )
        answers["POST /v1/leads/lead-1/messages"] = lambda got: (202, '{"touch_id": "x"}')

    def show(self, task: str) -> dict[str, str | None]:
        # a call is due from its time on, a reply by its time
        due = datetime.now(UTC) + timedelta(days=-1 if self.kinds[task] == "call" and task != "t-later" else 30)
        return {
            "id": task,
            "kind": self.kinds[task],
            "lead_id": "lead-1",
            "due_at": due.isoformat(),
            "state": self.state[task],
            "disposition": self.disposition if task == "t-call" else None,
            "message": "Wrong number!" if task == "t-wrong" else "Please tell me more",
        }

    def list(self, got: Got) -> tuple[int, str]:
        if self.broken:
            self.broken -= 1
            return 503, "not now"
        return 200, json.dumps({"items": [self.show(t) for t, s in self.state.items() if s == "open"]})

    def obey(self, task: str, verb: str) -> tuple[int, str]:
        if verb == "claim":
            if self.state[task] != "open":
                return 409, "{}"
            self.state[task] = "claimed"
        elif verb == "dial":
            self.disposition = "answered_by_person"
        else:
            self.state[task] = "completed"
        return 200, "{}"


def test_the_coordinator_works_through_what_is_due(tmp_path: Path, receiver: Receiver) -> None:
    tasks = Tasks(receiver)
    with running(staffed(tmp_path, receiver, "coordinator", pace="600")):
        (done,) = receiver.wait_for("/v1/tasks/t-call/complete")
        assert done.json == {
            "disposition": "answered_by_person",
            "outcome": "reached",
            "notes": "Spoke with the lead",
        }
        (answered,) = receiver.wait_for("/v1/tasks/t-reply/complete")
        assert answered.json == {"outcome": "reached", "notes": "Answered"}
        (wrong,) = receiver.wait_for("/v1/tasks/t-wrong/complete")
        assert wrong.json == {"outcome": "wrong_number", "notes": "Not their number"}
        (message,) = receiver.all("/v1/leads/lead-1/messages")
        assert message.json == {"channel": "sms", "body": "Thank you for your message. We will call you today."}
        assert {got.headers["authorization"] for got in receiver.got} == {"Bearer staff-key"}
    assert tasks.state == {
        "t-call": "completed",
        "t-reply": "completed",
        "t-wrong": "completed",
        "t-review": "open",
        "t-later": "open",
    }
