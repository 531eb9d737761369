"""Each fact says in which version of its kind it was written, and from which release on it can be read.

Both have a default that suits the facts that are there, and those that an earlier release still writes meanwhile.
"""

from alembic import op

revision = "20261127_fact_versions"
down_revision = "20261127_queues"

_UP = """
ALTER TABLE facts ADD COLUMN version integer DEFAULT 1 NOT NULL;
ALTER TABLE facts ADD COLUMN release text;
"""


def upgrade() -> None:
    op.execute(_UP)
