//! Enhanced authentication by SCRAM-SHA-256 (RFC 7677), in CONNECT and again later. The client is written
//! here, from the RFC.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, Setup, packet, raftmq_binary};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::wire::{
    Property, Published, asked, auth, connect, disconnected, find, id, of_connack, of_reason,
    publish, subscribed,
};

const METHOD: &str = "SCRAM-SHA-256";
const CONTINUE: u8 = 0x18;
const AGAIN: u8 = 0x19;

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The client's side of one exchange.
struct Exchange {
    password: &'static str,
    first_bare: String,
    /// Set with the last message: what the server has to prove.
    expected: String,
}

impl Exchange {
    fn new(user_name: &str, password: &'static str, nonce: &str) -> Self {
        Self {
            password,
            first_bare: format!("n={user_name},r={nonce}"),
            expected: String::new(),
        }
    }

    fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    fn last(&mut self, server_first: &str) -> String {
        let fields: Vec<_> = server_first.splitn(3, ',').collect();
        let (nonce, salt) = (&fields[0][2..], BASE64_STANDARD.decode(&fields[1][2..]));
        let iterations = fields[2][2..].parse().expect("iterations");
        let mut salted = [0; 32];
        let (password, salt) = (self.password.as_bytes(), salt.expect("base64"));
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut salted);
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = hmac(&salted, "Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let signature = hmac(&stored_key, &message);
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = hmac(&salted, "Server Key");
        self.expected = format!("v={}", BASE64_STANDARD.encode(hmac(&server_key, &message)));
        format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))
    }
}

fn method() -> Property {
    (id::AUTHENTICATION_METHOD, packet::string(METHOD))
}

fn with(text: &str) -> [Property; 2] {
    [method(), (id::AUTHENTICATION_DATA, packet::string(text))]
}

/// The data of a packet, which has to name the method.
fn data(properties: &[Property]) -> String {
    let named = find(properties, id::AUTHENTICATION_METHOD);
    assert_eq!(named, Some(&*packet::string(METHOD)));
    let data = find(properties, id::AUTHENTICATION_DATA).expect("data");
    String::from_utf8_lossy(&data[2..]).into_owned()
}

/// The server's challenge in an AUTH that asks to go on.
fn challenge(frame: &Frame) -> String {
    assert_eq!((frame.kind(), frame.body[0]), (15, CONTINUE), "{frame:?}");
    data(&of_reason(frame))
}

