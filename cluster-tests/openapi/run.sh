#!/usr/bin/env bash
# Asks a cluster of three real nodes everything that its own OpenAPI document allows, and much that it
# does not: every answer must be one that the document describes, and no answer may be 5xx that is not in it.
# Clients, subscriptions, an offline session and retained messages live there meanwhile.
#
# The requests are made up by schemathesis from a seed, which is printed; the same seed makes the same
# requests on every machine. The status is 0 only when there was no finding; the last line says so.
#
# Environment: SEED (number), EXAMPLES (12: requests made up for each endpoint in the last phase), PYTHON
# (python3), RAFTMQ_BIN (the program; it is built when not set), KEEP=1 (leave logs and the report).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=$here/../..
readonly seed=${SEED:-20260715}
readonly examples=${EXAMPLES:-12}
# Only so that a hang is not for ever.
readonly seconds_max=600
readonly start_seconds_max=120
readonly environment=$root/target/openapi-environment
readonly token=openapi-test
scratch=$(mktemp -d)
readonly scratch
children=()

# Endless or in the way of the test; everything else is asked. /tail has a check of its own below; what
# drains or removes the nodes that are asked is in t94 and t95.
readonly left_out=(
    --exclude-path /api/v1/tail --exclude-operation-id drain_node
    --exclude-operation-id put_cluster_node --exclude-operation-id delete_cluster_node
)

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
fail() {
    printf 'FAILED  %s\n' "$*" >&2
    exit 1
}

# --- tools ----------------------------------------------------------------------------------------

# Once for each list of requirements. PyPI may have a bad minute.
prepare_tools() {
    local stamp=$environment/requirements.txt attempt
    if cmp -s "$here/requirements.txt" "$stamp"; then return; fi
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    for attempt in 1 2 3 4; do
        if "$environment/bin/pip" install --quiet --disable-pip-version-check --retries 8 --timeout 60 \
            -r "$here/requirements.txt"; then
            cp "$here/requirements.txt" "$stamp"
            return
        fi
        printf 'attempt %d to install from PyPI failed\n' "$attempt" >&2
        sleep $((attempt * 5))
    done
    fail 'the tools could not be installed from PyPI'
}

program() {
    if [ -n "${RAFTMQ_BIN:-}" ]; then
        printf '%s' "$RAFTMQ_BIN"
        return
    fi
    (cd "$root" && cargo build --locked --quiet --bin raftmq)
    printf '%s' "${CARGO_TARGET_DIR:-$root/target}/debug/raftmq"
}

# --- the cluster ----------------------------------------------------------------------------------

# The first of three free TCP ports from here on, below those that the system gives to connections. Where the
# search begins depends on the process, so that two runs at once do not choose the same.
free_ports() { # <port>
    local port=$(($1 + $$ % 300 * 3))
    while ss -Hatn "sport >= :$port and sport <= :$((port + 2))" | grep -q .; do port=$((port + 3)); done
    echo "$port"
}

api() { # <method> <path> [curl option]...
    local method=$1 path=$2
    shift 2
    curl -sS -m 15 -X "$method" -H "Authorization: Bearer $token" "$@" "http://127.0.0.1:$http_port$path"
}

# The nodes are the first child.
nodes_run() {
    kill -0 "${children[0]}" 2>/dev/null || fail 'the nodes have ended'
    if grep -q '^dev .* ended' "$scratch/nodes.log"; then fail 'a node has ended'; fi
}

await() { # <what> <seconds> <command>...
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        nodes_run
        if [ "$SECONDS" -ge "$deadline" ]; then fail "$what: not in time"; fi
        sleep 0.2
    done
}

ready() { curl -sf -m 5 "http://127.0.0.1:$1/ready"; }

start_cluster() {
    say 'three nodes'
    mqtt_port=$(free_ports 22000)
    http_port=$(free_ports 24000)
    rpc_port=$(free_ports 26000)
    # Variables with the prefix are settings of the program, and this one is not. Requests are made as fast as
    # they are answered, some with a wrong token: with limits the answers would be 429 and say nothing.
    env -u RAFTMQ_BIN "$1" dev --nodes 3 --data-dir "$scratch/nodes" --mqtt-port "$mqtt_port" --http-port "$http_port" \
        --rpc-port "$rpc_port" --set "http.bearer_token=$token" --set http.max_wrong_tokens_per_minute=0 \
        --set http.max_requests_per_second_per_address=0 >"$scratch/nodes.log" 2>&1 &
    children+=($!)
    local port
    for port in "$http_port" $((http_port + 1)) $((http_port + 2)); do
        await "node at port $port ready" "$start_seconds_max" ready "$port"
    done
}

