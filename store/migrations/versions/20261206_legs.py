"""A coordinator's line may ring on after its call was dropped, and takes a line as long."""

from alembic import op

revision = "20261206_legs"
down_revision = "20261205_stops_owed"


def upgrade() -> None:
    op.execute("DROP INDEX touches_legs_idx")
    op.execute("CREATE INDEX touches_legs_idx ON touches (leg_at) WHERE leg_at IS NOT NULL")
