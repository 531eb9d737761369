"""A start says with which touch the workflow begins."""

from alembic import op

revision = "20261129_first_touch"
down_revision = "20261128_unused_claims"


def upgrade() -> None:
    op.execute("ALTER TABLE outbox ADD COLUMN first jsonb")
