"""An address may be shut of which nothing is known but its index: by the link in a mail of a lead that is lost."""

from alembic import op

revision = "20261207_unnamed"
down_revision = "20261206_legs"


def upgrade() -> None:
    op.execute("ALTER TABLE addresses ALTER COLUMN value DROP NOT NULL")
