"""Of one early event each key's telling is kept: what one may book for is not what another may."""

from alembic import op

revision = "20261202_early_events_of_a_key"
down_revision = "20261201_odd_clocks"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE early_events DROP CONSTRAINT early_events_pkey,"
        " ADD CONSTRAINT early_events_pkey PRIMARY KEY (appointment_id, event, occurred_at, facilities)"
    )
