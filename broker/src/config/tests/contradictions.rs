//! Settings that are good alone and wrong together.

use super::{accepted, refused};

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let three = "1@a:1,2@b:1,3@c:1";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("cluster.peers", three)],
            "--set cluster.peers: node.id: must be given",
        ),
        (
            &[("node.id", "4"), ("cluster.peers", three)],
            "--set node.id: node.id: 4 is not among the members of cluster.peers (1, 2, 3)",
        ),
        (
            &[("node.id", "1"), ("cluster.peers", "1@a:1,2@b:1")],
            "--set cluster.peers: cluster.peers: 2 members are refused",
        ),
        (
            &[
                ("node.id", "4"),
                ("cluster.peers", "4@d:1"),
                ("cluster.join", "true"),
            ],
            "--set cluster.peers: cluster.join: cluster.peers has to name this node and at least one member",
        ),
        (
            &[
                ("node.id", "1"),
                ("cluster.peers", three),
                ("rpc.addr", "127.0.0.1:1"),
            ],
            "--set rpc.addr: rpc.addr: 127.0.0.1:1 is only reachable on this machine",
        ),
        (
            &[("http.tls_certificate", "c.pem")],
            "--set http.tls_certificate: http.tls_certificate: needs http.tls_key, too",
        ),
        (
            &[("http.tls_key", "k.pem")],
            "--set http.tls_key: http.tls_key: needs http.tls_certificate, too",
        ),
        (
            &[("mqtt.addr", "127.0.0.1:6060")],
            "--set mqtt.addr: http.addr: 0.0.0.0:6060 is already taken by mqtt.addr (127.0.0.1:6060)",
        ),
        (
            &[("cluster.heartbeat", "200ms")],
            "--set cluster.heartbeat: cluster.election_min: 300ms must be at least 3 heartbeats (600ms",
        ),
        (
            &[("cluster.lease", "200ms")],
            "--set cluster.lease: cluster.lease: 200ms must be at least 3 heartbeats",
        ),
        (
            &[("cluster.election_max", "300ms")],
            "--set cluster.election_max: cluster.election_max: 300ms must be greater",
        ),
        (
            &[("mqtt.max_packet_size", "2MiB")],
            "--set mqtt.max_packet_size: mqtt.out_buffer: 1MiB cannot hold a packet of mqtt.max_packet_size (2MiB)",
        ),
        (
            &[("cluster.link_window", "64KiB")],
            "--set cluster.link_window: cluster.link_window: 64KiB cannot hold",
        ),
        (
            &[("mqtt.max_session_expiry", "1h")],
            "--set mqtt.max_session_expiry: mqtt.session_expiry_default: 7200s is more than",
        ),
    ];
    for (flags, expected) in cases {
        let lines = refused("", &[], flags);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].starts_with(expected), "{}", lines[0]);
    }
}

#[test]
fn a_node_that_joins_may_name_any_number_of_members() {
    for peers in ["1@a:1,4@d:1", "1@a:1,2@b:1,3@c:1,4@d:1"] {
        accepted(
            "",
            &[],
            &[
                ("node.id", "4"),
                ("cluster.peers", peers),
                ("cluster.join", "true"),
            ],
        );
    }
}

#[test]
fn a_value_that_cannot_be_read_is_not_also_a_contradiction() {
    let lines = refused(
        "",
        &[],
        &[("node.id", "x"), ("cluster.peers", "1@a:1,2@b:1,3@c:1")],
    );
    assert_eq!(
        lines,
        ["--set node.id: node.id: expected an integer, found \"x\""]
    );
}

#[test]
fn two_listeners_may_share_a_port_on_different_addresses_and_port_zero() {
    accepted(
        "",
        &[],
        &[("mqtt.addr", "127.0.0.1:7"), ("http.addr", "127.0.0.2:7")],
    );
    accepted(
        "",
        &[],
        &[("mqtt.addr", "127.0.0.1:0"), ("http.addr", "127.0.0.1:0")],
    );
}
