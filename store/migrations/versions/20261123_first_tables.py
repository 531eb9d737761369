"""The first tables: leads with their facts, touches, tasks and appointments; outbox, audit, keys."""

from alembic import op

revision = "20261123_first_tables"
down_revision = None

_UP = """
CREATE TABLE leads (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    first_name bytea,
    last_name bytea,
    concern bytea,
    service_line bytea,
    postal_code bytea,
    details bytea,
    name_index bytea[] DEFAULT '{}' NOT NULL,
    urgency text NOT NULL,
    language text,
    preferred_facility text,
    timezone text,
    channels text[] DEFAULT '{}' NOT NULL,
    is_test boolean DEFAULT false NOT NULL,
    state text NOT NULL,
    stage text NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    exit_reason text,
    sequence text,
    sequence_version integer,
    enrollment integer DEFAULT 0 NOT NULL,
    next_step text,
    next_kind text,
    next_channel text,
    next_at timestamptz,
    next_reason text,
    last_fact integer DEFAULT 0 NOT NULL,
    owner uuid,
    finished_at timestamptz,
    CONSTRAINT leads_pkey PRIMARY KEY (id)
);
CREATE INDEX leads_created_at_id_idx ON leads (created_at DESC, id DESC);
CREATE INDEX leads_name_index_idx ON leads USING gin (name_index);
CREATE INDEX leads_preferred_facility_idx ON leads (preferred_facility);
CREATE INDEX leads_stage_idx ON leads (stage);
CREATE INDEX leads_state_idx ON leads (state);

CREATE TABLE addresses (
    id uuid NOT NULL,
    kind text NOT NULL,
    value bytea NOT NULL,
    blind bytea NOT NULL,
    CONSTRAINT addresses_pkey PRIMARY KEY (id),
    CONSTRAINT addresses_kind_blind_key UNIQUE (kind, blind)
);

CREATE TABLE lead_addresses (
    lead_id uuid NOT NULL,
    address_id uuid NOT NULL,
    CONSTRAINT lead_addresses_pkey PRIMARY KEY (lead_id, address_id),
    CONSTRAINT lead_addresses_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id),
    CONSTRAINT lead_addresses_address_id_fkey FOREIGN KEY (address_id) REFERENCES addresses (id)
);
CREATE INDEX lead_addresses_address_id_idx ON lead_addresses (address_id);

CREATE TABLE stops (
    address_id uuid NOT NULL,
    channel text NOT NULL,
    cause text NOT NULL,
    at timestamptz NOT NULL,
    code text,
    lead_id uuid,
    CONSTRAINT stops_pkey PRIMARY KEY (address_id, channel),
    CONSTRAINT stops_address_id_fkey FOREIGN KEY (address_id) REFERENCES addresses (id)
);

CREATE TABLE consents (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL,
    purpose text NOT NULL,
    text bytea NOT NULL,
    ip bytea,
    url bytea,
    at timestamptz NOT NULL,
    recorded_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT consents_pkey PRIMARY KEY (id),
    CONSTRAINT consents_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX consents_lead_id_idx ON consents (lead_id);

CREATE TABLE sources (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    fact_no integer NOT NULL,
    channel text,
    form text,
    variant text,
    campaign text,
    ad_group text,
    keyword text,
    creative text,
    stamp bytea,
    at timestamptz NOT NULL,
    CONSTRAINT sources_pkey PRIMARY KEY (id),
    CONSTRAINT sources_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX sources_lead_id_idx ON sources (lead_id);

CREATE TABLE touchpoints (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    channel text NOT NULL,
    campaign text,
    at timestamptz,
    data bytea,
    CONSTRAINT touchpoints_pkey PRIMARY KEY (id),
    CONSTRAINT touchpoints_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX touchpoints_lead_id_idx ON touchpoints (lead_id);

CREATE TABLE facts (
    lead_id uuid NOT NULL,
    no integer NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    by_actor text NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT facts_pkey PRIMARY KEY (lead_id, no),
    CONSTRAINT facts_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);

CREATE TABLE touches (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    enrollment integer NOT NULL,
    step text NOT NULL,
    part text NOT NULL,
    channel text NOT NULL,
    address_id uuid,
    status text NOT NULL,
    due_at timestamptz NOT NULL,
    claimed_at timestamptz,
    deadline timestamptz,
    provider_id text,
    code text,
    rule text,
    reason text,
    attempts integer DEFAULT 0 NOT NULL,
    subject bytea,
    body bytea,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT touches_pkey PRIMARY KEY (id),
    CONSTRAINT touches_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX touches_claimed_idx ON touches (address_id, channel) WHERE status = 'claimed';
CREATE INDEX touches_lead_id_idx ON touches (lead_id);
CREATE INDEX touches_provider_id_idx ON touches (provider_id);

CREATE TABLE messages (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    direction text NOT NULL,
    channel text NOT NULL,
    body bytea,
    at timestamptz NOT NULL,
    provider_id text,
    CONSTRAINT messages_pkey PRIMARY KEY (id),
    CONSTRAINT messages_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX messages_lead_id_idx ON messages (lead_id);

CREATE TABLE inbound_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    lead_id uuid,
    received_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT inbound_events_pkey PRIMARY KEY (provider, event_id)
);

CREATE TABLE tasks (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    due_at timestamptz NOT NULL,
    claim_by timestamptz,
    lease_until timestamptz,
    claimed_by uuid,
    claimed_name text,
    enrollment integer,
    step text,
    part text,
    script text,
    reason text,
    call_touch_id uuid,
    escalation integer DEFAULT 0 NOT NULL,
    disposition text,
    outcome text,
    notes bytea,
    candidates uuid[],
    message_id uuid,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT tasks_pkey PRIMARY KEY (id),
    CONSTRAINT tasks_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX tasks_lead_id_idx ON tasks (lead_id);
CREATE INDEX tasks_state_due_at_id_idx ON tasks (state, due_at, id);

CREATE TABLE appointments (
    id text NOT NULL,
    lead_id uuid NOT NULL,
    starts_at timestamptz,
    facility text,
    status text NOT NULL,
    occurred_at timestamptz NOT NULL,
    updated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT appointments_pkey PRIMARY KEY (id),
    CONSTRAINT appointments_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES leads (id)
);
CREATE INDEX appointments_facility_starts_at_idx ON appointments (facility, starts_at);
CREATE INDEX appointments_lead_id_idx ON appointments (lead_id);

CREATE TABLE outbox (
    id bigserial NOT NULL,
    lead_id uuid NOT NULL,
    kind text NOT NULL,
    signal text,
    fact_no integer NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    not_before timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
);
CREATE INDEX outbox_lead_id_id_idx ON outbox (lead_id, id);
CREATE INDEX outbox_not_before_id_idx ON outbox (not_before, id);

CREATE TABLE audit (
    id bigserial NOT NULL,
    at timestamptz DEFAULT clock_timestamp() NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    lead_id uuid,
    detail text,
    CONSTRAINT audit_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_lead_id_idx ON audit (lead_id);

CREATE TABLE idempotency (
    actor_id text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status integer,
    answer bytea,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (actor_id, key)
);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    facilities text[] DEFAULT '{}' NOT NULL,
    phone bytea,
    hash bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_hash_key UNIQUE (hash)
);

CREATE TABLE sequence_versions (
    key text NOT NULL,
    version integer NOT NULL,
    code text NOT NULL,
    content_hash text NOT NULL,
    content jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    CONSTRAINT sequence_versions_pkey PRIMARY KEY (key, version),
    CONSTRAINT sequence_versions_key_content_hash_key UNIQUE (key, content_hash)
);
"""


def upgrade() -> None:
    op.execute(_UP)
