#!/usr/bin/env bash
# Makes, before each start of the pod, what depends on the node: node.conf,
# pg_hba.conf and the password file with which this node logs in at its partner.
# libpq wants that one to be its user's alone, which no mounted Secret is.
set -euo pipefail
umask 077

from=${CONFIG_FOLDER:-/etc/twokey/config} secrets=${SECRETS_FOLDER:-/run/secrets/postgres} to=${CONFIGURED_FOLDER:-/run/twokey}

fail() { echo "configure: $*" >&2; exit 1; }

# is NAME PATTERN HINT: what goes into a configuration file is what it should be.
is() {
	[[ ${!1:-} =~ ^($2)$ ]] || fail "$1 is '${!1:-}' in node.env of this node's overlay; it must be $3"
}
octet='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'
address="($octet\.){3}$octet"
is TWOKEY_GUARD_NODE '[a-z][a-z0-9_]{0,30}' 'this node'\''s name: letters, digits, _'
is TWOKEY_GUARD_PARTNER '[a-z][a-z0-9_]{0,30}' 'the other node'\''s name: letters, digits, _'
is TWOKEY_GUARD_PARTNER_HOST "$address" 'the other node'\''s address in the tunnel'
is TWOKEY_GUARD_PARTNER_PORT '[0-9]{1,5}' 'the other node'\''s NodePort'
is NETWORK "$address/[0-9]{1,2}" 'the tunnel'\''s network, like 10.99.0.0/24'
is DATABASE '[a-z_][a-z0-9_]{0,62}' 'the application'\''s database'
is POD_NETWORK "($address/[0-9]{1,2})?" 'empty, or this cluster'\''s network of pods, like 10.42.0.0/16'
[ "$TWOKEY_GUARD_NODE" != "$TWOKEY_GUARD_PARTNER" ] || fail "TWOKEY_GUARD_PARTNER is this node itself"

password=$(cat "$secrets/replication") || fail "the Secret postgres-passwords has no key replication: run just secrets"
[[ $password =~ ^[A-Za-z0-9_-]+$ ]] || fail "the replication password holds what a password file would have to quote; make it of letters and digits"

printf "cluster_name = '%s'\nsynchronous_standby_names = '%s'\n" "$TWOKEY_GUARD_NODE" "$TWOKEY_GUARD_PARTNER" >"$to/node.conf"
printf '%s:%s:*:twokey_replication:%s\n' "$TWOKEY_GUARD_PARTNER_HOST" "$TWOKEY_GUARD_PARTNER_PORT" "$password" >"$to/passfile"
{
	sed -e "s|@PARTNER_ADDRESS@|$TWOKEY_GUARD_PARTNER_HOST/32|; s|@NETWORK@|$NETWORK|; s|@DATABASE@|$DATABASE|" "$from/pg_hba.conf"
	[ -z "$POD_NETWORK" ] || printf 'hostssl %s %s %s scram-sha-256\n' \
		twokey twokey_bot "$POD_NETWORK" \
		"$DATABASE" all "$POD_NETWORK"
} >"$to/pg_hba.conf"
