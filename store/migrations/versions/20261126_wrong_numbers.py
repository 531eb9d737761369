"""That a number is not the lead's is kept with the lead, for each lead that gave it."""

from alembic import op

revision = "20261126_wrong_numbers"
down_revision = "20261126_unused_columns"

_UP = """
ALTER TABLE lead_addresses ADD COLUMN wrong boolean DEFAULT false NOT NULL;
UPDATE lead_addresses SET wrong = true FROM stops
WHERE stops.address_id = lead_addresses.address_id AND stops.lead_id = lead_addresses.lead_id
AND stops.cause = 'wrong_number';
DELETE FROM stops WHERE cause = 'wrong_number';
"""


def upgrade() -> None:
    op.execute(_UP)
