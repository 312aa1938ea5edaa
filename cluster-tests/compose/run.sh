#!/usr/bin/env bash
# Builds, starts and drives deploy/docker-compose.yml as it is: three nodes behind HAProxy, real clients.
# Every check prints what was expected and what came; the last line is "N passed, N failed".
# The status is 0 only when nothing failed. Containers, volumes and network are always removed.
#
# Environment: CARGO_PROFILE (release, or dev for a shorter build), START_SECONDS_MAX (120: how long
# containers may take to become healthy), KEEP=1 (leave everything running, to look at it).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly compose_file=$here/../../deploy/docker-compose.yml
readonly project=raftmq-test-$$
readonly start_seconds_max=${START_SECONDS_MAX:-120}
readonly nodes=(raftmq1 raftmq2 raftmq3)
passed=0
failed=0
scratch=$(mktemp -d)
readonly scratch

if docker compose version >/dev/null 2>&1; then
    readonly tool=(docker compose)
else
    readonly tool=(docker-compose)
fi

compose() { "${tool[@]}" -p "$project" -f "$compose_file" "$@"; }
container() { compose ps -q "$1"; }
say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# --- checks ---------------------------------------------------------------------------------------

check() { # <what> <expected> <got>
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        printf 'ok      %s: %s\n' "$1" "$3"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s: expected %s, got %s\n' "$1" "$2" "$3"
    fi
}

# Asks again until the answer is the expected one, or the time is over; the last answer counts.
check_within() { # <seconds> <what> <expected> <command>...
    local deadline=$((SECONDS + $1)) what=$2 expected=$3 got
    shift 3
    while got=$("$@" 2>/dev/null) || true; [ "$got" != "$expected" ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.2
    done
    check "$what" "$expected" "$got"
}

# --- the cluster ----------------------------------------------------------------------------------

# The first free TCP port from here on.
free_port() { # <port>
    local port=$1
    while ss -Hltn "sport = :$port" | grep -q .; do port=$((port + 1)); done
    echo "$port"
}

choose_ports() {
    MQTT_PORT=$(free_port 21883)
    HTTP_PORT=$(free_port 26060)
    NODE1_HTTP_PORT=$(free_port $((HTTP_PORT + 1)))
    NODE2_HTTP_PORT=$(free_port $((NODE1_HTTP_PORT + 1)))
    NODE3_HTTP_PORT=$(free_port $((NODE2_HTTP_PORT + 1)))
    STATISTICS_PORT=$(free_port 28404)
    RAFTMQ_IMAGE=raftmq:compose-test
    export MQTT_PORT HTTP_PORT NODE1_HTTP_PORT NODE2_HTTP_PORT NODE3_HTTP_PORT STATISTICS_PORT RAFTMQ_IMAGE
}

health() { docker inspect -f '{{.State.Health.Status}}' "$(container "$1")"; }
await_health() { # <service>...
    local service
    for service; do check_within "$start_seconds_max" "health of $service" healthy health "$service"; done
}

api() { curl -sS -m 10 "http://127.0.0.1:${2:-$HTTP_PORT}/api/v1/$1"; }
nodes_running() { api nodes "${1:-}" | jq 'map(select(.running == true)) | length'; }
exit_status() { docker inspect -f '{{.State.ExitCode}}' "$1"; }
tcp_address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container "$1")"; }

# --- clients --------------------------------------------------------------------------------------

publish() { # <qos> <topic> <message> [option]...
    local qos=$1 topic=$2 message=$3
    shift 3
    timeout 10 mosquitto_pub -h 127.0.0.1 -p "$MQTT_PORT" -q "$qos" -t "$topic" -m "$message" "$@" 2>>"$scratch/publish.log"
}

declare -A subscriber=() # client id -> process id

