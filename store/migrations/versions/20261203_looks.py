"""Looks for touches of unknown outcome are found by their time: the sweep asks for those that are overdue."""

from alembic import op

revision = "20261203_looks"
down_revision = "20261202_early_events_of_a_key"


def upgrade() -> None:
    op.execute("CREATE INDEX touches_look_at_idx ON touches (look_at) WHERE look_at IS NOT NULL")
