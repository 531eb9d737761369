#!/bin/sh
# The namespace, kept for 90 days, and the search attributes of leads. Harmless to repeat. TEMPORAL_ADDRESS and
# TEMPORAL_NAMESPACE say where.
set -eu

# A server that has just started, or a namespace that was just made, is not known everywhere at once.
try() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		if [ "$tries" -ge 30 ]; then
			echo "temporal-namespace: gave up: $*" >&2
			exit 1
		fi
		sleep 2
	done
}

namespace() {
	temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention 90d >/dev/null 2>&1 ||
		temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 90d
}

attributes() { # type, names
	type=$1
	shift
	known=$(temporal operator search-attribute list) || return 1
	for name in "$@"; do
		case $known in
		*"$name "*) ;;
		*) temporal operator search-attribute create --name "$name" --type "$type" || return 1 ;;
		esac
	done
}

try namespace
try attributes Keyword TendState TendSequence TendStep TendFacility
try attributes Bool TendPaused
try attributes Datetime TendNextAt
