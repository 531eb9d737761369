"""Columns that nothing ever wrote are gone."""

from alembic import op

revision = "20261126_unused_columns"
down_revision = "20261125_sealed_inquiries"

_UP = """
ALTER TABLE tasks DROP COLUMN call_touch_id;
ALTER TABLE inbound_events DROP COLUMN lead_id;
"""


def upgrade() -> None:
    op.execute(_UP)