# A subscriber in the background. It goes straight to HAProxy's own address, not through the published
# port, so that its socket has an address that HAProxy can see and this script knows.
subscribe() { # <client id> <filter>
    : >"$scratch/$1"
    stdbuf -oL mosquitto_sub -h "$(tcp_address haproxy)" -i "$1" -q 2 -t "$2" >"$scratch/$1" 2>>"$scratch/subscribe.log" &
    subscriber[$1]=$!
}

received() { grep -cx -- "$2" "$scratch/$1" || true; }
own_address() {
    ss -Htnp state established "dport = :1883" | awk -v pid="pid=${subscriber[$1]}," 'index($0, pid) {print $3}'
}
shown_address() { api "clients/$1" | jq -r '"\(.ip_address):\(.port)"'; }
subscription_count() { api "subscriptions?topic=$1" | jq length; }
subscription_nodes() { api "subscriptions?topic=$1" | jq -c 'map(.node_id) | sort'; }
route_nodes() { # <filter> <port>
    api routes "$2" | jq -c --arg topic "$1" 'map(select(.topic == $topic) | .node_id) | sort'
}

# --- stages ---------------------------------------------------------------------------------------

start_one_by_one() {
    say "start: the load balancer before the nodes, the nodes from last to first"
    local service
    for service in haproxy raftmq3 raftmq2 raftmq1; do compose up -d --no-build "$service" >>"$scratch/compose.log" 2>&1; done
    await_health "${nodes[@]}" haproxy
    local port
    for port in "$HTTP_PORT" "$NODE1_HTTP_PORT" "$NODE2_HTTP_PORT" "$NODE3_HTTP_PORT"; do
        check_within 10 "running nodes, asked on port $port" 3 nodes_running "$port"
    done
}

messages_cross_nodes() {
    say "messages from node to node"
    local n qos port
    # One after the other, so that each finds the others counted and goes to another node.
    for n in 1 2 3; do
        subscribe "sub$n" 'compose/#'
        check_within 20 "subscriptions to compose/#" "$n" subscription_count 'compose/%23'
    done
    check "nodes of three subscribers behind leastconn" '[1,2,3]' "$(subscription_nodes 'compose/%23')"
    for port in "$NODE1_HTTP_PORT" "$NODE2_HTTP_PORT" "$NODE3_HTTP_PORT"; do
        check "routes of compose/#, asked on port $port" '[1,2,3]' "$(route_nodes 'compose/#' "$port")"
    done
    for qos in 0 1 2; do
        check "publish with QoS $qos" 0 "$(publish "$qos" "compose/$qos" "message-$qos" && echo 0 || echo $?)"
        for n in 1 2 3; do
            check_within 10 "copies of it at subscriber $n" 1 received "sub$n" "message-$qos"
        done
    done
    for n in 1 2 3; do
        check_within 10 "address of subscriber $n in /clients" "$(own_address "sub$n")" shown_address "sub$n"
    done
}

# Publishes until 50 messages are acknowledged and a subscriber has one of them, for at most a minute.
publish_until_received() { # <client id>
    local deadline=$((SECONDS + 60)) number=0 acknowledged=0
    : >"$scratch/acknowledged"
    while [ "$SECONDS" -lt "$deadline" ]; do
        number=$((number + 1))
        if publish 1 compose/kill "kill-$number"; then
            acknowledged=$((acknowledged + 1))
            echo "kill-$number" >>"$scratch/acknowledged"
        fi
        if [ "$acknowledged" -ge 50 ] && grep -q '^kill-' "$scratch/$1"; then break; fi
    done
}

missing() { grep -cvxFf "$scratch/$1" "$scratch/acknowledged" || true; }

