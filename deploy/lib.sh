# shellcheck shell=bash
# Shared by the scripts beside it, which the recipes of the Justfile run. Settings
# come from the environment; the Justfile gives them their defaults.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Settings.
: "${TWOKEY_KUBE:=$HOME/.kube}"           # folder with one kubeconfig for each node, named like it, and one named bot
: "${TWOKEY_MANIFESTS:=manifests}"        # folder with one overlay for each node, named like it, and one named bot
: "${TWOKEY_CONFIG:=twokey.yaml}"         # the bot's configuration
: "${TWOKEY_BOT:=go run ./cmd/bot}"       # the program
: "${TWOKEY_NODES:=dc1 dc2}"              # the first one becomes the primary of a new pair
namespace=twokey
read -ra nodes <<<"$TWOKEY_NODES"
# shellcheck disable=SC2034 # for those who source this
read -ra program <<<"$TWOKEY_BOT"

say() { printf '%s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# needs PROGRAM...: all that is missing, in one message.
needs() {
	local missing=() name
	for name in "$@"; do
		command -v "$name" >/dev/null || missing+=("$name$(whence "$name")")
	done
	[ ${#missing[@]} = 0 ] || fail "missing:$(printf ' %s' "${missing[@]}")"
}

whence() {
	case $1 in
	kubectl) echo " (https://kubernetes.io/docs/tasks/tools)" ;;
	terraform) echo " (https://developer.hashicorp.com/terraform/install)" ;;
	wg) echo " (Debian: wireguard-tools)" ;;
	go) echo " (https://go.dev/dl, the version that go.mod names)" ;;
	ssh) echo " (Debian: openssh-client)" ;;
	base64) echo " (Debian: coreutils)" ;;
	*) echo " (Debian: $1)" ;;
	esac
}

# is_node NAME: one of the two.
is_node() {
	local name
	for name in "${nodes[@]}"; do [ "$name" != "${1:-}" ] || return 0; done
	fail "'${1:-}' is no node; there are: ${nodes[*]} (TWOKEY_NODES)"
}

partner_of() { [ "$1" = "${nodes[0]}" ] && echo "${nodes[1]}" || echo "${nodes[0]}"; }

