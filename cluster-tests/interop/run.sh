#!/usr/bin/env bash
# Real clients against three real nodes: paho-mqtt, aiomqtt, gmqtt and mosquitto's, over TCP, TLS with and without
# their own certificates, WebSocket, secure WebSocket and Unix sockets. (QUIC, rumqttc and bytes that no client
# sends are in the Rust tests.)
#
# The status is 0 only when no test failed; the lines before the last one sum up by client, the last one says so.
#
# Environment: PYTHON (python3), RAFTMQ_BIN (the program; it is built when not set). Arguments go to pytest.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=$here/../..
readonly environment=$root/target/interop-environment
# Only so that a hang is not for ever.
readonly seconds_max=300

fail() {
    printf 'interop: FAILED: %s\n' "$*" >&2
    exit 1
}

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
    fail 'the clients could not be installed from PyPI'
}

program() {
    if [ -n "${RAFTMQ_BIN:-}" ]; then
        realpath "$RAFTMQ_BIN"
        return
    fi
    (cd "$root" && cargo build --locked --quiet --bin raftmq)
    realpath "${CARGO_TARGET_DIR:-$root/target}/debug/raftmq"
}

# Passed and failed tests of each file, from pytest's list of outcomes.
by_client() {
    awk '/^(PASSED|FAILED|ERROR) / {
             client = $2; sub(/\.py.*/, "", client); sub(/.*test_/, "", client)
             if ($1 == "PASSED") passed[client]++; else failed[client]++
             all[client]
         }
         END {for (client in all) printf "%-10s %3d passed, %d failed\n", client, passed[client], failed[client]}' "$1" | sort
}

main() {
    local binary status=0 log
    command -v mosquitto_sub >/dev/null || fail 'there is no mosquitto_sub (apt-get install mosquitto-clients)'
    prepare_tools
    binary=$(program)
    log=$(mktemp)
    RAFTMQ_BIN=$binary PYTHONDONTWRITEBYTECODE=1 timeout "$seconds_max" "$environment/bin/python" -m pytest \
        -p no:cacheprovider -q -r A --no-header --show-capture=no "$here" "$@" >"$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then cat "$log"; fi
    printf '\n'
    by_client "$log"
    rm -f "$log"
    printf 'interop: %s (%d s)\n' "$([ "$status" = 0 ] && echo 'every test passed' || echo "FAILED ($status)")" "$SECONDS"
    return "$status"
}

main "$@"
