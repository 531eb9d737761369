"""Whose clock was found apart from the database's is kept, for the metrics and the doctor."""

from alembic import op

revision = "20261201_odd_clocks"
down_revision = "20261130_early_events"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE odd_clocks (host text PRIMARY KEY, times integer NOT NULL, apart double precision NOT NULL,"
        " last_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
