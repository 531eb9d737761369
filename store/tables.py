"""The tables, as SQLAlchemy Core sees them. `migrations/` makes them; a test holds both to be the same.

Columns named `at`, `due_at`, `*_at` hold product time unless marked real. What tells of a person is `Sealed`.
Names of constraints follow what Postgres itself would choose, so that migrations can be plain DDL.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from store.vault import Sealed, SealedJson

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

_now = text("now()")  # the start of the transaction, real
_clock = text("clock_timestamp()")  # this very moment, real


def _uuid(name: str, *args: Any, null: bool = False, **kw: Any) -> Column[str]:
    return Column(name, Uuid(as_uuid=False), *args, nullable=null, **kw)


def _text(name: str, *, null: bool = False, **kw: Any) -> Column[str]:
    return Column(name, Text, nullable=null, **kw)


def _int(name: str, *, null: bool = False, **kw: Any) -> Column[int]:
    return Column(name, Integer, nullable=null, **kw)


def _time(name: str, *, null: bool = False, **kw: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=null, **kw)


def _sealed(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, Sealed, nullable=null)


def _sealed_json(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, SealedJson, nullable=null)


def _id() -> Column[str]:
    return Column("id", Uuid(as_uuid=False), primary_key=True)


def _lead() -> Column[str]:
    return _uuid("lead_id", ForeignKey("leads.id"))


leads = Table(
    "leads",
    metadata,
    _id(),
    _time("created_at"),
    _time("recorded_at", server_default=_now),  # real
    _sealed("first_name"),
    _sealed("last_name"),
    _sealed("concern"),
    _sealed("service_line"),
    _sealed("postal_code"),
    _sealed_json("details"),  # insurance, best times and what else the form said
    Column("name_index", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'")),  # of an earlier release
    _text("urgency"),
    _text("language", null=True),
    _text("preferred_facility", null=True),
    _text("timezone", null=True),
    Column("channels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("is_test", Boolean, nullable=False, server_default=text("false")),
    # from here on the projection of the facts, written anew with each of them
    _text("state"),
    _text("stage"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    _text("exit_reason", null=True),
    _text("sequence", null=True),
    _int("sequence_version", null=True),
    _int("enrollment", server_default=text("0")),
    _text("next_step", null=True),
    _text("next_kind", null=True),
    _text("next_channel", null=True),
    _time("next_at", null=True),
    _text("next_reason", null=True),
    _int("last_fact", server_default=text("0")),
    _uuid("owner", null=True),  # the id of a key
    _time("finished_at", null=True),
    Index(None, "state"),
    Index(None, "stage"),
    Index(None, "preferred_facility"),
)
Index("leads_created_at_id_idx", leads.c.created_at.desc(), leads.c.id.desc())
# What the sweep goes through.
_living = leads.c.exit_reason.is_(None)
Index("leads_living_next_at_idx", leads.c.next_at, postgresql_where=_living)
Index("leads_living_id_idx", leads.c.id, postgresql_where=_living)

# By what a lead's name is searched: full, first, last. Not in its row, which is written anew with each fact.
lead_names = Table(
    "lead_names",
    metadata,
    _lead(),
    Column("blind", LargeBinary, nullable=False),
    Index(None, "blind", postgresql_using="hash"),
)

# A phone number or e-mail address, once, whoever shares it: stops and claims lock this row.
addresses = Table(
    "addresses",
    metadata,
    _id(),
    _text("kind"),  # phone | email
    _sealed("value", null=False),
    Column("blind", LargeBinary, nullable=False),
    UniqueConstraint("kind", "blind"),
)

lead_addresses = Table(
    "lead_addresses",
    metadata,
    _uuid("lead_id", ForeignKey("leads.id"), primary_key=True),
    _uuid("address_id", ForeignKey("addresses.id"), primary_key=True),
    Column("wrong", Boolean, nullable=False, server_default=text("false")),  # a person found that it is not the lead's
    Index(None, "address_id"),
)

stops = Table(
    "stops",
    metadata,
    _uuid("address_id", ForeignKey("addresses.id"), primary_key=True),
    _text("channel", primary_key=True),
    _text("cause"),  # opt_out | staff | suppressed
    _time("at"),
    _text("code", null=True),
    _uuid("lead_id", null=True),
)

consents = Table(
    "consents",
    metadata,
    _id(),
    _lead(),
    _text("channel"),
    _text("purpose"),
    _sealed("text", null=False),
    _sealed("ip"),
    _sealed("url"),
    _time("at"),
    _time("recorded_at", server_default=_clock),  # real
    Index(None, "lead_id"),
)

sources = Table(
    "sources",
    metadata,
    _id(),
    _lead(),
    _int("fact_no"),
    _text("channel", null=True),
    _sealed_json("stamp"),  # form, campaign, keyword, page, click_ids and the like: they tell who, or what for
    _sealed_json("details"),  # what the person sent with this inquiry
    _time("at"),
    Index(None, "lead_id"),
)

touchpoints = Table(
    "touchpoints",
    metadata,
    _id(),
    _lead(),
    _text("channel"),
    _time("at", null=True),
    _sealed_json("data"),  # campaign, and what else it said
    Index(None, "lead_id"),
)

facts = Table(
    "facts",
    metadata,
    _uuid("lead_id", ForeignKey("leads.id"), primary_key=True),
    _int("no", primary_key=True, autoincrement=False),
    _text("kind"),
    _int("version", server_default=text("1")),  # of its kind: the fields that its data has
    _text("release", null=True),  # the first release of Tend that reads it; null: every one
    _time("at"),
    _time("recorded_at", server_default=_clock),  # real
    _text("by_actor"),
    _sealed("data", null=False),  # the fact's JSON
)

touches = Table(
    "touches",
    metadata,
    _id(),
    _lead(),
    _int("enrollment"),
    _text("step"),
    _text("part"),
    _text("channel"),
    _uuid("address_id", null=True),
    _text("status"),
    _time("due_at"),
    _time("claimed_at", null=True),  # real
    _time("deadline", null=True),  # real: of the claim; then, if its outcome is unknown, see open_claims
    _time("unused", null=True),  # real: the deadline of a claim of which nothing was sent yet
    _time("look_at", null=True),
    _text("provider_id", null=True),
    _text("code", null=True),
    _text("rule", null=True),
    _text("reason", null=True),
    _int("attempts", server_default=text("0")),
    _sealed("subject"),
    _sealed("body"),
    _sealed("line"),  # of a call: the coordinator's own, which is called first
    _text("leg_id", null=True),  # the provider's id of that call
    _time("leg_at", null=True),  # real: when it was asked for
    _time("updated_at", server_default=_clock),
    Index(None, "lead_id"),
    Index(None, "provider_id", postgresql_using="hash"),
    Index(None, "address_id", "claimed_at"),
)
Index(
    "touches_calls_idx",
    touches.c.claimed_at,
    postgresql_where=text("channel = 'voice' AND status IN ('claimed', 'accepted')"),
)
Index("touches_legs_idx", touches.c.leg_at, postgresql_where=text("channel = 'voice' AND status = 'delayed'"))
# No two claims for one address and channel at once, whatever the code does: see open_claims.
Index(
    "touches_claimed_idx",
    touches.c.address_id,
    touches.c.channel,
    unique=True,
    postgresql_where=text("status = 'claimed' AND deadline IS NOT NULL"),
)
Index(
    "touches_waiting_due_at_idx",
    touches.c.due_at,
    postgresql_where=text("status IN ('planned', 'delayed')"),
)

messages = Table(
    "messages",
    metadata,
    _id(),
    _lead(),
    _text("direction"),  # in | out
    _text("channel"),
    _sealed("body"),
    _time("at"),
    _text("provider_id", null=True),
    Index(None, "lead_id"),
)

# What a provider told us, once: its own event id shuts the door on repeats.
inbound_events = Table(
    "inbound_events",
    metadata,
    _text("provider", primary_key=True),
    _text("event_id", primary_key=True),
    _text("kind"),
    _time("received_at", server_default=_now),  # real
)

tasks = Table(
    "tasks",
    metadata,
    _id(),
    _lead(),
    _text("kind"),
    _text("state"),  # open | claimed | done | missed | cancelled
    _time("due_at"),
    _time("claim_by", null=True),
    _time("lease_until", null=True),
    _uuid("claimed_by", null=True),  # the id of a key
    _text("claimed_name", null=True),
    _int("enrollment", null=True),
    _text("step", null=True),
    _text("part", null=True),
    _text("script", null=True),
    _text("reason", null=True),
    _int("escalation", server_default=text("0")),
    _text("disposition", null=True),
    _text("outcome", null=True),
    _sealed("notes"),
    Column("candidates", ARRAY(Uuid(as_uuid=False)), nullable=True),  # leads a reply may be from
    _uuid("message_id", null=True),
    _time("opened_at"),
    _time("closed_at", null=True),
    Index(None, "state", "due_at", "id"),
    Index(None, "lead_id"),
)

appointments = Table(
    "appointments",
    metadata,
    _text("id", primary_key=True),  # the scheduler's own
    _lead(),
    _time("starts_at", null=True),  # unknown while only its cancellation has come
    _text("facility", null=True),
    _text("status"),  # booked | arrived | no_show | completed | cancelled
    _time("occurred_at"),
    _time("updated_at", server_default=_clock),
    Index(None, "lead_id"),
    Index(None, "facility", "starts_at"),
)

# Of appointments that nobody has told of yet: kept until the first event that says whose one is.
early_events = Table(
    "early_events",
    metadata,
    _text("appointment_id", primary_key=True),
    _text("event", primary_key=True),
    _time("occurred_at", primary_key=True),
    _time("starts_at", null=True),
    _text("facility", null=True),
    _text("told_by"),
    Column("facilities", ARRAY(Text), nullable=False),  # of the key that told it; none: all
    _time("told_at", server_default=_clock),
    Index(None, "told_at"),
)

# What Temporal has yet to hear; a row lives until it is delivered.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _uuid("lead_id"),
    _text("kind"),  # start | signal
    _text("signal", null=True),
    _int("fact_no"),
    _time("created_at", server_default=_clock),  # real
    _int("attempts", server_default=text("0")),
    _time("not_before", server_default=_now),  # real
    _int("priority", server_default=text("2")),  # see domain.priority
    Column("first", JSONB, nullable=True),  # see outbox.Entry
    Index(None, "priority", "id"),
    Index(None, "lead_id", "priority", "id"),
)

# Until when a channel waits for its provider, and how many touches of it do.
brakes = Table(
    "brakes",
    metadata,
    _text("channel", primary_key=True),
    _time("until"),  # real
    _int("waiting"),
)

# How much of a channel was handed over in a day, where that is limited.
day_counts = Table(
    "day_counts",
    metadata,
    _text("channel", primary_key=True),
    _text("day", primary_key=True),  # a date
    _int("taken"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _time("at", server_default=_clock),  # real
    _text("actor_id"),
    _text("actor_name"),
    _text("role"),
    _text("action"),
    _uuid("lead_id", null=True),
    _text("detail", null=True),  # never of a person
    Index(None, "lead_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _text("actor_id", primary_key=True),
    _text("key", primary_key=True),  # its keyed hash in hex: callers take addresses of people as keys
    Column("body_hash", LargeBinary, nullable=False),
    _int("status", null=True),  # null until the answer is known, seen by its own transaction only
    _sealed_json("answer"),
    _time("created_at", server_default=_now),  # real
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _text("name"),
    _text("role"),
    Column("facilities", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _sealed("phone"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    _time("created_at", server_default=_now),  # real
    _time("revoked_at", null=True),  # real
    _time("last_used_at", null=True),  # real, to the minute
)

sequence_versions = Table(
    "sequence_versions",
    metadata,
    _text("key", primary_key=True),
    _int("version", primary_key=True, autoincrement=False),
    _text("code"),
    _text("content_hash"),
    Column("content", JSONB, nullable=False),
    _time("published_at"),
    UniqueConstraint("key", "content_hash"),
)

# What the last sweep found of each kind (`oldest` in real seconds), and what all of them have repaired.
sweep_tallies = Table(
    "sweep_tallies",
    metadata,
    _text("kind", primary_key=True),
    _int("found"),
    Column("repaired", BigInteger, nullable=False),
    Column("oldest", Float(53), nullable=False),
    _time("swept_at"),  # real
)

# One row: where this database lives, and when workers were last at work on it.
homes = Table(
    "homes",
    metadata,
    Column("id", Boolean, primary_key=True),
    _text("place"),
    _text("written_by"),  # the transaction that wrote the row: in a copy another one has
    _time("alive_at"),  # real
    Column("worked", Boolean, nullable=False, server_default=text("false")),
    _time("restored_at", null=True),  # real; set from when a copy was put back until it was compared
)
