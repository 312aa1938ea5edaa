//! Every class of mistake, with the place that is reported; precedence; and that nothing shows a
//! secret.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use super::*;

mod contradictions;
mod listeners;
mod mistakes;
mod secrets;

struct Given {
    file: Option<tempfile::NamedTempFile>,
    sources: Sources,
}

/// Layers from the text of a file, variables and flags.
fn given(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Given {
    let file = (!file.is_empty()).then(|| {
        let mut written = tempfile::NamedTempFile::new().expect("a file");
        written.write_all(file.as_bytes()).expect("written");
        written
    });
    let variable = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    let flag = |(key, value): &(&str, &str)| FlagValue {
        flag: format!("--set {key}"),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    let sources = Sources {
        file: file.as_ref().map(|file| file.path().to_owned()),
        environment: variables.iter().map(variable).collect(),
        flags: flags.iter().map(flag).collect(),
    };
    Given { file, sources }
}

fn accepted(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Loaded {
    load(&given(file, variables, flags).sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The report's lines, with `FILE` for the path.
fn refused(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    let given = given(file, variables, flags);
    let problems = load(&given.sources).expect_err("refused");
    let path = given.file.map(|file| file.path().display().to_string());
    let line = |problem: &Problem| match &path {
        Some(path) => problem.to_string().replace(path, "FILE"),
        None => problem.to_string(),
    };
    problems.iter().map(line).collect()
}

#[test]
fn nothing_given_is_the_defaults() {
    let loaded = accepted("", &[], &[]);
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.origin("mqtt.addr"), Origin::Default);
}

#[test]
fn every_default_is_within_its_own_range_and_reads_back() {
    let mut defaults = Config::default();
    for setting in SETTINGS {
        let Some(value) = (setting.slot)(&mut defaults).show() else {
            continue;
        };
        let file = format!("[{}]\n{} = {value}\n", setting.group(), setting.name());
        // Members make demands on other settings; an empty list makes none.
        assert_eq!(
            accepted(&file, &[], &[]).config,
            Config::default(),
            "{file}"
        );
    }
}

#[test]
fn later_layers_win() {
    let file = "[mqtt]\nmax_inflight = 2\nmax_qos = 1\nshards = 3\n";
    let variables = [
        ("RAFTMQ_MQTT_MAX_INFLIGHT", "5"),
        ("RAFTMQ_MQTT_MAX_QOS", "0"),
    ];
    let loaded = accepted(file, &variables, &[("mqtt.max_inflight", "7")]);
    let mqtt = &loaded.config.mqtt;
    assert_eq!((mqtt.max_inflight, mqtt.max_qos, mqtt.shards), (7, 0, 3));
    let origin = |key| loaded.origin(key).to_string();
    assert_eq!(origin("mqtt.max_inflight"), "--set mqtt.max_inflight");
    assert_eq!(origin("mqtt.max_qos"), "RAFTMQ_MQTT_MAX_QOS");
    assert!(origin("mqtt.shards").ends_with(":4:10"));
}

#[test]
fn every_setting_has_a_variable_of_its_own() {
    let mut names: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    names.push(FILE_VARIABLE.to_owned());
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(names.contains(&"RAFTMQ_NODE_DATA_DIR".to_owned()));
}

#[test]
fn every_kind_of_value_can_be_given_in_the_file_and_in_words() {
    let file = r#"
        [node]
        name = "a"
        [mqtt]
        max_packet_size = "64KiB"
        connect_timeout = "1500ms"
        keep_alive_multiplier = 2
        proxy_protocol = "v2"
        proxy_trusted = ["10.1.0.0/16", "192.0.2.1"]
        allow_anonymous = false
        [http]
        bearer_token = "t0ken"
    "#;
    let words = [
        ("RAFTMQ_NODE_NAME", "a"),
        ("RAFTMQ_MQTT_MAX_PACKET_SIZE", "65536"),
        ("RAFTMQ_MQTT_CONNECT_TIMEOUT", "1500ms"),
        ("RAFTMQ_MQTT_KEEP_ALIVE_MULTIPLIER", "2.0"),
        ("RAFTMQ_MQTT_PROXY_PROTOCOL", "v2"),
        ("RAFTMQ_MQTT_PROXY_TRUSTED", "10.1.0.0/16, 192.0.2.1/32"),
        ("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false"),
        ("RAFTMQ_HTTP_BEARER_TOKEN", "t0ken"),
    ];
    let config = accepted(file, &[], &[]).config;
    assert_eq!(config, accepted("", &words, &[]).config);
    assert_eq!(config.mqtt.max_packet_size, ByteCount(65_536));
    assert_eq!(config.mqtt.connect_timeout, Duration::from_millis(1_500));
    assert_eq!(
        config.http.bearer_token.map(|t| t.expose().to_owned()),
        Some("t0ken".to_owned())
    );
}

#[test]
fn members_are_read_in_every_form() {
    let strings =
        "[node]\nid = 2\n[cluster]\npeers = [\"1@a:1\", \"2@[::1]:2\", \"3@10.0.0.3:3\"]\n";
    let tables = "[node]\nid = 2\n[[cluster.peers]]\nid = 1\naddress = \"a:1\"\n\
                  [[cluster.peers]]\nid = 2\naddress = \"[::1]:2\"\n\
                  [[cluster.peers]]\nid = 3\naddress = \"10.0.0.3:3\"\n";
    let words = [
        ("node.id", "2"),
        ("cluster.peers", "1@a:1,2@[::1]:2,3@10.0.0.3:3"),
    ];
    let config = accepted(strings, &[], &[]).config;
    assert_eq!(config, accepted(tables, &[], &[]).config);
    assert_eq!(config, accepted("", &[], &words).config);
    assert_eq!(config.cluster.peers[1].host_and_port(), Some(("::1", 2)));
    assert_eq!(config.node_name(), "2@[::1]:2");
}

#[test]
fn a_member_listens_everywhere_on_the_port_of_its_own_entry() {
    let peers = ("cluster.peers", "1@a:7001,2@b:7002,3@c:7003");
    let alone = accepted("", &[], &[]).config.rpc.addr;
    assert_eq!(alone.to_string(), "127.0.0.1:5363");
    let member = accepted("", &[], &[("node.id", "2"), peers])
        .config
        .rpc
        .addr;
    assert_eq!(member.to_string(), "0.0.0.0:7002");
    let explicit = [("node.id", "2"), peers, ("rpc.addr", "0.0.0.0:9")];
    let explicit = accepted("", &[], &explicit).config.rpc.addr;
    assert_eq!(explicit.to_string(), "0.0.0.0:9");
}

#[test]
fn columns_count_characters_and_lines_count_from_one() {
    let file = "# ü\n[mqtt]\n\"max_qos\" = 9 # ü\nshards = \"é\"";
    let lines = refused(file, &[], &[]);
    assert!(lines[0].starts_with("FILE:3:13: "), "{lines:?}");
    assert!(lines[1].starts_with("FILE:4:10: "), "{lines:?}");
}

#[test]
fn what_is_no_toml_is_reported_and_hides_nothing_else() {
    let file = "[mqtt]\naddr = \"0.0.0.0:1883\nmax_qos = 9\n[http\n[node]\nid = 0\n";
    let lines = refused(file, &[], &[]);
    for place in [
        "FILE:2:",
        "FILE:3:11: mqtt.max_qos: 9",
        "FILE:4:",
        "FILE:6:6: node.id: 0",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(place)),
            "{place}: {lines:#?}"
        );
    }
}

#[test]
fn a_key_or_a_group_given_twice_is_reported() {
    for file in ["[mqtt]\nmax_qos = 1\nmax_qos = 2\n", "[mqtt]\n[mqtt]\n"] {
        let lines = refused(file, &[], &[]);
        assert!(
            lines.iter().all(|line| line.contains("duplicate")),
            "{lines:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_with_everything_else() {
    let mut sources = given("", &[("RAFTMQ_MQTT_MAX_QOS", "x")], &[]).sources;
    sources.file = Some("/nonexistent/raftmq.toml".into());
    let problems = load(&sources).expect_err("refused").to_string();
    assert!(
        problems.starts_with("2 problems in the configuration:\n"),
        "{problems}"
    );
    assert!(
        problems.contains("/nonexistent/raftmq.toml: cannot be read"),
        "{problems}"
    );
    sources.file = Some("/".into());
    let problems = load(&sources).expect_err("refused").to_string();
    assert!(problems.contains("/: cannot be read"), "{problems}");
}

#[test]
fn a_file_that_is_no_text_is_reported() {
    let given = given("x", &[], &[]);
    let path = given.file.as_ref().expect("a file").path();
    std::fs::write(path, b"[mqtt]\n\xff\xfe").expect("written");
    let problems = load(&given.sources).expect_err("refused").to_string();
    assert!(problems.contains("is not UTF-8 (at byte 7)"), "{problems}");
    std::fs::write(path, vec![b'#'; 2 << 20]).expect("written");
    let problems = load(&given.sources).expect_err("refused").to_string();
    assert!(problems.contains("at most 1048576 are read"), "{problems}");
}

#[test]
fn the_environment_may_name_the_file_and_the_command_line_wins() {
    let given = given("[mqtt]\nmax_qos = 1\n", &[], &[]);
    let path = given.file.as_ref().expect("a file").path();
    let mut sources = Sources {
        environment: vec![(FILE_VARIABLE.into(), path.into())],
        ..Sources::default()
    };
    assert_eq!(load(&sources).expect("good").config.mqtt.max_qos, 1);
    sources.file = Some("/nonexistent".into());
    load(&sources).expect_err("the flag's file is read instead");
}

#[test]
fn mistakes_in_variables_name_the_variable() {
    let wrong = [
        (
            "RAFTMQ_MQTT_MAX_QOSS",
            "1",
            "RAFTMQ_MQTT_MAX_QOSS: unknown variable; did you mean \"RAFTMQ_MQTT_MAX_QOS\"?",
        ),
        (
            "RAFTMQ_MQTT_SHARDS",
            "x",
            "RAFTMQ_MQTT_SHARDS: mqtt.shards: expected an integer, found \"x\"",
        ),
        (
            "RAFTMQ_MQTT_ALLOW_ANONYMOUS",
            "yes",
            "RAFTMQ_MQTT_ALLOW_ANONYMOUS: mqtt.allow_anonymous: expected true or false, found \"yes\"",
        ),
        (
            "RAFTMQ_CLUSTER_PEERS",
            "1@a",
            "RAFTMQ_CLUSTER_PEERS: cluster.peers: expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found \"a\"",
        ),
    ];
    for (name, value, expected) in wrong {
        assert_eq!(refused("", &[(name, value)], &[]), [expected]);
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_reported() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(vec![0xff]);
    let sources = Sources {
        environment: vec![("RAFTMQ_NODE_NAME".into(), value)],
        ..Sources::default()
    };
    let problems = load(&sources).expect_err("refused").to_string();
    assert!(
        problems.contains("RAFTMQ_NODE_NAME: node.name: the value is not UTF-8"),
        "{problems}"
    );
}

#[test]
fn empty_and_foreign_variables_are_left_alone() {
    let variables = [
        ("PATH", "/bin"),
        ("RAFTMQ_NODE_NAME", ""),
        ("RAFTMQ_SERVICE_HOST", "10.0.0.1"),
        ("RAFTMQ_SERVICE_PORT_MQTT", "1883"),
        ("RAFTMQ_PORT", "tcp://10.0.0.1:1883"),
        ("RAFTMQ_PORT_1883_TCP_ADDR", "10.0.0.1"),
        ("RAFTMQ_HEADLESS_PORT_1883_TCP", "tcp://10.0.0.1:1883"),
    ];
    assert_eq!(accepted("", &variables, &[]).config, Config::default());
}

#[test]
fn problems_of_all_layers_come_in_one_report() {
    let lines = refused(
        "[mqtt]\nmax_qos = 3\nshards = -1\n",
        &[("RAFTMQ_X", "1"), ("RAFTMQ_LOG_FORMAT", "xml")],
        &[("cluster.lease", "1ms"), ("what", "1")],
    );
    let places: Vec<_> = lines
        .iter()
        .map(|line| line.split(": ").next().unwrap_or(""))
        .collect();
    let expected = [
        "FILE:2:11",
        "FILE:3:10",
        "RAFTMQ_LOG_FORMAT",
        "RAFTMQ_X",
        "--set cluster.lease",
        "--set what",
    ];
    assert_eq!(places, expected);
}

#[test]
fn the_configuration_in_force_reads_back() {
    let flags = [
        ("node.id", "2"),
        ("cluster.peers", "1@a:1,2@b:2,3@c:3"),
        ("node.name", "q\"\\"),
    ];
    let loaded = accepted("", &[], &flags);
    let again = accepted(&effective_toml(&loaded), &[], &[]);
    assert_eq!(again.config, loaded.config);
}

#[test]
fn the_default_file_says_nothing_and_its_values_are_the_defaults() {
    let text = default_toml();
    assert_eq!(accepted(&text, &[], &[]).config, Config::default());
    let uncommented: String = text
        .lines()
        .filter(|line| !line.ends_with("= \"\""))
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(accepted(&uncommented, &[], &[]).config, Config::default());
}

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn the_example_file_is_the_default_file() {
    let path = format!("{WORKSPACE}/deploy/raftmq.toml");
    let example = std::fs::read_to_string(&path).expect("deploy/raftmq.toml");
    let hint = "write it again: cargo run -- config --print-default > deploy/raftmq.toml";
    assert!(example == default_toml(), "{hint}");
}

#[test]
fn the_reference_in_the_readme_is_the_generated_one() {
    let Ok(readme) = std::fs::read_to_string(format!("{WORKSPACE}/README.md")) else {
        return;
    };
    let Some((_, rest)) = readme.split_once("<!-- config:begin -->\n") else {
        return;
    };
    let (section, _) = rest
        .split_once("<!-- config:end -->")
        .expect("the end of the section");
    let hint = "write it again: cargo run -- config --print-reference";
    assert!(section.trim() == markdown().trim(), "{hint}");
}
