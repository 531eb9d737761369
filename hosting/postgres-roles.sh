#!/bin/sh
# Run once, when the database is made: a user for Tend and one for Temporal, each with databases that are its own.
# Neither may open the other's, and neither is a superuser.
set -eu

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv tend_password DB_TEND_PASSWORD
\getenv temporal_password DB_TEMPORAL_PASSWORD
CREATE ROLE tend LOGIN PASSWORD :'tend_password';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE tend OWNER tend;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE CONNECT ON DATABASE postgres, tend, temporal, temporal_visibility FROM PUBLIC;
SQL
