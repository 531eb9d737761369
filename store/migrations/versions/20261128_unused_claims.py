"""A claim whose request was never written is known to have sent nothing."""

from alembic import op

revision = "20261128_unused_claims"
down_revision = "20261128_click_to_call"


def upgrade() -> None:
    op.execute("ALTER TABLE touches ADD COLUMN unused timestamp with time zone")
