"""What an inquiry tells of itself is sealed, and what the person sent is kept with it; idempotency keys are hashed.

The words that older rows hold in clear are erased: here is no key ring to seal or hash them with.
"""

from alembic import op

revision = "20261125_sealed_inquiries"
down_revision = "20261123_first_tables"

# USING makes Postgres write the table anew; a column that was only dropped would stay in the files in clear.
_UP = """
ALTER TABLE sources
    DROP COLUMN form,
    DROP COLUMN variant,
    DROP COLUMN campaign,
    DROP COLUMN ad_group,
    DROP COLUMN keyword,
    DROP COLUMN creative,
    ADD COLUMN details bytea,
    ALTER COLUMN fact_no TYPE integer USING fact_no + 0;
ALTER TABLE touchpoints
    DROP COLUMN campaign,
    ALTER COLUMN channel TYPE text USING channel || '';
TRUNCATE idempotency;
"""


def upgrade() -> None:
    op.execute(_UP)
