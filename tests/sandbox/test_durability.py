"""The carrier as a process: a clean stop, a kill in the middle of everything, and a file of an earlier version."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.sandbox.world import (
    ACCOUNT,
    DEADLINE,
    FROM,
    MAIL_KEY,
    TOKEN,
    Carrier,
    Receiver,
    config_for,
    running,
)

TO = "+12125550140"


def command(directory: Path, receiver: Receiver, port: int) -> list[str]:
    (directory / "token").write_text(TOKEN + "\n")
    (directory / "mail").write_text(MAIL_KEY + "\n")
    given = {
        "port": port,
        "dir": directory / "carrier",
        "account-sid": ACCOUNT,
        "auth-token-file": directory / "token",
        "sendgrid-api-key-file": directory / "mail",
        "inbound-sms-url": f"{receiver.base}/sms",
        "inbound-voice-url": f"{receiver.base}/voice",
        "email-events-url": f"{receiver.base}/events",
    }
    return [sys.executable, "-m", "sandbox", *(part for name, v in given.items() for part in (f"--{name}", str(v)))]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def process(directory: Path, receiver: Receiver, port: int) -> Iterator[tuple[Carrier, subprocess.Popen[bytes]]]:
    """A carrier that answers; killed at the end if it still runs."""
    child = subprocess.Popen(command(directory, receiver, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    carrier = Carrier(f"http://127.0.0.1:{port}", directory / "carrier")

    def healthy() -> bool:
        assert child.poll() is None, child.communicate()[0]
        try:
            return carrier.ask("GET", "/healthz") == (200, {"status": "ok"})
        except OSError:
            return False

    try:
        carrier.eventually(healthy)
        yield carrier, child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def text(carrier: Carrier, receiver: Receiver, touch: str) -> str:
    url = f"{receiver.base}/status?touch={touch}"
    return str(carrier.twilio().messages.create(to=TO, from_=FROM, body="Hello", status_callback=url).sid)


def test_it_runs_as_a_process_and_stops_cleanly(tmp_path: Path, receiver: Receiver) -> None:
    port = free_port()
    refused = subprocess.run(
        [*command(tmp_path, receiver, port), "--personas", "books"],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert refused.returncode == 1
    assert "--api" in refused.stderr
    assert refused.stderr.count("\n") == 1
    with process(tmp_path, receiver, port) as (carrier, child):
        text(carrier, receiver, "t-1")
        receiver.wait_for("/status", 2)
        os.kill(child.pid, signal.SIGTERM)
        output, _ = child.communicate(timeout=DEADLINE)
        assert child.returncode == 0, output
        assert output == b""


def test_what_was_answered_outlives_a_kill(tmp_path: Path, receiver: Receiver) -> None:
    """Some answers are cut off by the kill; what was answered is there once, its callbacks come, what was late too."""
    port, answered, enough = free_port(), dict[str, str](), threading.Event()
    late = {"to": "+12125550141", "accept_late_rate": 1, "accept_late_ms": 1000}
    with process(tmp_path, receiver, port) as (carrier, child):
        carrier.ask("POST", "/_sandbox/faults", late)
        form = {"To": late["to"], "From": FROM, "Body": "Hello"}
        url = f"{carrier.base}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        for _ in range(5):
            try:
                requests.post(url, data=form, auth=(ACCOUNT, TOKEN), timeout=DEADLINE)
            except requests.exceptions.ConnectionError:
                continue
            raise AssertionError("a late acceptance was answered")

        def send(sender: int) -> None:
            for n in range(10_000):
                touch = f"t-{sender}-{n}"
                try:
                    answered[touch] = text(carrier, receiver, touch)
                except requests.exceptions.RequestException:
                    return
                if len(answered) >= 60:
                    enough.set()

        senders = [threading.Thread(target=send, args=(n,)) for n in range(3)]
        for thread in senders:
            thread.start()
        assert enough.wait(DEADLINE)
        child.kill()
        for thread in senders:
            thread.join()
    with process(tmp_path, receiver, port) as (carrier, _):
        assert carrier.ask("GET", "/_sandbox/faults")[1] == late
        rows = {row["touch_id"]: row["id"] for row in carrier.outbox(to=TO, limit=1000)}
        assert len(rows) == len(carrier.outbox(to=TO, limit=1000))
        assert answered.items() <= rows.items()
        carrier.eventually(lambda: {one.status for one in carrier.twilio().messages.list(to=TO)} == {"delivered"})
        due = {(sid, status) for sid in answered.values() for status in ("sent", "delivered")}
        receiver.wait(
            lambda: due <= {(got.form["MessageSid"], got.form["MessageStatus"]) for got in receiver.all("/status")}
        )
        carrier.eventually(lambda: len(carrier.outbox(to=late["to"])) == 5)


OLD = """
CREATE TABLE sent (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, to_address TEXT NOT NULL,
  from_address TEXT NOT NULL, at TEXT NOT NULL, touch_id TEXT, content TEXT NOT NULL, headers TEXT NOT NULL,
  request TEXT NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL, cleared INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sent_to ON sent (to_address, seq);
CREATE TABLE inbound (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, channel TEXT NOT NULL, from_address TEXT NOT NULL,
  to_address TEXT NOT NULL, body TEXT, at TEXT NOT NULL, status INTEGER, answer TEXT
);
CREATE TABLE faults (one INTEGER PRIMARY KEY CHECK (one = 1), rules TEXT NOT NULL);
"""


def test_a_directory_of_an_earlier_version_goes_on(tmp_path: Path, receiver: Receiver) -> None:
    at = "2026-03-02T10:00:00.000+00:00"
    with sqlite3.connect(tmp_path / "carrier.sqlite") as db:
        db.executescript(OLD)
        for sid, status, cleared in (("SM1", "delivered", 1), ("SM2", "delivered", 0), ("CA1", "ringing", 0)):
            channel = "voice" if sid == "CA1" else "sms"
            state = json.dumps({"updated_at": at, "callback": None, "events": []})
            db.execute(
                "INSERT INTO sent VALUES (NULL,?,?,?,?,?,NULL,?,'{}','{}',?,?,?)",
                (sid, channel, TO, FROM, at, '{"body": "Hello"}', status, state, cleared),
            )
        db.execute("INSERT INTO inbound VALUES (NULL,'SM3','sms',?,?,'Yes',?,200,'<Response/>')", (TO, FROM, at))
    db.close()
    config = config_for(tmp_path, receiver)
    with running(config) as carrier:
        assert [row["id"] for row in carrier.outbox()] == ["SM2", "CA1"]
        (came,) = carrier.ask("GET", "/_sandbox/inbound")[1]["items"]
        assert (came["id"], came["body"], came["status"], came["answer"]) == ("SM3", "Yes", 200, "<Response/>")
        assert [one.sid for one in carrier.twilio().messages.list()] == ["SM3", "SM2", "SM1"]
        carrier.eventually(lambda: carrier.twilio().calls("CA1").fetch().status == "no-answer")
        text(carrier, receiver, "t-new")
    with running(config) as carrier:
        assert len(carrier.outbox()) == 3
