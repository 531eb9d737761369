"""The carrier's database: what its tables hold, and how a file of an earlier version becomes one of this."""

import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, to_address TEXT NOT NULL,
  from_address TEXT NOT NULL, at TEXT NOT NULL, touch_id TEXT, content TEXT NOT NULL, headers TEXT NOT NULL,
  request TEXT NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL,
  direction TEXT NOT NULL, listed_at TEXT NOT NULL, parent TEXT
);
CREATE INDEX IF NOT EXISTS sent_by_to ON sent (to_address COLLATE NOCASE, channel, seq);
CREATE INDEX IF NOT EXISTS sent_by_from ON sent (from_address COLLATE NOCASE, channel, seq);
CREATE INDEX IF NOT EXISTS sent_by_channel ON sent (channel, seq);
CREATE INDEX IF NOT EXISTS sent_by_parent ON sent (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS sent_by_at ON sent (at);
CREATE TABLE IF NOT EXISTS cleared (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, sent_id TEXT,
  status TEXT, error_code INTEGER, provider TEXT NOT NULL, url TEXT, payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS late (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due REAL NOT NULL, given TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS personas (
  to_address TEXT PRIMARY KEY, persona TEXT NOT NULL, in_turn INTEGER NOT NULL, acted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS stopped (address TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS fault_rules (
  one INTEGER PRIMARY KEY CHECK (one = 1), rules TEXT NOT NULL, seed TEXT NOT NULL, judged INTEGER NOT NULL
);
"""

# of 0.1.0, which kept inbound messages apart and marked each row that was cleared from the outbox
_FROM_0_1_0 = """
DROP INDEX sent_to;
DROP TABLE faults;
ALTER TABLE sent ADD COLUMN direction TEXT NOT NULL DEFAULT 'outbound-api';
ALTER TABLE sent ADD COLUMN listed_at TEXT NOT NULL DEFAULT '';
ALTER TABLE sent ADD COLUMN parent TEXT;
CREATE TABLE cleared (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
INSERT INTO cleared SELECT 1, coalesce(max(seq), 0) FROM sent WHERE cleared = 1;
INSERT INTO sent (id, channel, to_address, from_address, at, content, headers, request, status, state, direction)
  SELECT id, channel, to_address, from_address, at, json_object('body', body), '{}', '{}',
    iif(channel = 'sms', 'received', 'completed'),
    json_object('updated_at', at, 'sent_at', at, 'started_at', at, 'ended_at', at,
                'answer_status', status, 'answer', answer),
    'inbound' FROM inbound ORDER BY seq;
DROP TABLE inbound;
"""


def connect(directory: Path) -> sqlite3.Connection:
    """`directory`/carrier.sqlite, made or brought up to date. Raises sqlite3.Error if the disk refuses.

    A commit outlives the process, however it ends; only a machine that loses its power may lose the last ones.
    """
    directory.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(directory / "carrier.sqlite", check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    columns = {row["name"] for row in db.execute("PRAGMA table_info(sent)")}
    if columns and "direction" not in columns:
        db.executescript(f"BEGIN;{_FROM_0_1_0}COMMIT;")
    db.executescript(_SCHEMA)
    return db
