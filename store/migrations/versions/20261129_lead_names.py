"""Blind indexes of names in a table of their own: the row of a lead is written anew with each fact, its names are not.

The column stays for an earlier build beside this one; it is no longer looked at.
"""

from alembic import op

revision = "20261129_lead_names"
down_revision = "20261129_first_touch"


def upgrade() -> None:
    op.execute("CREATE TABLE lead_names (lead_id uuid NOT NULL REFERENCES leads (id), blind bytea NOT NULL)")
    op.execute("CREATE INDEX lead_names_blind_idx ON lead_names USING hash (blind)")
    op.execute("INSERT INTO lead_names (lead_id, blind) SELECT DISTINCT id, unnest(name_index) FROM leads")
    op.execute("DROP INDEX leads_name_index_idx")
    op.execute("DROP INDEX touches_provider_id_idx")  # equality is all that is asked of it, and this takes a third
    op.execute("CREATE INDEX touches_provider_id_idx ON touches USING hash (provider_id)")
