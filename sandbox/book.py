"""What the carrier keeps on disk: all that reached it, callbacks still to send, inbound messages, personas, faults.

Every write is committed before its method returns, so an answer given after it is never given in vain. Calls take well
under a millisecond and run on the event loop's thread.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.times import iso

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, to_address TEXT NOT NULL,
  from_address TEXT NOT NULL, at TEXT NOT NULL, touch_id TEXT, content TEXT NOT NULL, headers TEXT NOT NULL,
  request TEXT NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL, cleared INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS sent_to ON sent (to_address, seq);
CREATE TABLE IF NOT EXISTS steps (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, sent_id TEXT,
  status TEXT, error_code INTEGER, provider TEXT NOT NULL, url TEXT, payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS inbound (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, channel TEXT NOT NULL, from_address TEXT NOT NULL,
  to_address TEXT NOT NULL, body TEXT, at TEXT NOT NULL, status INTEGER, answer TEXT
);
CREATE TABLE IF NOT EXISTS personas (
  to_address TEXT PRIMARY KEY, persona TEXT NOT NULL, in_turn INTEGER NOT NULL, acted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS stopped (address TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS faults (one INTEGER PRIMARY KEY CHECK (one = 1), rules TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """Something that reached the carrier. `at` is real time; `state` is what the provider came to know of it."""

    id: str
    channel: str
    to: str = field(repr=False)
    sender: str = field(repr=False)
    at: str
    touch_id: str | None
    content: dict[str, Any] = field(repr=False)
    headers: dict[str, Any] = field(repr=False)
    request: Any = field(repr=False)
    status: str
    state: dict[str, Any] = field(default_factory=dict, repr=False)
    seq: int = 0

    def row(self) -> dict[str, Any]:
        """As the outbox lists it."""
        return {
            "id": self.id,
            "channel": self.channel,
            "to": self.to,
            "from": self.sender,
            **self.content,
            "at": self.at,
            "touch_id": self.touch_id,
            "headers": self.headers,
            "request": self.request,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """Something due later (epoch seconds, real): a change of status, a callback, or both."""

    due: float
    provider: str  # whose signature the callback bears: twilio or sendgrid
    payload: Any = field(repr=False)
    url: str | None = field(default=None, repr=False)
    sent_id: str | None = None
    status: str | None = None
    error_code: int | None = None
    tries: int = 0
    id: int = 0


class Book:
    """The carrier's memory in `directory`/carrier.sqlite. Raises sqlite3.Error if the disk refuses."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "carrier.sqlite", check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # --- what reached it ---------------------------------------------------------------------------------------------

    def keep(self, sent: Iterable[Sent], steps: Iterable[Step] = ()) -> list[Step]:
        """Keeps messages and what will follow from them, together. The steps come back with their ids."""
        with self._db:
            self._db.executemany(
                "INSERT INTO sent (id, channel, to_address, from_address, at, touch_id, content, headers, request,"
                " status, state) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [_values(one) for one in sent],
            )
            return [self._add(step) for step in steps]

    def get(self, sent_id: str, channel: str | None = None) -> Sent | None:
        row = self._db.execute("SELECT * FROM sent WHERE id = ?", (sent_id,)).fetchone()
        return None if row is None or (channel and row["channel"] != channel) else _sent(row)

    def select(self, where: str, values: Iterable[Any], order: str, limit: int) -> list[Sent]:
        """Rows of `sent`; `where` and `order` are SQL written here in the sandbox, never taken from a request."""
        query = f"SELECT * FROM sent WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [_sent(row) for row in self._db.execute(query, (*values, limit))]

    def outbox(
        self, *, to: str | None, channel: str | None, since: str | None, after: int, limit: int
    ) -> tuple[list[Sent], int | None]:
        """Oldest first, and the cursor of the next page if there is more."""
        where, values = ["cleared = 0", "seq > ?"], [after]
        terms: list[Any] = list(values)
        for column, value in (("to_address = ? COLLATE NOCASE", to), ("channel = ?", channel), ("at >= ?", since)):
            if value is not None:
                where.append(column)
                terms.append(value)
        rows = self.select(" AND ".join(where), terms, "seq", limit + 1)
        return rows[:limit], rows[limit - 1].seq if len(rows) > limit else None

    def clear_outbox(self) -> None:
        """Empties the outbox; the provider's own lists (and callbacks under way) stay, as with a real one."""
        with self._db:
            self._db.execute("UPDATE sent SET cleared = 1 WHERE cleared = 0")

    def change(self, sent_id: str, status: str | None, **state: Any) -> Sent | None:
        """Sets the status and merges into the state."""
        with self._db:
            return self._change(sent_id, status, state)

    def last_sender(self, to: str) -> str | None:
        """The number of ours that last wrote to or called this one."""
        row = self._db.execute(
            "SELECT from_address FROM sent WHERE to_address = ? AND channel != 'email' ORDER BY seq DESC LIMIT 1", (to,)
        ).fetchone()
        return None if row is None else str(row[0])

    def _change(self, sent_id: str, status: str | None, state: dict[str, Any]) -> Sent | None:
        sent = self.get(sent_id)
        if sent is None:
            return None
        merged = {**sent.state, **state, "updated_at": iso(datetime.now(UTC))}
        self._db.execute(
            "UPDATE sent SET status = ?, state = ? WHERE id = ?", (status or sent.status, json.dumps(merged), sent_id)
        )
        return self.get(sent_id)

    # --- what is still to do -----------------------------------------------------------------------------------------

    def add_step(self, step: Step) -> Step:
        with self._db:
            return self._add(step)

    def pending(self) -> list[tuple[float, int]]:
        """Due time and id of every step not done."""
        return [(row["due"], row["id"]) for row in self._db.execute("SELECT due, id FROM steps")]

    def begin_step(self, step_id: int) -> tuple[Step, Sent | None] | None:
        """Counts the try and, at the first, lets the change of status take place (then the message comes along)."""
        with self._db:
            row = self._db.execute("SELECT * FROM steps WHERE id = ?", (step_id,)).fetchone()
            if row is None:
                return None
            values = {key: row[key] for key in row.keys() if key != "payload"}  # noqa: SIM118
            step = Step(payload=json.loads(row["payload"]), **values)
            changed = None
            if step.tries == 0 and step.sent_id and step.status:
                state: dict[str, Any] = {}
                if step.error_code is not None:
                    state["error_code"] = step.error_code
                if step.status in {"sent", "undelivered", "failed"}:
                    known = self.get(step.sent_id)
                    state["sent_at"] = (known.state.get("sent_at") if known else None) or iso(datetime.now(UTC))
                changed = self._change(step.sent_id, step.status, state)
            self._db.execute("UPDATE steps SET tries = tries + 1 WHERE id = ?", (step_id,))
            return step, changed

    def put_off(self, step_id: int, due: float) -> None:
        with self._db:
            self._db.execute("UPDATE steps SET due = ? WHERE id = ?", (due, step_id))

    def end_step(self, step_id: int) -> None:
        with self._db:
            self._db.execute("DELETE FROM steps WHERE id = ?", (step_id,))

    def _add(self, step: Step) -> Step:
        done = self._db.execute(
            "INSERT INTO steps (due, sent_id, status, error_code, provider, url, payload) VALUES (?,?,?,?,?,?,?)",
            (step.due, step.sent_id, step.status, step.error_code, step.provider, step.url, json.dumps(step.payload)),
        )
        known = {name: getattr(step, name) for name in Step.__slots__ if name != "id"}
        return Step(**known, id=done.lastrowid or 0)

    # --- what came in ------------------------------------------------------------------------------------------------

    def keep_inbound(self, inbound_id: str, channel: str, sender: str, to: str, body: str | None) -> None:
        with self._db:
            self._db.execute(
                "INSERT INTO inbound (id, channel, from_address, to_address, body, at) VALUES (?,?,?,?,?,?)",
                (inbound_id, channel, sender, to, body, iso(datetime.now(UTC))),
            )

    def answered(self, inbound_id: str, status: int, answer: str) -> None:
        with self._db:
            self._db.execute("UPDATE inbound SET status = ?, answer = ? WHERE id = ?", (status, answer, inbound_id))

    def inbound(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Oldest first, and the cursor of the next page if there is more."""
        rows = self._db.execute(
            "SELECT seq, id, channel, from_address AS 'from', to_address AS 'to', body, at, status, answer"
            " FROM inbound WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit + 1),
        ).fetchall()
        items = [{key: row[key] for key in row.keys() if key != "seq"} for row in rows[:limit]]  # noqa: SIM118
        return items, rows[limit - 1]["seq"] if len(rows) > limit else None

    # --- people and faults -------------------------------------------------------------------------------------------

    def persona(self, to: str) -> str | None:
        row = self._db.execute("SELECT persona FROM personas WHERE to_address = ?", (to,)).fetchone()
        return None if row is None else str(row[0])

    def personas(self) -> list[dict[str, str]]:
        rows = self._db.execute("SELECT to_address, persona FROM personas ORDER BY rowid")
        return [{"to": row[0], "persona": row[1]} for row in rows]

    def met_in_turn(self) -> int:
        """How many numbers got their persona by turn."""
        return int(self._db.execute("SELECT count(*) FROM personas WHERE in_turn = 1").fetchone()[0])

    def set_persona(self, to: str, persona: str, *, in_turn: bool) -> None:
        with self._db:
            self._db.execute(
                "INSERT INTO personas (to_address, persona, in_turn) VALUES (?,?,?) ON CONFLICT (to_address)"
                " DO UPDATE SET persona = excluded.persona, acted = 0",
                (to, persona, int(in_turn)),
            )

    def has_acted(self, to: str) -> bool:
        row = self._db.execute("SELECT acted FROM personas WHERE to_address = ?", (to,)).fetchone()
        return bool(row and row[0])

    def set_acted(self, to: str) -> None:
        with self._db:
            self._db.execute("UPDATE personas SET acted = 1 WHERE to_address = ?", (to,))

    def is_stopped(self, address: str) -> bool:
        return self._db.execute("SELECT 1 FROM stopped WHERE address = ?", (address,)).fetchone() is not None

    def set_stopped(self, address: str, stopped: bool) -> None:
        with self._db:
            if stopped:
                self._db.execute("INSERT OR IGNORE INTO stopped VALUES (?)", (address,))
            else:
                self._db.execute("DELETE FROM stopped WHERE address = ?", (address,))

    def faults(self) -> dict[str, Any]:
        row = self._db.execute("SELECT rules FROM faults").fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def set_faults(self, rules: dict[str, Any]) -> None:
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO faults VALUES (1, ?)", (json.dumps(rules),))


def _values(sent: Sent) -> tuple[Any, ...]:
    content, headers, request, state = map(json.dumps, (sent.content, sent.headers, sent.request, sent.state))
    known = (sent.id, sent.channel, sent.to, sent.sender, sent.at, sent.touch_id)
    return (*known, content, headers, request, sent.status, state)


def _sent(row: sqlite3.Row) -> Sent:
    return Sent(
        id=row["id"],
        channel=row["channel"],
        to=row["to_address"],
        sender=row["from_address"],
        at=row["at"],
        touch_id=row["touch_id"],
        content=json.loads(row["content"]),
        headers=json.loads(row["headers"]),
        request=json.loads(row["request"]),
        status=row["status"],
        state=json.loads(row["state"]),
        seq=row["seq"],
    )
