//! Every class of mistake that a file can have, and what is said about it.

use super::refused;

/// A file, and what is said about it.
const WRONG_FILES: &[(&str, &[&str])] = &[
    (
        "[mqt]\n",
        &["FILE:1:2: unknown group [mqt]; did you mean \"mqtt\"?"],
    ),
    ("[zzz]\n", &["FILE:1:2: unknown group [zzz]"]),
    (
        "max_qos = 1\n",
        &["FILE:1:1: \"max_qos\" belongs under [mqtt]"],
    ),
    ("zzz = 1\n", &["FILE:1:1: unknown key \"zzz\""]),
    (
        "mqtt = 1\n",
        &["FILE:1:8: \"mqtt\" is a group of settings: write [mqtt]"],
    ),
    (
        "[mqtt]\nmax_inflght = 1\n",
        &["FILE:2:1: unknown key \"max_inflght\" in [mqtt]; did you mean \"max_inflight\"?"],
    ),
    (
        "[mqtt]\nbearer_token = \"x\"\n",
        &["FILE:2:1: unknown key \"bearer_token\" in [mqtt]; it belongs under [http]"],
    ),
    (
        "[mqtt]\nqqq = 1\n",
        &["FILE:2:1: unknown key \"qqq\" in [mqtt]"],
    ),
    (
        "[mqtt]\n  max_qos = \"1\"\n",
        &["FILE:2:13: mqtt.max_qos: expected an integer, found a string"],
    ),
    (
        "[mqtt]\nmax_qos = 3\n",
        &["FILE:2:11: mqtt.max_qos: 3 is out of range: 0 to 2"],
    ),
    (
        "[mqtt]\nmax_qos = -1\n",
        &["FILE:2:11: mqtt.max_qos: -1 is out of range: 0 to 2"],
    ),
    (
        "[mqtt]\nmax_inflight = 65536\n",
        &["FILE:2:16: mqtt.max_inflight: 65536 is out of range: 1 to 65535"],
    ),
    (
        "[mqtt]\nretain_available = 1\n",
        &["FILE:2:20: mqtt.retain_available: expected true or false, found an integer"],
    ),
    (
        "[mqtt]\nconnect_timeout = 10\n",
        &[
            "FILE:2:19: mqtt.connect_timeout: expected a duration with its unit, such as \"1500ms\", \"10s\" or \"2h\" (units ms, s, m, h, d), found 10",
        ],
    ),
    (
        "[mqtt]\nconnect_timeout = \"1ms\"\n",
        &["FILE:2:19: mqtt.connect_timeout: 1ms is out of range: 100ms to 5m"],
    ),
    (
        "[mqtt]\nmax_packet_size = \"1Mib\"\n",
        &[
            "FILE:2:19: mqtt.max_packet_size: expected a size, such as \"64KiB\" or \"1MiB\" (units B, KiB, MiB, GiB, kB, MB, GB), found \"1Mib\"",
        ],
    ),
    (
        "[mqtt]\nmax_packet_size = 1\n",
        &["FILE:2:19: mqtt.max_packet_size: 1B is out of range: 1KiB to 268435460B"],
    ),
    (
        "[mqtt]\nkeep_alive_multiplier = 0.5\n",
        &["FILE:2:25: mqtt.keep_alive_multiplier: 0.5 is out of range: 1 to 10"],
    ),
    (
        "[mqtt]\nkeep_alive_multiplier = nan\n",
        &[
            "FILE:2:25: mqtt.keep_alive_multiplier: expected a number, found a number with a fraction",
        ],
    ),
    (
        "[mqtt]\naddr = \":1883\"\n",
        &[
            "FILE:2:8: mqtt.addr: expected an IP address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\", found \":1883\"",
        ],
    ),
    (
        "[mqtt]\nproxy_protocol = \"v3\"\n",
        &[
            "FILE:2:18: mqtt.proxy_protocol: expected \"off\" or \"v1\" or \"v2\" or \"any\", found \"v3\"",
        ],
    ),
    (
        "[mqtt]\nproxy_protocol = true\n",
        &[
            "FILE:2:18: mqtt.proxy_protocol: expected \"off\" or \"v1\" or \"v2\" or \"any\", found a boolean",
        ],
    ),
    (
        "[mqtt]\nproxy_trusted = [\"10.0.0.0/8\",\n \"10.0.0.0/33\", 1]\n",
        &[
            "FILE:3:2: mqtt.proxy_trusted: expected a network such as \"10.0.0.0/8\", or one address, found \"10.0.0.0/33\"",
            "FILE:3:17: mqtt.proxy_trusted: expected a network such as \"10.0.0.0/8\", or one address, found an integer",
        ],
    ),
    (
        "[cluster]\npartition_policy = \"serve-local\"\n",
        &[
            "FILE:2:20: cluster.partition_policy: \"serve-local\" is not offered yet: a node that is cut off from the majority can only \"pause\"",
        ],
    ),
    (
        "[node]\nname = \"\"\n",
        &["FILE:2:8: node.name: must not be empty"],
    ),
    (
        "[node]\nname = \"a\\nb\"\n",
        &["FILE:2:8: node.name: must not contain control characters"],
    ),
    (
        "[node]\ndata_dir = 1979-05-27\n",
        &["FILE:2:12: node.data_dir: expected a string, found a date or time"],
    ),
    (
        "[log]\nfilter = \"inof\"\n",
        &[
            "FILE:2:10: log.filter: expected a level (error, warn, info, debug, trace, off) or module=level, found \"inof\"",
        ],
    ),
    (
        "[log]\nformat = \"jsn\"\n",
        &[
            "FILE:2:10: log.format: expected \"text\" or \"json\", found \"jsn\"; did you mean \"json\"?",
        ],
    ),
    (
        "[cluster]\npeers = [\"1@a:1\", \"1@b:1\", \"3@a:1\"]\n",
        &[
            "FILE:2:19: cluster.peers: node id 1 is listed twice",
            "FILE:2:28: cluster.peers: address \"a:1\" is listed twice",
        ],
    ),
    (
        "[cluster]\npeers = [\"a:1\", \"0@b:1\", \"3@c\", \"4@:1\", \"5@::1:1\", \"6@a:0\", 7]\n",
        &[
            "FILE:2:10: cluster.peers: expected a member as id@host:port, found \"a:1\"",
            "FILE:2:17: cluster.peers: the node id of \"0@b:1\" must be a number from 1 to 65535",
            "FILE:2:26: cluster.peers: expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found \"c\"",
            "FILE:2:33: cluster.peers: expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found \":1\"",
            "FILE:2:41: cluster.peers: expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found \"::1:1\"",
            "FILE:2:52: cluster.peers: expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found \"a:0\"",
            "FILE:2:61: cluster.peers: expected a member, \"id@host:port\", found an integer",
        ],
    ),
    (
        "[cluster]\npeers = [{ id = 0, adress = \"a:1\" }]\n",
        &[
            "FILE:2:10: cluster.peers: a member needs its \"address\"",
            "FILE:2:17: cluster.peers: 0 is out of range: 1 to 65535",
            "FILE:2:29: cluster.peers: unknown key \"adress\" of a member; did you mean \"address\"?",
        ],
    ),
    (
        "[cluster]\npeers = 1\n",
        &[
            "FILE:2:9: cluster.peers: expected a list of members, each \"id@host:port\", found an integer",
        ],
    ),
];

#[test]
fn every_mistake_in_a_file_is_reported_at_its_place() {
    for (file, expected) in WRONG_FILES {
        assert_eq!(refused(file, &[], &[]), *expected, "{file}");
    }
}
