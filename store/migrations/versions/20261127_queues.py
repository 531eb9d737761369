"""The outbox has priorities; a channel can be held back, by its provider or by a day's limit."""

from alembic import op

revision = "20261127_queues"
down_revision = "20261127_open_claims"

_UP = """
ALTER TABLE outbox ADD COLUMN priority integer DEFAULT 2 NOT NULL;
DROP INDEX outbox_not_before_id_idx;
CREATE INDEX outbox_priority_id_idx ON outbox (priority, id);
CREATE TABLE brakes (
    channel text PRIMARY KEY,
    until timestamp with time zone NOT NULL,
    waiting integer NOT NULL
);
CREATE TABLE day_counts (
    channel text NOT NULL,
    day text NOT NULL,
    taken integer NOT NULL,
    PRIMARY KEY (channel, day)
);
CREATE INDEX touches_calls_idx ON touches (claimed_at) WHERE channel = 'voice' AND status IN ('claimed', 'accepted');
"""


def upgrade() -> None:
    op.execute(_UP)
