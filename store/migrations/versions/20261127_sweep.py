"""What the sweep found, and where the database lives; of a lead's own entries the first goes first, too."""

from alembic import op

revision = "20261127_sweep"
down_revision = "20261127_fact_versions"

_UP = """
DROP INDEX outbox_lead_id_id_idx;
CREATE INDEX outbox_lead_id_priority_id_idx ON outbox (lead_id, priority, id);

CREATE TABLE sweep_tallies (
    kind text PRIMARY KEY,
    found integer NOT NULL,
    repaired bigint NOT NULL,
    oldest double precision NOT NULL,
    swept_at timestamptz NOT NULL
);

CREATE TABLE homes (
    id boolean PRIMARY KEY,
    place text NOT NULL,
    written_by text NOT NULL,
    alive_at timestamptz NOT NULL,
    worked boolean DEFAULT false NOT NULL,
    restored_at timestamptz
);

CREATE INDEX leads_living_next_at_idx ON leads (next_at) WHERE exit_reason IS NULL;
CREATE INDEX leads_living_id_idx ON leads (id) WHERE exit_reason IS NULL;
CREATE INDEX touches_waiting_due_at_idx ON touches (due_at) WHERE status IN ('planned', 'delayed');
"""


def upgrade() -> None:
    op.execute(_UP)
