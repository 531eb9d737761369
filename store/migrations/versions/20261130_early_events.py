"""Events of appointments that nobody has told of yet are kept, above all cancellations."""

from alembic import op

revision = "20261130_early_events"
down_revision = "20261129_lead_names"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE early_events (appointment_id text NOT NULL, event text NOT NULL,"
        " occurred_at timestamptz NOT NULL, starts_at timestamptz, facility text,"
        " told_by text NOT NULL, facilities text[] NOT NULL,"
        " told_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (appointment_id, event, occurred_at))"
    )
    op.execute("CREATE INDEX early_events_told_at_idx ON early_events (told_at)")
