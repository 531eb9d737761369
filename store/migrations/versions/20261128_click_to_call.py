"""Calls are placed by way of the coordinator's own line: which it is, and the provider's id of the call to it."""

from alembic import op

revision = "20261128_click_to_call"
down_revision = "20261127_sweep"

_UP = """
ALTER TABLE touches ADD COLUMN line bytea, ADD COLUMN leg_id text, ADD COLUMN leg_at timestamp with time zone;
CREATE INDEX touches_legs_idx ON touches (leg_at) WHERE channel = 'voice' AND status = 'delayed';
"""


def upgrade() -> None:
    op.execute(_UP)
