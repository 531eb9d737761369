"""Everything kept in Postgres: tables with encrypted columns, queries that return domain values, migrations."""