subscriber() { # <node> <client id> <option>...
    local port=$((mqtt_port + $1 - 1)) id=$2
    shift 2
    mosquitto_sub -p "$port" -i "$id" "$@" >>"$scratch/$id.log" 2>&1 &
    children+=($!)
}

publish() { # <node> <option>...
    local port=$((mqtt_port + $1 - 1))
    shift
    timeout 20 mosquitto_pub -p "$port" "$@"
}

sessions() { [ "$(api GET /api/v1/subscriptions | jq length)" = 5 ]; }

populate() {
    say 'clients, subscriptions, an offline session, retained messages'
    subscriber 1 sensor-1 -V 5 -q 1 -t 'sensors/#' -t '$share/workers/jobs/+' \
        --will-topic sensors/1/state --will-payload gone
    subscriber 2 sensor-2 -V 311 -q 2 -t 'sensors/+/temperature' -u ada
    subscriber 3 sensor-3 -V 5 -q 0 -t '$share/workers/jobs/+'
    timeout 20 mosquitto_sub -p "$mqtt_port" -i keeper -c -q 1 -t 'kept/#' -E
    await 'five subscriptions' 60 sessions
    publish 1 -r -q 1 -t sensors/1/temperature -m 21.5
    publish 2 -r -q 1 -t sensors/1/name -m cellar -V 5 -D publish message-expiry-interval 3600 \
        -D publish user-property unit none
    publish 3 -q 1 -t kept/1 -m waiting
}

# --- checks ---------------------------------------------------------------------------------------

document_is_valid() {
    say 'the document'
    api GET /api/v1/openapi.json >"$scratch/openapi.json"
    "$environment/bin/openapi-spec-validator" --schema 3.1 "$scratch/openapi.json"
}

# The endless answer: its head, and that a client that comes is told with the fields of the document.
tail_tells() {
    say '/tail'
    curl -sSN -m 60 -D "$scratch/tail.headers" -H "Authorization: Bearer $token" \
        "http://127.0.0.1:$http_port/api/v1/tail?event=connected" >"$scratch/tail" 2>/dev/null &
    local reader=$!
    children+=("$reader")
    await 'all nodes listened to' 30 awk '/^event: listening/ {n++} END {exit n < 3}' "$scratch/tail"
    publish 2 -i visitor -t visit -m hello
    await 'the visitor told' 30 grep -q '"clientid":"visitor"' "$scratch/tail"
    kill "$reader"
    grep -qi '^content-type: text/event-stream' "$scratch/tail.headers" || fail '/tail: content type'
    grep '^data: ' "$scratch/tail" | cut -c 7- >"$scratch/tail.json"
    "$environment/bin/python" "$here/events.py" "$scratch/openapi.json" "$scratch/tail.json"
}

ask_everything() {
    say "requests made up from the document, seed $seed"
    local options=(
        --url "http://127.0.0.1:$http_port" -H "Authorization: Bearer $token"
        --seed "$seed" --generation-database none --max-examples "$examples"
        --phases examples,coverage,fuzzing --checks all --continue-on-failure
        --request-timeout 30 --workers 1 --warnings off --no-color
        --report json,ndjson --report-dir "$scratch/report"
    )
    (cd "$scratch" && timeout "$seconds_max" "$environment/bin/schemathesis" \
        --config-file "$here/schemathesis.toml" run "${options[@]}" "${left_out[@]}" "$scratch/openapi.json")
}

nodes_are_well() {
    say 'afterwards'
    local port
    for port in "$http_port" $((http_port + 1)) $((http_port + 2)); do
        ready "$port" >/dev/null || fail "the node at port $port is not ready any more"
    done
    if grep -E 'panicked|HTTP request failed' "$scratch/nodes.log"; then fail 'a node had an internal error'; fi
}

# --- the frame ------------------------------------------------------------------------------------

finish() {
    local status=$?
    trap - EXIT INT TERM
    set +e
    [ "${#children[@]}" = 0 ] || kill "${children[@]}" 2>/dev/null
    wait 2>/dev/null
    if [ "$status" != 0 ]; then tail -n 30 "$scratch/nodes.log"; fi
    if [ -n "${KEEP:-}" ]; then printf 'left: %s\n' "$scratch"; else rm -rf "$scratch"; fi
    printf '\nopenapi: %s, seed %s (%d s)\n' "$([ "$status" = 0 ] && echo 'no findings' || echo "FAILED ($status)")" "$seed" "$SECONDS"
    exit "$status"
}

main() {
    trap finish EXIT
    trap 'exit 130' INT TERM
    local binary
    say 'tools'
    prepare_tools
    binary=$(program)
    start_cluster "$binary"
    populate
    document_is_valid
    tail_tells
    ask_everything
    nodes_are_well
}

main
