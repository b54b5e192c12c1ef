# What people do with a pair on Kubernetes, and with this repository.
# `just` alone lists it. Nothing here destroys or stops anything unless its name
# says so, and those ask for a name to be typed; no recipe runs one of them for
# you. Who fails a pair over is decided in the channel by two people: `just
# failover` opens the request.

set positional-arguments

# Settings; each can be given in the environment, or for one run: just kube=… RECIPE

# folder with a kubeconfig for each node, named like it, and one named bot
kube := env("TWOKEY_KUBE", home_directory() / ".kube")
# folder with an overlay for each node, named like it, and one named bot
manifests := env("TWOKEY_MANIFESTS", "manifests")
# the pair's two nodes; the first becomes the primary of a new pair
nodes := env("TWOKEY_NODES", "dc1 dc2")
# the bot's configuration
config := env("TWOKEY_CONFIG", "twokey.yaml")
# the program on this machine
bot := env("TWOKEY_BOT", "go run ./cmd/bot")

export TWOKEY_KUBE := kube
export TWOKEY_MANIFESTS := manifests
export TWOKEY_NODES := nodes
export TWOKEY_CONFIG := config
export TWOKEY_BOT := bot

# list the recipes
[private]
default:
    @just --list --unsorted

# --- the pair -----------------------------------------------------------------

# bring both nodes up, the second as the synchronous standby of the first
[group('pair')]
setup-replication:
    ./deploy/setup-replication

# show how replication stands: each server's own words, then the bot's verdict
[group('pair')]
status:
    ./deploy/status

# compare every row of the application on both nodes
[group('pair')]
verify-data pair="":
    ./deploy/bot verify-data ${1:+"$1"}

# commit a test row on the primary, with the wait that every commit has
[group('pair')]
insert-test pair="":
    ./deploy/ask insert-test "$1"

# ask for a failover; two approve it in the channel, which is named
[group('pair')]
failover pair="" reason="":
    ./deploy/ask failover "$1" "$2"

# ask for a planned switchover, nothing else
[group('pair')]
switchover pair="" reason="":
    ./deploy/ask switchover "$1" "$2"

# ask to make the old primary the new standby
[group('pair')]
rejoin pair="" reason="":
    ./deploy/ask rejoin "$1" "$2"

# every check that a failover without loss rests on
[group('pair')]
verify pair="":
    ./deploy/bot verify ${1:+"$1"}

# lead clients to the primary that is seen: for a new pair, or after something was mended
[group('pair')]
point pair="":
    ./deploy/bot point ${1:+"$1"}

# try everything that the bot depends on, and say how to mend what doesn't work
[group('pair')]
doctor:
    ./deploy/doctor

# a superuser's psql on one node
[group('pair')]
connect node database="postgres":
    ./deploy/connect "$1" "$2"

# run SQL as superuser on one node: given, or from standard input
[group('pair')]
exec-psql node sql="" database="postgres":
    ./deploy/exec-psql "$1" "$2" "$3"

# follow the log of one node's guard and server
[group('pair')]
logs node:
    ./deploy/logs "$1"

# copy the primary anew onto the other node (asks; commits wait until it streams)
[group('pair')]
rebuild-standby node:
    ./deploy/rebuild-standby "$1"

# restart the standby's pod, so that new manifests count there
[group('pair')]
restart-standby node:
    ./deploy/restart-standby "$1"

# --- the deployment -----------------------------------------------------------

# make the machines: plan, ask, apply
[group('deployment')]
vm:
    ./deploy/vm

# destroy the machines and their data (asks twice)
[group('deployment')]
destroy:
    ./deploy/destroy

# fetch a node's kubeconfig by ssh
[group('deployment')]
kubeconfig node:
    ./deploy/kubeconfig "$1"

# make passwords and certificates where they are missing
[group('deployment')]
secrets:
    ./deploy/secrets

# make the servers' certificates anew; they count after just reload NODE
[group('deployment')]
certificates:
    ./deploy/secrets --renew

# let one node's server read its configuration and certificates again
[group('deployment')]
reload node:
    ./deploy/exec-psql "$1" "SELECT pg_reload_conf()" postgres

# look up the digests of the images that are pinned, and write them beside their names
[group('deployment')]
pin-images:
    ./deploy/pin-images

# build the bot's image as a file: twokey.tar
[group('deployment')]
image file="twokey.tar":
    ./deploy/image "$1"

# bring that file into a node's cluster by ssh, or the bot's
[group('deployment')]
image-load node file="twokey.tar":
    ./deploy/image-load "$1" "$2"

# write the bot's configuration from Terraform's output, to be completed by hand
[group('deployment')]
bot-config:
    ./deploy/bot-config

# put what the bot has to know into its cluster: Slack's tokens, logins, kubeconfigs
[group('deployment')]
bot-secrets:
    ./deploy/bot-secrets

# bring the bot into its cluster, and try everything that it depends on
[group('deployment')]
bot-deploy:
    ./deploy/bot-deploy

# --- this repository ----------------------------------------------------------

# play the whole story on this machine: a real pair, a simulated Slack
[group('repository')]
demo *arguments:
    ./deploy/run go -- go run ./cmd/bot demo "$@"

# run every test
[group('repository')]
test *arguments="./...":
    ./deploy/run go -- go test "$@"

# deploy to two clusters that are given, lose a site and get it back (docs/deploy.md)
[group('repository')]
e2e:
    ./deploy/e2e

# run every linter, as CI does
[group('repository')]
lint:
    ./deploy/run go -- ./.ci/run tools format vet lint

# everything that CI asks of a change
[group('repository')]
ci *steps:
    ./deploy/run go -- ./.ci/run "$@"

# format Go, Terraform and this file
[group('repository')]
fmt:
    ./deploy/fmt

# fetch PostgreSQL 17's programs for the tests, on Debian without root
[group('repository')]
pg17 folder="":
    ./deploy/pg17 "$1"

# check the manifests, the bot's configuration and Terraform's
[group('repository')]
validate:
    ./deploy/validate

# run Terraform's own tests; no account is needed
[group('repository')]
tftest:
    ./deploy/tftest
