//! What command lines mean, and how wrong ones are refused.

use std::ffi::OsString;

use super::{Job, Lifetime, Refusal, Serve, parse};
use crate::config::Config;

fn line(arguments: &str) -> Vec<OsString> {
    let words = std::iter::once("raftmq").chain(arguments.split_whitespace());
    words.map(OsString::from).collect()
}

fn job(arguments: &str) -> Result<Job, Refusal> {
    parse(line(arguments), Vec::new())
}

fn serve(arguments: &str) -> Serve {
    match job(arguments) {
        Ok(Job::Serve(serve)) => *serve,
        other => panic!("{arguments}: {other:?}"),
    }
}

fn refused(arguments: &str) -> String {
    job(arguments).expect_err("refused").to_string()
}

#[test]
fn without_arguments_it_is_a_single_node_with_the_defaults() {
    let serve = serve("");
    assert_eq!(serve.loaded.config, Config::default());
    assert_eq!(serve.lifetime, Lifetime::Own);
}

#[test]
fn the_flags_of_run_also_work_without_a_command() {
    for arguments in ["--id 7 --data-dir d", "run --id 7 --data-dir d"] {
        let config = serve(arguments).loaded.config;
        assert_eq!(config.node.id, 7);
        assert_eq!(config.node.data_dir.to_str(), Some("d"));
    }
}

#[test]
fn a_member_is_described_by_flags_alone() {
    let config = serve(
        "run --id 2 --name two --mqtt-addr 127.0.0.1:11883 --http-addr [::1]:16060 \
         --rpc-addr 127.0.0.1:7002 --peers 1@localhost:7001,2@localhost:7002,3@localhost:7003 \
         --log-filter debug --log-format json --set mqtt.max_qos=1",
    )
    .loaded
    .config;
    assert_eq!(config.node_name(), "two");
    assert_eq!(config.mqtt.addr.to_string(), "127.0.0.1:11883");
    assert_eq!(config.http.addr.to_string(), "[::1]:16060");
    assert_eq!(config.own_address(), "localhost:7002");
    assert_eq!(config.mqtt.max_qos, 1);
    assert_eq!(config.log.filter.as_str(), "debug");
}

#[test]
fn problems_name_the_flag() {
    let text = refused("run --mqtt-addr nowhere --set mqtt.max_qos=3 --set mqtt.max_qoss=1");
    assert!(
        text.contains("--mqtt-addr: mqtt.addr: expected an IP"),
        "{text}"
    );
    assert!(
        text.contains("--set mqtt.max_qos: mqtt.max_qos: 3 is out"),
        "{text}"
    );
    assert!(text.contains("did you mean \"mqtt.max_qos\"?"), "{text}");
}

#[test]
fn one_setting_twice_on_the_command_line_is_refused() {
    let text = refused("run --id 1 --set node.id=2");
    assert!(text.contains("node.id is given twice"), "{text}");
}

#[test]
fn a_set_without_a_value_is_wrong_usage() {
    assert!(matches!(job("run --set mqtt"), Err(Refusal::Usage(_))));
}

#[test]
fn an_unknown_flag_is_refused_with_the_one_that_is_like_it() {
    assert!(refused("run --mqtt-adr x").contains("--mqtt-addr"));
}

#[test]
fn help_and_version_are_not_failures() {
    for arguments in ["--help", "--version", "run --help", "dev --help"] {
        let Err(Refusal::CommandLine(error)) = job(arguments) else {
            panic!("{arguments}");
        };
        assert_eq!(error.exit_code(), 0, "{arguments}");
    }
}

#[test]
fn the_hidden_flag_ties_a_node_to_its_parent() {
    assert_eq!(serve("run --exit-with-parent").lifetime, Lifetime::Parent);
    assert!(!refused("run --help").contains("exit-with-parent"));
}

#[test]
fn dev_plans_three_nodes_and_takes_ports() {
    let Ok(Job::Develop(plan)) = job("dev --mqtt-port 2000") else {
        panic!("dev");
    };
    assert_eq!(
        (plan.nodes, plan.mqtt_port, plan.http_port),
        (3, 2000, 6060)
    );
    assert!(refused("dev --nodes 2").contains("loss of either"));
}

/// Who checks a member's health has its environment, and not its flags.
#[test]
fn health_needs_not_say_which_member_is_asked() {
    let peers = "1@a:1,2@b:1,3@c:1";
    let environment = [
        ("RAFTMQ_CLUSTER_PEERS", peers),
        ("RAFTMQ_HTTP_ADDR", "0.0.0.0:7070"),
        ("RAFTMQ_HTTP_TLS_CERTIFICATE", "cert.pem"),
    ];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let job = parse(line("health"), environment.to_vec());
    let Ok(Job::Health(question)) = job else {
        panic!("{job:?}");
    };
    let address = "127.0.0.1:7070".parse().expect("an address");
    let expected = crate::health::Question::at(address, Some("cert.pem".into()));
    assert_eq!(question, expected);
    assert!(refused("health --http-addr nowhere").contains("expected an IP"));
}

#[test]
fn dev_refuses_what_its_nodes_would_refuse() {
    assert!(refused("dev --set mqtt.max_qos=5").contains("out of range"));
    assert!(refused("dev --set node.id=5").contains("given twice"));
}

#[test]
fn check_says_that_a_configuration_is_good_or_what_is_wrong() {
    assert!(matches!(job("check"), Ok(Job::Print(_))));
    assert!(refused("check -f /nonexistent/raftmq.toml").contains("cannot be read"));
}

#[test]
fn config_prints_values_with_their_origin() {
    let Ok(Job::Print(text)) = job("config --set mqtt.max_qos=1 --set http.bearer_token=s3cret")
    else {
        panic!("config");
    };
    assert!(text.contains("max_qos = 1  # --set mqtt.max_qos"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
