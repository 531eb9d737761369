"""What the carrier keeps on disk of messages and calls: all that reached it, and what is still to follow from them.

Every write is committed before its method returns, so an answer given after it is never given in vain. Calls take well
under a millisecond and run on the event loop's thread.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.times import iso

INBOUND = "inbound"
REPLY = "outbound-reply"  # the carrier's own
LEG = "outbound-dial"  # the other party of a <Dial>
_COLUMNS = (
    "id, channel, to_address, from_address, at, touch_id, content, headers, request, status, state, direction,"
    " listed_at, parent"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message or a call. `at` is real time; `state` is what the provider came to know of it.

    `direction` is Twilio's word. The provider's lists show it from `listed_at` on (empty: at once).
    """

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
    direction: str = "outbound-api"
    listed_at: str = ""
    parent: str | None = None
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


def _nothing(_changed: Sent) -> Iterable[Step]:
    return ()


class Book:
    """The carrier's books. Raises sqlite3.Error if the disk refuses."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # --- what reached it ---------------------------------------------------------------------------------------------

    def keep(self, sent: Iterable[Sent], steps: Iterable[Step] = (), late: int | None = None) -> list[Step]:
        """Keeps messages and what will follow from them, together; `late` is then done with. The steps come back
        with their ids."""
        with self._db:
            self._db.executemany(
                f"INSERT INTO sent ({_COLUMNS}) VALUES ({','.join('?' * 14)})",  # noqa: S608 - our own columns
                [_values(one) for one in sent],
            )
            if late is not None:
                self._db.execute("DELETE FROM late WHERE id = ?", (late,))
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
        """What was asked of the carrier and what it said itself, oldest first; the cursor of the next page if there
        is more. Legs of a <Dial> are in the list of calls only."""
        where, terms = ["seq > ?", "direction IN ('outbound-api', ?)"], [self._before(after, since), REPLY]
        # a plus sign tells SQLite not to go by that index
        for column, value in (
            ("to_address = ? COLLATE NOCASE", to),
            ("channel = ?", channel),
            ("+at >= ?", since),
        ):
            if value is not None:
                where.append(column)
                terms.append(value)
        return _page(self.select(" AND ".join(where), terms, "seq", limit + 1), limit)

    def _before(self, after: int, since: str | None) -> int:
        """The number after which the outbox need be read: of the cursor, of what was cleared, of what is too old."""
        cleared = self._db.execute("SELECT seq FROM cleared").fetchone()
        least = max(after, cleared[0] if cleared else 0)
        if since is None:
            return least
        first = self._db.execute("SELECT min(+seq) FROM sent WHERE at >= ?", (since,)).fetchone()[0]
        return 2**62 if first is None else max(least, first - 1)

    def clear_outbox(self) -> None:
        """Empties the outbox; the provider's own lists (and callbacks under way) stay, as with a real one."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO cleared SELECT 1, coalesce(max(seq), 0) FROM sent")

    def change(
        self,
        sent_id: str,
        status: str | None,
        state: dict[str, Any],
        follow: Callable[[Sent], Iterable[Step]] = _nothing,
    ) -> list[Step]:
        """Sets the status, merges into the state and keeps the steps that follow from it, together."""
        with self._db:
            changed = self._change(sent_id, status, state)
            return [] if changed is None else [self._add(step) for step in follow(changed)]

    def last_sender(self, to: str) -> str | None:
        """The number of ours that last wrote to or called this one."""
        row = self._db.execute(
            "SELECT from_address FROM sent WHERE to_address = ? COLLATE NOCASE AND channel != 'email'"
            " AND direction != ? ORDER BY seq DESC LIMIT 1",
            (to, INBOUND),
        ).fetchone()
        return None if row is None else str(row[0])

    def inbound(self, after: int, limit: int) -> tuple[list[Sent], int | None]:
        """What people sent, oldest first, and the cursor of the next page if there is more."""
        return _page(self.select("direction = ? AND seq > ?", (INBOUND, after), "seq", limit + 1), limit)

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

    def keep_late(self, due: float, given: dict[str, Any]) -> int:
        """Keeps a request that will be taken only at `due` (epoch seconds, real)."""
        with self._db:
            done = self._db.execute("INSERT INTO late (due, given) VALUES (?,?)", (due, json.dumps(given)))
        return done.lastrowid or 0

    def late(self) -> list[tuple[int, float, dict[str, Any]]]:
        """Id, due time and content of every request that is still to be taken."""
        rows = self._db.execute("SELECT id, due, given FROM late ORDER BY due")
        return [(row["id"], row["due"], json.loads(row["given"])) for row in rows]

    def _add(self, step: Step) -> Step:
        done = self._db.execute(
            "INSERT INTO steps (due, sent_id, status, error_code, provider, url, payload) VALUES (?,?,?,?,?,?,?)",
            (step.due, step.sent_id, step.status, step.error_code, step.provider, step.url, json.dumps(step.payload)),
        )
        known = {name: getattr(step, name) for name in Step.__slots__ if name != "id"}
        return Step(**known, id=done.lastrowid or 0)


def _page(rows: list[Sent], limit: int) -> tuple[list[Sent], int | None]:
    """Of rows selected with one more than the limit."""
    return rows[:limit], rows[limit - 1].seq if len(rows) > limit else None


def _values(sent: Sent) -> tuple[Any, ...]:
    content, headers, request, state = map(json.dumps, (sent.content, sent.headers, sent.request, sent.state))
    known = (sent.id, sent.channel, sent.to, sent.sender, sent.at, sent.touch_id)
    return (*known, content, headers, request, sent.status, state, sent.direction, sent.listed_at, sent.parent)


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
        direction=row["direction"],
        listed_at=row["listed_at"],
        parent=row["parent"],
        seq=row["seq"],
    )
