//! Plans: which are refused, and what they start. The processes are tested by the cluster tests.

use super::Plan;
use crate::cli::{Job, Lifetime, parse};

fn plan(nodes: usize) -> Plan {
    Plan {
        nodes,
        data_dir: "dev".into(),
        mqtt_port: 1883,
        http_port: 6060,
        rpc_port: 5363,
        file: None,
        set: Vec::new(),
        tls_certificate: None,
    }
}

#[test]
fn odd_clusters_up_to_five_are_planned_and_others_refused_with_the_reason() {
    for nodes in [1, 3, 5] {
        assert_eq!(plan(nodes).check(), Ok(()));
    }
    for (nodes, reason) in [
        (2, "loss of either"),
        (4, "than 3"),
        (0, "use 1"),
        (7, "slower"),
    ] {
        let refusal = plan(nodes).check().expect_err("refused");
        assert!(refusal.contains(reason), "{nodes}: {refusal}");
    }
}

#[test]
fn ports_that_overlap_or_do_not_exist_are_refused() {
    let overlapping = Plan {
        http_port: 1885,
        ..plan(3)
    };
    assert!(
        overlapping
            .check()
            .expect_err("refused")
            .contains("--mqtt-port")
    );
    for mqtt_port in [0, 65_534] {
        let beyond = Plan {
            mqtt_port,
            ..plan(3)
        };
        assert!(beyond.check().expect_err("refused").contains("65535"));
    }
}

#[test]
fn every_member_gets_its_own_ports_and_the_same_list() {
    for member in plan(3).members() {
        let line = plan(3).command_line(&member);
        let Ok(Job::Serve(serve)) = parse(line, Vec::new()) else {
            panic!("the command line of node {} is not understood", member.id);
        };
        let config = &serve.loaded.config;
        let offset = config.node.id as u16 - 1;
        assert_eq!(serve.lifetime, Lifetime::Parent);
        assert_eq!(config.mqtt.addr.port(), 1883 + offset);
        assert_eq!(config.http.addr.port(), 6060 + offset);
        assert_eq!(config.rpc.addr.port(), 5363 + offset);
        assert_eq!(config.node.data_dir, member.data_dir);
        assert_eq!(config.cluster.peers.len(), 3);
    }
}

#[test]
fn the_introduction_subscribes_on_one_node_and_publishes_on_another() {
    let text = plan(3).introduction();
    assert!(text.contains("mosquitto_sub -p 1883"), "{text}");
    assert!(text.contains("mosquitto_pub -p 1885"), "{text}");
    assert!(
        text.contains("http://127.0.0.1:6062/api/v1/routes"),
        "{text}"
    );
    let encrypted = Plan {
        tls_certificate: Some("cert.pem".into()),
        ..plan(3)
    };
    let text = encrypted.introduction();
    assert!(text.contains("curl -k https://127.0.0.1:6062/"), "{text}");
}
