"""The tables of those who work on leads: what is on its way, limits, keys, the audit trail, versions, the sweep."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from store.columns import CLOCK, NOW, metadata, moment, number, own_id, sealed, sealed_json, uuid, words

# What Temporal has yet to hear; a row lives until it is delivered.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True),
    uuid("lead_id"),
    words("kind"),  # start | signal
    words("signal", null=True),
    number("fact_no"),
    moment("created_at", server_default=CLOCK),  # real
    number("attempts", server_default=text("0")),
    moment("not_before", server_default=NOW),  # real
    number("priority", server_default=text("2")),  # see domain.priority
    Column("first", JSONB, nullable=True),  # see outbox.Entry
    Index(None, "priority", "id"),
    Index(None, "lead_id", "priority", "id"),
)

# Until when a channel waits for its provider, and how many touches of it do.
brakes = Table(
    "brakes",
    metadata,
    words("channel", primary_key=True),
    moment("until"),  # real
    number("waiting"),
    number("inquiries", server_default=text("0")),  # that wait: of who has just asked, in a line of their own
)

# How much of a channel was handed over in a day, where that is limited.
day_counts = Table(
    "day_counts",
    metadata,
    words("channel", primary_key=True),
    words("day", primary_key=True),  # a date
    number("taken"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True),
    moment("at", server_default=CLOCK),  # real
    words("actor_id"),
    words("actor_name"),
    words("role"),
    words("action"),
    uuid("lead_id", null=True),
    words("detail", null=True),  # never of a person
    Index(None, "lead_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    words("actor_id", primary_key=True),
    words("key", primary_key=True),  # its keyed hash in hex: callers take addresses of people as keys
    Column("body_hash", LargeBinary, nullable=False),
    number("status", null=True),  # null until the answer is known, seen by its own transaction only
    sealed_json("answer"),
    moment("created_at", server_default=NOW),  # real
)

api_keys = Table(
    "api_keys",
    metadata,
    own_id(),
    words("name"),
    words("role"),
    Column("facilities", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    sealed("phone"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    moment("created_at", server_default=NOW),  # real
    moment("revoked_at", null=True),  # real
    moment("last_used_at", null=True),  # real, to the minute
)

sequence_versions = Table(
    "sequence_versions",
    metadata,
    words("key", primary_key=True),
    number("version", primary_key=True, autoincrement=False),
    words("code"),
    words("content_hash"),
    Column("content", JSONB, nullable=False),
    moment("published_at"),
    UniqueConstraint("key", "content_hash"),
)

# What the last sweep found of each kind (`oldest` in real seconds), and what all of them have repaired.
sweep_tallies = Table(
    "sweep_tallies",
    metadata,
    words("kind", primary_key=True),
    number("found"),
    Column("repaired", BigInteger, nullable=False),
    Column("oldest", Float(53), nullable=False),
    moment("swept_at"),  # real
)

# Whose clock was found apart from the database's.
odd_clocks = Table(
    "odd_clocks",
    metadata,
    words("host", primary_key=True),
    number("times"),
    Column("apart", Float(53), nullable=False),  # seconds that the database's was ahead
    moment("last_at", server_default=CLOCK),  # real
)

# The revisions whose programs can work with this schema, though theirs is older (store/migrate.py).
schema_fits = Table("schema_fits", metadata, words("revision", primary_key=True))

# One row: where this database lives, and when workers were last at work on it.
homes = Table(
    "homes",
    metadata,
    Column("id", Boolean, primary_key=True),
    words("place"),
    words("written_by"),  # the transaction that wrote the row: in a copy another one has
    moment("alive_at"),  # real
    Column("worked", Boolean, nullable=False, server_default=text("false")),
    moment("restored_at", null=True),  # real; set from when a copy was put back until it was compared
)
