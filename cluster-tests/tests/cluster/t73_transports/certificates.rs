//! Certificates: of clients, and of a server whose files change.

use std::sync::Arc;
use std::time::Duration;

use raftmq_cluster_tests::{
    Authority, Certificate, Cluster, Frame, Node, RawClient, SOON, Setup, eventually, over_quic,
    over_tls, packet,
};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::AsyncReadExt;

use super::{QUIC_PORT, TLS_PORT, at, listen, with_certificate};

/// How long changed files may take to be in force; they are looked at every 5 seconds.
const RELOAD: Duration = Duration::from_secs(30);

/// One node whose clients are asked for certificates of `authority`.
async fn asking(authority: &Authority, settings: &[(&str, &str)]) -> Cluster {
    let server = authority.sign("server", "server", &["localhost"], 1);
    let ca = authority.ca().display().to_string();
    let own = with_certificate(&server);
    let mut all = vec![("client_ca", &*ca)];
    all.extend(own.iter().map(|(name, value)| (*name, &**value)));
    all.extend(settings);
    let mut cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false")
        .build();
    listen(cluster.node_mut(1), "tls", TLS_PORT, &all);
    listen(cluster.node_mut(1), "quic", QUIC_PORT, &all);
    cluster.start_all();
    cluster.all_ready().await;
    cluster
}

/// The answer to CONNECT; `None`: TLS did not let it come so far.
async fn connack(node: &Node, config: ClientConfig, id: &str) -> Option<(RawClient, Frame)> {
    let stream = over_tls(at(node, TLS_PORT), &Arc::new(config)).await.ok()?;
    let mut client = RawClient::over(stream);
    client.send(&packet::connect(5, id, true, 30)).await;
    let connack = client.next_frame(SOON).await?;
    Some((client, connack))
}

async fn user_name(node: &Node, id: &str) -> String {
    let row = node.http().json(&format!("/api/v1/clients/{id}")).await;
    row["username"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_good_certificate_is_not_let_in_where_one_is_required() {
    let authority = Authority::new("ca");
    let crl = authority.revoke(66).display().to_string();
    let settings = [("client_certificates", "required"), ("client_crl", &*crl)];
    let cluster = asking(&authority, &settings).await;
    let node = cluster.node(1);
    let good = authority.sign("good", "meter 7", &[], 7);
    let revoked = authority.sign("revoked", "meter 66", &[], 66);
    let other = Authority::new("stranger");
    let stranger = other.sign("stranger", "meter 7", &[], 7);
    let named = |own: Option<&Certificate>| authority.client(own);
    // A certificate alone is not a user name: nobody asked it for one.
    let (_, frame) = connack(node, named(Some(&good)), "good")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0x87);
    for (who, own) in [
        ("none", None),
        ("revoked", Some(&revoked)),
        ("stranger", Some(&stranger)),
    ] {
        assert!(connack(node, named(own), who).await.is_none(), "{who}");
    }
    eventually("three handshakes that failed", SOON, async || {
        let metrics = node.http().try_json("/api/v1/metrics/sum").await?;
        match metrics["listener.handshake.error"].as_u64() {
            Some(3) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_common_name_is_the_user_name() {
    let authority = Authority::new("ca");
    let settings = [
        ("client_certificates", "optional"),
        ("certificate_name", "cn"),
    ];
    let cluster = asking(&authority, &settings).await;
    let node = cluster.node(1);
    let own = authority.sign("own", "meter 7", &[], 7);
    let (_client, frame) = connack(node, authority.client(Some(&own)), "with")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0);
    assert_eq!(user_name(node, "with").await, "meter 7");
    // Without one it is a client like any other, and anonymous ones are not let in here.
    let (_, frame) = connack(node, authority.client(None), "without")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0x87);
    let over_quic = over_quic(at(node, QUIC_PORT), authority.client(Some(&own))).await;
    let _client = over_quic.expect("QUIC").connected(5, "quick").await;
    assert_eq!(user_name(node, "quick").await, "meter 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternative_name_is_the_client_identifier_and_no_other_is_taken() {
    let authority = Authority::new("ca");
    let settings = [
        ("client_certificates", "required"),
        ("certificate_name", "san"),
        ("certificate_use", "both"),
    ];
    let cluster = asking(&authority, &settings).await;
    let node = cluster.node(1);
    let own = authority.sign("own", "x", &["meter-7"], 7);
    let (_client, frame) = connack(node, authority.client(Some(&own)), "")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0);
    // Assigned Client Identifier.
    let told = [&[0x12, 0, 7][..], b"meter-7"].concat();
    assert!(
        frame.body.windows(told.len()).any(|part| part == told),
        "{frame:?}"
    );
    assert_eq!(user_name(node, "meter-7").await, "meter-7");
    let (_, frame) = connack(node, authority.client(Some(&own)), "meter-8")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0x85);
    let nameless = authority.sign("nameless", "meter-7", &[], 8);
    let (_, frame) = connack(node, authority.client(Some(&nameless)), "")
        .await
        .expect("an answer");
    assert_eq!(frame.connack_code(), 0x87);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_is_in_force_and_open_connections_stay() {
    let authority = Authority::new("ca");
    let server = authority.sign("server", "server", &["localhost"], 1);
    let mut cluster = Setup::nodes(1).build();
    let settings = with_certificate(&server);
    let settings = settings.each_ref().map(|(name, value)| (*name, &**value));
    listen(cluster.node_mut(1), "tls", TLS_PORT, &settings);
    cluster.start_all();
    cluster.all_ready().await;
    let node = cluster.node(1);
    let config = || Arc::new(authority.client(None));
    let stream = over_tls(at(node, TLS_PORT), &config()).await.expect("TLS");
    let shown = |stream: &tokio_rustls::client::TlsStream<_>| {
        let chain = stream.get_ref().1.peer_certificates();
        chain.expect("a certificate")[0].clone()
    };
    let old = shown(&stream);
    let mut client = RawClient::over(stream).connected(5, "stays").await;
    authority.sign("server", "server", &["localhost"], 2);
    eventually("the new certificate", RELOAD, async || {
        let stream = over_tls(at(node, TLS_PORT), &config()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        (shown(&stream) != old)
            .then_some(())
            .ok_or_else(|| "the old one".to_owned())
    })
    .await;
    client.send(&packet::PINGREQ).await;
    let pong = client.next_frame(SOON).await.expect("still there");
    assert_eq!(pong.kind(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_resumes_its_tls_session() {
    let authority = Authority::new("ca");
    let cluster = super::one_node(&authority).await;
    let node = cluster.node(1);
    let config = Arc::new(authority.client(None));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = over_tls(at(node, TLS_PORT), &config).await.expect("TLS");
        kinds.push(stream.get_ref().1.handshake_kind());
        // The tickets come behind the handshake; what is no CONNECT ends the connection after them.
        tokio::io::AsyncWriteExt::write_all(&mut stream, &packet::PINGREQ)
            .await
            .expect("sent");
        let _end = stream.read(&mut [0; 1]).await;
    }
    let resumed = [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)];
    assert_eq!(kinds, resumed);
}