a_node_dies() {
    say "kill -9 of a node under load, and its return"
    local victim id name
    victim=raftmq$(api clients/sub2 | jq .node_id)
    id=$(container "$victim")
    docker kill "$id" >/dev/null
    publish_until_received sub2
    check "messages acknowledged without $victim, 50 or more" yes \
        "$([ "$(wc -l <"$scratch/acknowledged")" -ge 50 ] && echo yes || echo no)"
    check "its client is connected to another node and receives" yes \
        "$(grep -q '^kill-' "$scratch/sub2" && echo yes || echo no)"
    # Clients of the living nodes were never disconnected: they have everything that was acknowledged.
    for name in sub1 sub3; do check_within 10 "acknowledged messages that $name lacks" 0 missing "$name"; done
    check_within 20 "running nodes without $victim" 2 nodes_running
    docker start "$id" >/dev/null
    await_health "$victim"
    check_within 20 "running nodes with $victim again" 3 nodes_running
}

everything_stops() {
    say "all nodes stop, and start in another order"
    local service
    local -A ids=()
    check "a persistent session subscribes" 0 \
        "$(timeout 10 mosquitto_sub -h 127.0.0.1 -p "$MQTT_PORT" -c -i keeper -q 1 -t keep/# -E >/dev/null 2>&1 && echo 0 || echo $?)"
    check "publish for it, and retained" 0 "$(publish 1 keep/1 kept -r && echo 0 || echo $?)"
    for service in "${nodes[@]}"; do ids[$service]=$(container "$service"); done
    compose stop "${nodes[@]}" >>"$scratch/compose.log" 2>&1
    for service in "${nodes[@]}"; do check "exit status of $service" 0 "$(exit_status "${ids[$service]}")"; done
    for service in raftmq2 raftmq3 raftmq1; do docker start "${ids[$service]}" >/dev/null; done
    await_health "${nodes[@]}" haproxy
    check_within 30 "what the persistent session finds" kept kept_for_session
}

everything_is_made_anew() {
    say "all containers are removed and made again on the same volumes, all at once"
    compose down >>"$scratch/compose.log" 2>&1
    compose up -d --no-build >>"$scratch/compose.log" 2>&1
    await_health "${nodes[@]}" haproxy
    check_within 20 "running nodes" 3 nodes_running
    check_within 30 "the retained message" kept from_keep
}

# Both ask again: after its nodes were all away, the load balancer needs two checks to believe in them.
from_keep() { timeout 10 mosquitto_sub -h 127.0.0.1 -p "$MQTT_PORT" -t keep/# -q 1 -C 1 "$@"; }
kept_for_session() { from_keep -c -i keeper; }

# --- the frame ------------------------------------------------------------------------------------

show_logs() {
    local service
    for service in "${nodes[@]}" haproxy; do
        printf '\n-- log of %s\n' "$service"
        compose logs --no-color --tail 60 "$service" 2>/dev/null || true
    done
    tail -n 20 "$scratch"/*.log 2>/dev/null || true
}

finish() {
    local status=$?
    trap - EXIT INT TERM
    set +e
    if [ "$status" -ne 0 ]; then
        failed=$((failed + 1))
        printf 'FAILED  the test ended early with status %d\n' "$status"
    fi
    [ "${#subscriber[@]}" = 0 ] || kill "${subscriber[@]}" 2>/dev/null
    [ "$failed" = 0 ] || show_logs
    if [ -n "${KEEP:-}" ]; then
        printf '\nleft running: %s -p %s -f %s down -v\n' "${tool[*]}" "$project" "$compose_file"
    else
        compose down -v --remove-orphans -t 5 >/dev/null 2>&1
    fi
    rm -rf "$scratch"
    printf '\ncompose: %d passed, %d failed (%d s)\n' "$passed" "$failed" "$SECONDS"
    # A bare `exit` in a trap would give the status from before it.
    if [ "$failed" = 0 ]; then exit 0; else exit 1; fi
}

main() {
    trap finish EXIT
    trap 'exit 130' INT TERM
    choose_ports
    say "base images"
    "$here/base-images.sh"
    say "build (profile ${CARGO_PROFILE:-release})"
    compose build >"$scratch/build.log" 2>&1 || { tail -n 40 "$scratch/build.log"; exit 1; }
    start_one_by_one
    messages_cross_nodes
    a_node_dies
    everything_stops
    everything_is_made_anew
}

main
