"""Leads that could not be read as a stop reached them are told of it as soon as they can be."""

from alembic import op

revision = "20261205_stops_owed"
down_revision = "20261204_lost_numbers"


def upgrade() -> None:
    op.execute("ALTER TABLE leads ADD COLUMN stops_owed jsonb")
