//! The API over TLS: real handshakes with certificates made for the test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use raftmq_api::client::Client;
use raftmq_api::{ApiConfig, Tls, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::{Setup, World};

const DEADLINE: Duration = Duration::from_secs(20);

/// A folder with `cert.pem` and `key.pem`.
struct Files(TempDir);

impl Files {
    fn new(name: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.exchange(name);
        files
    }

    /// Writes another certificate for this name, and its key.
    fn exchange(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(self.certificate(), certificate.pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certificate(&self) -> PathBuf {
        self.path("cert.pem")
    }

    fn open(&self) -> Arc<Tls> {
        let files = TlsFiles {
            certificate: self.certificate(),
            key: self.path("key.pem"),
        };
        Arc::new(Tls::open(files).unwrap())
    }
}

async fn world(tls: Arc<Tls>) -> World {
    Setup {
        config: ApiConfig {
            handshake_timeout: Duration::from_millis(500),
            ..ApiConfig::default()
        },
        tls: Some(tls),
        ..Setup::default()
    }
    .start()
    .await
}

/// A connection that believes this certificate and no other.
async fn connect(
    world: &World,
    believed: &Path,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(believed).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(world.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// Asks for `/live` and leaves the connection open.
async fn live(stream: &mut TlsStream<TcpStream>) -> String {
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nok") {
        let mut bytes = [0; 1_024];
        let reading = tokio::time::timeout(DEADLINE, stream.read(&mut bytes));
        let count = reading.await.expect("in time").unwrap();
        assert_ne!(count, 0, "closed after {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    answer
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let reading = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer));
    reading.await.expect("closed in time").unwrap();
    answer
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let files = Files::new("localhost");
    let world = world(files.open()).await;
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = connect(&world, &files.certificate(), version)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert!(live(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_open_ones_go_on() {
    let files = Files::new("localhost");
    let tls = files.open();
    let world = world(tls.clone()).await;
    let old = files.path("old.pem");
    std::fs::copy(files.certificate(), &old).unwrap();
    let mut open = connect(&world, &old, &rustls::version::TLS13)
        .await
        .unwrap();
    live(&mut open).await;
    files.exchange("localhost");
    tls.put_in_force(&tls.read_again().unwrap());
    live(&mut open).await;
    let new = files.certificate();
    live(
        &mut connect(&world, &new, &rustls::version::TLS13)
            .await
            .unwrap(),
    )
    .await;
    assert!(
        connect(&world, &old, &rustls::version::TLS13)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn files_that_change_are_found_without_being_told() {
    let files = Files::new("localhost");
    let world = world(files.open()).await;
    files.exchange("localhost");
    let began = std::time::Instant::now();
    let new = files.certificate();
    while connect(&world, &new, &rustls::version::TLS13)
        .await
        .is_err()
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "still the old one"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_request_without_tls_is_told_what_is_missing() {
    let world = world(Files::new("localhost").open()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 24];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn who_begins_no_handshake_or_does_not_end_it_is_sent_away() {
    let world = world(Files::new("localhost").open()).await;
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, "");
    let mut halfway = TcpStream::connect(world.address).await.unwrap();
    halfway.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(until_closed(&mut halfway).await, "");
}

#[tokio::test]
async fn handshakes_that_do_not_end_keep_nobody_else_out() {
    let files = Files::new("localhost");
    let world = world(files.open()).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(world.address).await.unwrap());
    }
    let version = &rustls::version::TLS13;
    let mut stream = connect(&world, &files.certificate(), version)
        .await
        .unwrap();
    live(&mut stream).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let mut world = world(Files::new("localhost").open()).await;
    let mut halfway = TcpStream::connect(world.address).await.unwrap();
    halfway.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    world.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(DEADLINE, &mut world.server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn our_client_asks_only_whom_it_can_prove() {
    let (files, foreign) = (Files::new("127.0.0.1"), Files::new("127.0.0.1"));
    let world = world(files.open()).await;
    let ask = async |authorities: &Path, host: &str| {
        let url = format!("https://{host}:{}", world.address.port());
        let client = Client::new(&url, None, Some(authorities)).unwrap();
        let get = axum::http::Method::GET;
        let reply = client.send(get, "/api/v1/brokers", None).await;
        reply.map(|reply| reply.status).map_err(|e| e.to_string())
    };
    assert_eq!(ask(&files.certificate(), "127.0.0.1").await, Ok(200));
    let refused = ask(&foreign.certificate(), "127.0.0.1").await.unwrap_err();
    assert!(refused.contains("cannot be trusted"), "{refused}");
    // The certificate is for 127.0.0.1.
    let refused = ask(&files.certificate(), "localhost").await.unwrap_err();
    assert!(refused.contains("cannot be trusted"), "{refused}");
}
