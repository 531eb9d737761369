"""Who has just asked waits for a busy provider in a line of its own, however many of a list wait for it."""

from alembic import op

revision = "20261209_places"
down_revision = "20261208_fits"


def upgrade() -> None:
    op.execute("ALTER TABLE brakes ADD COLUMN inquiries integer NOT NULL DEFAULT 0")
