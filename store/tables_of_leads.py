"""The tables of leads: who they are, what happened, what was sent and is to be done."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from store.columns import CLOCK, NOW, metadata, moment, number, of_lead, own_id, sealed, sealed_json, uuid, words

leads = Table(
    "leads",
    metadata,
    own_id(),
    moment("created_at"),
    moment("recorded_at", server_default=NOW),  # real
    sealed("first_name"),
    sealed("last_name"),
    sealed("concern"),
    sealed("service_line"),
    sealed("postal_code"),
    sealed_json("details"),  # insurance, best times and what else the form said
    Column("name_index", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'")),  # of an earlier release
    words("urgency"),
    words("language", null=True),
    words("preferred_facility", null=True),
    words("timezone", null=True),
    Column("channels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("is_test", Boolean, nullable=False, server_default=text("false")),
    Column("stops_owed", JSONB),  # see store/owed_stops.py
    # from here on the projection of the facts, written anew with each of them
    words("state"),
    words("stage"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    words("exit_reason", null=True),
    words("sequence", null=True),
    number("sequence_version", null=True),
    number("enrollment", server_default=text("0")),
    words("next_step", null=True),
    words("next_kind", null=True),
    words("next_channel", null=True),
    moment("next_at", null=True),
    words("next_reason", null=True),
    number("last_fact", server_default=text("0")),
    uuid("owner", null=True),  # the id of a key
    moment("finished_at", null=True),
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
    of_lead(),
    Column("blind", LargeBinary, nullable=False),
    Index(None, "blind", postgresql_using="hash"),
)

# A phone number or e-mail address, once, whoever shares it: stops and claims lock this row. Without a value: of a mail
# whose lead is lost, somebody stopped it by its link; who gives the address next gives the value, too.
addresses = Table(
    "addresses",
    metadata,
    own_id(),
    words("kind"),  # phone | email
    sealed("value"),
    Column("blind", LargeBinary, nullable=False),
    # real: when it was found that a restored database has lost texts or calls to it
    moment("lost_at", null=True),
    UniqueConstraint("kind", "blind"),
)

Index("addresses_lost_at_idx", addresses.c.lost_at, postgresql_where=addresses.c.lost_at.is_not(None))

lead_addresses = Table(
    "lead_addresses",
    metadata,
    uuid("lead_id", ForeignKey("leads.id"), primary_key=True),
    uuid("address_id", ForeignKey("addresses.id"), primary_key=True),
    Column("wrong", Boolean, nullable=False, server_default=text("false")),  # a person found that it is not the lead's
    Index(None, "address_id"),
)

stops = Table(
    "stops",
    metadata,
    uuid("address_id", ForeignKey("addresses.id"), primary_key=True),
    words("channel", primary_key=True),
    words("cause"),  # opt_out | suppressed
    moment("at"),
    words("code", null=True),
    uuid("lead_id", null=True),
)

consents = Table(
    "consents",
    metadata,
    own_id(),
    of_lead(),
    words("channel"),
    words("purpose"),
    sealed("text", null=False),
    sealed("ip"),
    sealed("url"),
    moment("at"),
    moment("recorded_at", server_default=CLOCK),  # real
    Index(None, "lead_id"),
)

sources = Table(
    "sources",
    metadata,
    own_id(),
    of_lead(),
    number("fact_no"),
    words("channel", null=True),
    sealed_json("stamp"),  # form, campaign, keyword, page, click_ids and the like: they tell who, or what for
    sealed_json("details"),  # what the person sent with this inquiry
    moment("at"),
    Index(None, "lead_id"),
)

touchpoints = Table(
    "touchpoints",
    metadata,
    own_id(),
    of_lead(),
    words("channel"),
    moment("at", null=True),
    sealed_json("data"),  # campaign, and what else it said
    Index(None, "lead_id"),
)

facts = Table(
    "facts",
    metadata,
    uuid("lead_id", ForeignKey("leads.id"), primary_key=True),
    number("no", primary_key=True, autoincrement=False),
    words("kind"),
    number("version", server_default=text("1")),  # of its kind: the fields that its data has
    words("release", null=True),  # the first release of Tend that reads it; null: every one
    moment("at"),
    moment("recorded_at", server_default=CLOCK),  # real
    words("by_actor"),
    sealed("data", null=False),  # the fact's JSON
)

touches = Table(
    "touches",
    metadata,
    own_id(),
    of_lead(),
    number("enrollment"),
    words("step"),
    words("part"),
    words("channel"),
    uuid("address_id", null=True),
    words("status"),
    moment("due_at"),
    moment("claimed_at", null=True),  # real
    moment("deadline", null=True),  # real: of the claim; then, if its outcome is unknown, see open_claims
    moment("unused", null=True),  # real: the deadline of a claim of which nothing was sent yet
    moment("look_at", null=True),
    words("provider_id", null=True),
    words("code", null=True),
    words("rule", null=True),
    words("reason", null=True),
    number("attempts", server_default=text("0")),
    sealed("subject"),
    sealed("body"),
    sealed("line"),  # of a call: the coordinator's own, which is called first
    words("leg_id", null=True),  # the provider's id of that call
    moment("leg_at", null=True),  # real: when it was asked for
    moment("updated_at", server_default=CLOCK),
    Index(None, "lead_id"),
    Index(None, "provider_id", postgresql_using="hash"),
    Index(None, "address_id", "claimed_at"),
)
Index(
    "touches_calls_idx",
    touches.c.claimed_at,
    postgresql_where=text("channel = 'voice' AND status IN ('claimed', 'accepted')"),
)
Index("touches_legs_idx", touches.c.leg_at, postgresql_where=touches.c.leg_at.is_not(None))
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
Index("touches_look_at_idx", touches.c.look_at, postgresql_where=touches.c.look_at.is_not(None))

messages = Table(
    "messages",
    metadata,
    own_id(),
    of_lead(),
    words("direction"),  # in | out
    words("channel"),
    sealed("body"),
    moment("at"),
    words("provider_id", null=True),
    Index(None, "lead_id"),
)

# What a provider told us, once: its own event id shuts the door on repeats.
inbound_events = Table(
    "inbound_events",
    metadata,
    words("provider", primary_key=True),
    words("event_id", primary_key=True),
    words("kind"),
    moment("received_at", server_default=NOW),  # real
)

tasks = Table(
    "tasks",
    metadata,
    own_id(),
    of_lead(),
    words("kind"),
    words("state"),  # open | claimed | done | missed | cancelled
    moment("due_at"),
    moment("claim_by", null=True),
    moment("lease_until", null=True),
    uuid("claimed_by", null=True),  # the id of a key
    words("claimed_name", null=True),
    number("enrollment", null=True),
    words("step", null=True),
    words("part", null=True),
    words("script", null=True),
    words("reason", null=True),
    number("escalation", server_default=text("0")),
    words("disposition", null=True),
    words("outcome", null=True),
    sealed("notes"),
    Column("candidates", ARRAY(Uuid(as_uuid=False)), nullable=True),  # leads a reply may be from
    uuid("message_id", null=True),
    moment("opened_at"),
    moment("closed_at", null=True),
    Index(None, "state", "due_at", "id"),
    Index(None, "lead_id"),
)

appointments = Table(
    "appointments",
    metadata,
    words("id", primary_key=True),  # the scheduler's own
    of_lead(),
    moment("starts_at", null=True),  # unknown while only its cancellation has come
    words("facility", null=True),
    words("status"),  # booked | arrived | no_show | completed | cancelled
    moment("occurred_at"),
    moment("updated_at", server_default=CLOCK),
    Index(None, "lead_id"),
    Index(None, "facility", "starts_at"),
)

# Of appointments that nobody has told of yet: kept until the first event that says whose one is.
early_events = Table(
    "early_events",
    metadata,
    words("appointment_id", primary_key=True),
    words("event", primary_key=True),
    moment("occurred_at", primary_key=True),
    moment("starts_at", null=True),
    words("facility", null=True),
    words("told_by"),
    Column("facilities", ARRAY(Text), primary_key=True),  # of the key that told it; none: all
    moment("told_at", server_default=CLOCK),
    Index(None, "told_at"),
)