pair_is_named() {
	[[ ${#nodes[@]} = 2 && ${nodes[0]} != "${nodes[1]}" ]] || fail "TWOKEY_NODES must name the pair's two nodes, not '$TWOKEY_NODES'"
}

# ssh_target NODE: who and where, by Terraform's output unless TWOKEY_SSH says it.
ssh_target() {
	local target=${TWOKEY_SSH:-}
	if [ -z "$target" ]; then
		needs terraform
		target=$(terraform -chdir=terraform output ssh 2>/dev/null | sed -n "s/^ *\"\{0,1\}$1\"\{0,1\} *= *\"ssh \(.*\)\"/\1/p")
	fi
	[[ $target =~ ^[a-z_][a-z0-9_-]*@[A-Za-z0-9.:-]+$ ]] || fail "where is $1's machine? terraform/ has no output ssh for it; set TWOKEY_SSH=ops@ADDRESS"
	echo "$target"
}

# has_cluster NAME...: there is a kubeconfig for each, and its API server answers.
has_cluster() {
	local name
	needs kubectl
	for name in "$@"; do
		[ -f "$TWOKEY_KUBE/$name" ] || fail "there is no kubeconfig $TWOKEY_KUBE/$name: just kubeconfig $name makes it, or put one there"
		on "$name" get --raw /readyz >/dev/null || fail "the cluster of $TWOKEY_KUBE/$name doesn't answer"
	done
}

has_overlay() {
	local name
	for name in "$@"; do
		[ -f "$TWOKEY_MANIFESTS/$name/kustomization.yaml" ] || fail "there is no overlay $TWOKEY_MANIFESTS/$name/kustomization.yaml"
	done
}

# on NAME ARG...: kubectl in one node's cluster, or the bot's.
on() {
	local name=$1
	shift
	kubectl --kubeconfig "$TWOKEY_KUBE/$name" --request-timeout=30s "$@"
}

# in_namespace NAME ARG...
in_namespace() {
	local name=$1
	shift
	on "$name" --namespace "$namespace" "$@"
}

# in_pod NODE COMMAND...: runs it in the database's container, as its own user.
in_pod() {
	local name=$1
	shift
	kubectl --kubeconfig "$TWOKEY_KUBE/$name" --namespace "$namespace" exec "${stdin[@]}" postgres-0 --container postgres -- "$@"
}
stdin=() # what the scripts themselves read must not go into a pod

# apply_to NAME ARG...: what kubectl apply is given. What the manifests don't name
# is left as it is: how many pods, where clients are led, what the guard was told.
apply_to() {
	local name=$1
	shift
	on "$name" apply --server-side --force-conflicts --field-manager=twokey-deploy "$@" >/dev/null
}

# psql_on NODE DATABASE ARG...: as superuser, through the container's own socket;
# it reads its standard input.
psql_on() {
	local name=$1 database=$2 stdin=(--stdin)
	shift 2
	in_pod "$name" psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname "$database" "$@"
}

# ask NODE QUERY: one value, empty when the server can't be asked.
ask() { psql_on "$1" postgres --tuples-only --no-align --command "$2" </dev/null 2>/dev/null || true; }

# role NODE: primary, standby, or nothing when there is no server to ask.
role() {
	case $(ask "$1" 'SELECT pg_is_in_recovery()') in
	f) echo primary ;;
	t) echo standby ;;
	esac
}

# setting NODE NAME: a value of the node's node.env.
setting() {
	local value
	value=$(sed -n "s/^$2=//p" "$TWOKEY_MANIFESTS/$1/node.env") || fail "$TWOKEY_MANIFESTS/$1/node.env can't be read"
	[ -n "$value" ] || fail "$2 is not set in $TWOKEY_MANIFESTS/$1/node.env"
	echo "$value"
}

# secret_value NAME SECRET KEY
secret_value() {
	in_namespace "$1" get secret "$2" --output "go-template={{index .data \"$3\"}}" | base64 -d
}

has_secret() { in_namespace "$1" get secret "$2" >/dev/null 2>&1; }

# put_secret NAME SECRET KEY=FILE...: by standard input, so that no value is ever
# an argument that other accounts of this machine could read.
put_secret() {
	local name=$1 secret=$2 pair comma=
	shift 2
	{
		printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"%s","namespace":"%s","labels":{"app.kubernetes.io/part-of":"twokey"}},"data":{' "$secret" "$namespace"
		for pair in "$@"; do
			printf '%s"%s":"%s"' "$comma" "${pair%%=*}" "$(base64 -w0 <"${pair#*=}")"
			comma=,
		done
		printf '}}'
	} | apply_to "$name" --filename -
}

# private_folder: in memory where there is such a file system; removed at the end.
private_folder() {
	scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
	trap 'rm -rf "$scratch"' EXIT
}

# typed WORD TEXT: goes on only when a person has typed the word.
typed() {
	local answer=
	printf '%s\nType %s to go on: ' "$2" "$1" >&2
	read -r answer || echo >&2
	[ "$answer" = "$1" ] || fail "'$answer' is not '$1'. Nothing was done"
}

# await SECONDS NODE WHAT COMMAND...: until the command succeeds; else says what
# the node's pod is waiting for.
await() {
	local end=$((SECONDS + $1)) node=$2 what=$3
	shift 3
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "waited in vain until $what. The pod of $node: $(pod_says "$node")"
		sleep 1
	done
}

# pod_says NODE: its phase, what its containers wait for, the guard's last word.
pod_says() {
	local said
	said=$(in_namespace "$1" get pod postgres-0 --output 'go-template={{.status.phase}}{{range .status.initContainerStatuses}}{{with .state.waiting}}, {{.reason}} {{.message}}{{end}}{{with .lastState.terminated}}: {{.message}}{{end}}{{end}}{{range .status.containerStatuses}}{{with .state.waiting}}, {{.reason}} {{.message}}{{end}}{{with .lastState.terminated}}: {{.message}}{{end}}{{end}}{{range .status.conditions}}{{if eq .reason "Unschedulable"}}: {{.message}}{{end}}{{end}}' 2>&1) || true
	printf '%s\n' "$said" "$(in_namespace "$1" logs postgres-0 --container postgres --tail 3 2>/dev/null || true)"
}
