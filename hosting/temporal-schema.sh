#!/bin/sh
# Temporal's own tables, brought to the version of this image. Harmless to repeat. The password comes as SQL_PASSWORD.
set -eu

for kind in temporal visibility; do
	database=temporal
	if [ "$kind" = visibility ]; then database=temporal_visibility; fi
	set -- temporal-sql-tool --plugin postgres12 --ep postgres -p 5432 -u temporal --db "$database"
	"$@" setup-schema -v 0.0
	"$@" update-schema -d "/etc/temporal/schema/postgresql/v12/$kind/versioned"
done
