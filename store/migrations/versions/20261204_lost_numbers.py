"""Numbers that the carrier wrote to in a time that a restored database has lost: nobody there is written to twice."""

from alembic import op

revision = "20261204_lost_numbers"
down_revision = "20261203_looks"


def upgrade() -> None:
    op.execute("ALTER TABLE addresses ADD COLUMN lost_at timestamp with time zone")
    op.execute("CREATE INDEX addresses_lost_at_idx ON addresses (lost_at) WHERE lost_at IS NOT NULL")
