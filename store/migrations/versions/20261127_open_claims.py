"""Touches of unknown outcome are looked for again and again, and no address has two open claims on one channel."""

from alembic import op

revision = "20261127_open_claims"
down_revision = "20261126_wrong_numbers"

# Of two claims that stand already only the newest is counted; all of them are looked for.
_UP = """
ALTER TABLE touches ADD COLUMN look_at timestamp with time zone;
UPDATE touches SET deadline = NULL WHERE status = 'claimed' AND id NOT IN (
    SELECT DISTINCT ON (address_id, channel) id FROM touches WHERE status = 'claimed'
    ORDER BY address_id, channel, claimed_at DESC);
DROP INDEX touches_claimed_idx;
CREATE UNIQUE INDEX touches_claimed_idx ON touches (address_id, channel)
    WHERE status = 'claimed' AND deadline IS NOT NULL;
CREATE INDEX touches_address_id_claimed_at_idx ON touches (address_id, claimed_at);
"""


def upgrade() -> None:
    op.execute(_UP)