/// Makes a user's line with the program itself.
async fn line(user_name: &str, password: &str) -> String {
    use std::process::Stdio;
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new(raftmq_binary())
        .args(["scram", user_name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("raftmq starts");
    let mut input = child.stdin.take().expect("standard input");
    input.write_all(password.as_bytes()).await.expect("written");
    drop(input);
    let output = child.wait_with_output().await.expect("an end");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn start(nodes: u64, connect_timeout: &str) -> (Cluster, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let users = [line("alice", "pencil").await, line("root", "secret").await].concat();
    let text = format!("superusers = ['root']\n[users]\n{users}");
    std::fs::write(folder.path().join("raftmq-auth-scram.toml"), text).expect("a file");
    let rules = "rules = [['deny', { user = 'alice' }, 'publish', ['secret/#']], ['allow', 'all']]";
    std::fs::write(folder.path().join("rmqtt-acl.toml"), rules).expect("a file");
    let cluster = Setup::nodes(nodes)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set(
            "RAFTMQ_PLUGINS_DEFAULT_STARTUPS",
            "rmqtt-retainer,rmqtt-acl,raftmq-auth-scram",
        )
        .set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false")
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", connect_timeout)
        .start()
        .await;
    (cluster, folder)
}

/// CONNECT up to the client's last message, which is sent; the exchange.
async fn proving(
    client: &mut RawClient,
    client_id: &str,
    user_name: &str,
    password: &'static str,
) -> Exchange {
    let mut exchange = Exchange::new(user_name, password, "nonce-of-the-client");
    let request = connect(client_id, &with(&exchange.first()));
    let answer = asked(client, &request, 15).await;
    let last = exchange.last(&challenge(&answer));
    client.send(&auth(CONTINUE, &with(&last))).await;
    exchange
}

async fn open(cluster: &Cluster, node: u64, client_id: &str, user_name: &str) -> RawClient {
    let password = if user_name == "root" {
        "secret"
    } else {
        "pencil"
    };
    let mut client = RawClient::open(cluster.node(node).mqtt()).await;
    let exchange = proving(&mut client, client_id, user_name, password).await;
    let connack = client.next_frame(SOON).await.expect("CONNACK");
    assert_eq!(connack.connack_code(), 0, "{connack:?}");
    assert_eq!(
        data(&of_connack(&connack)),
        exchange.expected,
        "the server proves itself"
    );
    client
}

/// [MQTT-4.12.0-2], [MQTT-4.12.0-3], [MQTT-4.12.0-5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_proved_without_being_sent_and_rules_see_the_user_who_proved_it() {
    let (cluster, _folder) = start(3, "10s").await;
    let mut subscriber = open(&cluster, 2, "reader", "alice").await;
    subscribed(&mut subscriber, "#", 1).await;
    let mut alice = open(&cluster, 1, "writer", "alice").await;
    let mut root = open(&cluster, 3, "root-client", "root").await;
    let denied = asked(&mut alice, &publish("secret/a", 1, 1, &[], b"x"), 4).await;
    assert_eq!(denied.body[2], 0x87);
    asked(&mut alice, &publish("open/a", 1, 1, &[], b"x"), 4).await;
    asked(&mut root, &publish("secret/b", 1, 1, &[], b"x"), 4).await;
    for topic in ["open/a", "secret/b"] {
        let got = Published::read(&subscriber.next_frame(SOON).await.expect("PUBLISH"));
        assert_eq!(got.topic, topic);
    }
    let row = cluster.node(3).http().json("/api/v1/clients/writer").await;
    assert_eq!(row["username"], "alice", "{row}");
}

/// [MQTT-4.12.0-4], [MQTT-4.13.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_the_password_or_breaks_the_rules_is_kept_out() {
    let (cluster, _folder) = start(1, "10s").await;
    let address = cluster.node(1).mqtt();
    for (user_name, password) in [
        ("alice", "pencils"),
        ("nobody", "pencil"),
        ("root", "pencil"),
    ] {
        let mut client = RawClient::open(address).await;
        proving(&mut client, "stranger", user_name, password).await;
        let frames = client.frames_until_closed(SOON).await;
        let codes: Vec<_> = frames.iter().map(Frame::connack_code).collect();
        assert_eq!(codes, [0x86], "{user_name}");
    }
    let first = Exchange::new("alice", "pencil", "nonce").first();
    let broken = [
        (publish("a", 0, 0, &[], b""), 0x82, "[MQTT-3.1.2-30]"),
        (packet::PINGREQ.to_vec(), 0x82, "[MQTT-3.1.2-30]"),
        (auth(AGAIN, &with("x")), 0x82, "[MQTT-4.12.0-3]"),
        (auth(0, &with("x")), 0x82, "[MQTT-4.12.0-3]"),
        (
            auth(
                CONTINUE,
                &[(id::AUTHENTICATION_METHOD, packet::string("X"))],
            ),
            0x82,
            "[MQTT-4.12.0-5]",
        ),
        (auth(CONTINUE, &[]), 0x82, "§3.15.2.2.2"),
        (auth(0x01, &with("x")), 0x82, "[MQTT-3.15.2-1]"),
        (
            packet::framed(0xF1, &[CONTINUE, 0]),
            0x81,
            "[MQTT-3.15.1-1]",
        ),
        (
            auth(CONTINUE, &[method()]),
            0x87,
            "no data where some is needed",
        ),
        (
            auth(CONTINUE, &with("c=biws,r=nonce")),
            0x87,
            "no message of SCRAM",
        ),
    ];
    for (request, code, rule) in broken {
        let mut client = RawClient::open(address).await;
        let answer = asked(&mut client, &connect("broken", &with(&first)), 15).await;
        challenge(&answer);
        client.send(&request).await;
        let frames = client.frames_until_closed(SOON).await;
        let codes: Vec<_> = frames.iter().map(Frame::connack_code).collect();
        assert_eq!(codes, [code], "{rule}: {request:?}");
    }
    let mut gone = RawClient::open(address).await;
    challenge(&asked(&mut gone, &connect("gone", &with(&first)), 15).await);
    gone.send(&packet::DISCONNECT).await;
    assert_eq!(gone.frames_until_closed(SOON).await, []);
    for (name, code) in [("SCRAM-SHA-1", 0x8C), ("", 0x8C)] {
        let mut client = RawClient::open(address).await;
        let named = [(id::AUTHENTICATION_METHOD, packet::string(name))];
        let connack = asked(&mut client, &connect("other", &named), 2).await;
        assert_eq!(connack.connack_code(), code, "[MQTT-4.12.0-1]");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_begin_the_exchange_in_auth_and_send_both_in_one_piece() {
    let (cluster, _folder) = start(1, "10s").await;
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    let mut exchange = Exchange::new("alice", "pencil", "nonce");
    // AUTH comes in the same bytes as CONNECT, before anybody has asked for it.
    let early = auth(CONTINUE, &with(&exchange.first()));
    let both = [connect("early", &[method()]), early].concat();
    let asks = asked(&mut client, &both, 15).await;
    assert_eq!(asks.body[0], CONTINUE);
    assert_eq!(find(&of_reason(&asks), id::AUTHENTICATION_DATA), None);
    let answer = client.next_frame(SOON).await.expect("a challenge");
    let last = exchange.last(&challenge(&answer));
    // PINGREQ behind the last AUTH is answered behind CONNACK.
    let both = [auth(CONTINUE, &with(&last)), packet::PINGREQ.to_vec()].concat();
    let connack = asked(&mut client, &both, 2).await;
    assert_eq!(connack.connack_code(), 0);
    assert_eq!(client.next_frame(SOON).await.expect("PINGRESP").kind(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_takes_too_long_ends() {
    let (cluster, _folder) = start(1, "3s").await;
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    let first = Exchange::new("alice", "pencil", "nonce").first();
    challenge(&asked(&mut client, &connect("slow", &with(&first)), 15).await);
    let frames = client.frames_until_closed(SOON).await;
    let codes: Vec<_> = frames.iter().map(Frame::connack_code).collect();
    assert_eq!(codes, [0x87]);
    let mut client = open(&cluster, 1, "slow-again", "alice").await;
    let answer = asked(&mut client, &auth(AGAIN, &with(&first)), 15).await;
    challenge(&answer);
    let frames = client.frames_until_closed(Duration::from_secs(20)).await;
    let codes: Vec<_> = frames.iter().map(Frame::disconnect_code).collect();
    assert_eq!(codes, [0x87]);
}

/// [MQTT-4.12.1-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_proves_itself_again_while_messages_flow() {
    let (cluster, _folder) = start(3, "10s").await;
    let mut writer = open(&cluster, 1, "writer", "alice").await;
    let mut client = open(&cluster, 2, "client", "alice").await;
    subscribed(&mut client, "flow", 1).await;
    asked(&mut writer, &publish("flow", 1, 1, &[], b"before"), 4).await;
    let before = Published::read(&client.next_frame(SOON).await.expect("PUBLISH"));
    for round in 0..3 {
        let mut exchange = Exchange::new("alice", "pencil", &format!("nonce-{round}"));
        let answer = asked(&mut client, &auth(AGAIN, &with(&exchange.first())), 15).await;
        let last = exchange.last(&challenge(&answer));
        // In the middle of it everything works as before (§4.12.1).
        asked(&mut client, &publish("elsewhere", 1, 2, &[], b"x"), 4).await;
        asked(&mut writer, &publish("flow", 1, 1, &[], b"during"), 4).await;
        let during = Published::read(&client.next_frame(SOON).await.expect("PUBLISH"));
        assert_eq!(during.payload, b"during");
        let done = asked(&mut client, &auth(CONTINUE, &with(&last)), 15).await;
        assert_eq!(done.body[0], 0, "Success");
        assert_eq!(data(&of_reason(&done)), exchange.expected);
        client
            .send(&packet::acknowledgement(0x40, during.packet_id))
            .await;
    }
    client
        .send(&packet::acknowledgement(0x40, before.packet_id))
        .await;
    asked(&mut client, &packet::PINGREQ, 13).await;
}

/// [MQTT-4.12.1-1], [MQTT-4.12.1-2], [MQTT-4.12.0-7]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_prove_itself_again_is_disconnected() {
    let (cluster, _folder) = start(1, "10s").await;
    let cases = [
        ("alice", "pencils"),
        ("root", "secret"),
        ("nobody", "pencil"),
    ];
    for (user_name, password) in cases {
        let mut client = open(&cluster, 1, "client", "alice").await;
        let mut exchange = Exchange::new(user_name, password, "nonce");
        let answer = asked(&mut client, &auth(AGAIN, &with(&exchange.first())), 15).await;
        let last = exchange.last(&challenge(&answer));
        let answer = disconnected(&mut client, &auth(CONTINUE, &with(&last))).await;
        assert_eq!(answer.disconnect_code(), 0x87, "{user_name}");
    }
    let other = [(id::AUTHENTICATION_METHOD, packet::string("PLAIN"))];
    for request in [
        auth(AGAIN, &other),
        auth(CONTINUE, &with("x")),
        auth(0, &with("x")),
        packet::framed(0xF0, &[]),
    ] {
        let mut client = open(&cluster, 1, "client", "alice").await;
        let answer = disconnected(&mut client, &request).await;
        assert_eq!(answer.disconnect_code(), 0x82, "{request:?}");
    }
    let named = [&packet::string("MQTT")[..], &[5, 0b1000_0010, 0, 60, 0]].concat();
    let named = [named, packet::string("plain"), packet::string("somebody")].concat();
    let mut plain = RawClient::open(cluster.node(1).mqtt()).await;
    asked(&mut plain, &packet::framed(0x10, &named), 2).await;
    let first = Exchange::new("alice", "pencil", "nonce").first();
    let answer = disconnected(&mut plain, &auth(AGAIN, &with(&first))).await;
    assert_eq!(answer.disconnect_code(), 0x82, "[MQTT-4.12.0-7]");
}
