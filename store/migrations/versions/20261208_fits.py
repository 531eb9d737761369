"""Which programs can work with this schema, though it is newer than theirs: a release can be taken back."""

from alembic import op

revision = "20261208_fits"
down_revision = "20261207_unnamed"


def upgrade() -> None:
    op.execute("CREATE TABLE schema_fits (revision text PRIMARY KEY)")
