//! Certificates made for a test, and streams of MQTT over TLS, WebSocket and QUIC.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::raw::{RawClient, Stream};

/// Bytes of one WebSocket frame that [`stream_of`] sends at most: packets are cut anywhere.
const FRAME_BYTES: usize = 1_000;

/// Somebody who signs certificates, and a folder for them.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key; PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// With a key of its own.
    ///
    /// # Panics
    /// When nothing can be written.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    /// A file in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own certificate, by which those that it signs are judged.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Signs a certificate with this common name, alternative names and serial number, as `<file>.pem` and
    /// `<file>.key`; files that are there are written over.
    ///
    /// # Panics
    /// When a name cannot be one.
    pub fn sign(&self, file: &str, common_name: &str, names: &[&str], serial: u64) -> Certificate {
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let files = Certificate {
            certificate: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
        };
        std::fs::write(&files.certificate, signed.pem()).expect("written");
        std::fs::write(&files.key, key.serialize_pem()).expect("written");
        files
    }

    /// Writes `crl.pem`, by which the certificate with this serial number is revoked.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn revoke(&self, serial: u64) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("signed");
        std::fs::write(self.path("crl.pem"), list.pem().expect("PEM")).expect("written");
        self.path("crl.pem")
    }

    /// What a client connects with that believes this authority, and shows a certificate if it has one.
    ///
    /// # Panics
    /// When a file is not what it should be.
    #[must_use]
    pub fn client(&self, own: Option<&Certificate>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca())).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match own {
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(&own.key).expect("a key");
                let chain = vec![certificate(&own.certificate)];
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        }
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

/// TLS to a server that is called `localhost`.
///
/// # Errors
/// The handshake failed.
pub async fn over_tls(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(config.clone())
        .connect(name, socket)
        .await
}

/// The opening handshake of WebSocket on a stream, for this path and subprotocol.
///
/// # Errors
/// What the server answers instead.
pub async fn over_websocket<S: Stream>(
    stream: S,
    path: &str,
    subprotocol: &str,
) -> Result<WebSocketStream<S>, tokio_tungstenite::tungstenite::Error> {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let mut request = format!("ws://localhost{path}").into_client_request()?;
    if !subprotocol.is_empty() {
        let value = subprotocol.parse().expect("a header's value");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    let (stream, answer) = tokio_tungstenite::client_async(request, stream).await?;
    let chosen = answer.headers().get("Sec-WebSocket-Protocol");
    assert_eq!(
        chosen.map(|chosen| chosen.as_bytes()),
        Some(&b"mqtt"[..]),
        "[MQTT-6.0.0-4]"
    );
    Ok(stream)
}

/// The bytes in binary messages of WebSocket as one stream; those that are sent are cut into small messages.
#[must_use]
pub fn stream_of<S: Stream + 'static>(mut websocket: WebSocketStream<S>) -> RawClient {
    let (near, mut far) = tokio::io::duplex(FRAME_BYTES);
    tokio::spawn(async move {
        let mut bytes = vec![0; FRAME_BYTES];
        loop {
            tokio::select! {
                read = far.read(&mut bytes) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => {
                        let message = Message::binary(bytes[..n].to_vec());
                        if websocket.send(message).await.is_err() {
                            break;
                        }
                    }
                },
                message = websocket.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        if far.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => break,
                },
            }
        }
        let _closed = websocket.close(None).await;
    });
    RawClient::over(near)
}

/// A stream of QUIC under the application protocol `mqtt`.
///
/// # Panics
/// When no endpoint can be made.
///
/// # Errors
/// The handshake failed, or no stream could be opened.
pub async fn over_quic(
    address: SocketAddr,
    mut config: ClientConfig,
) -> Result<RawClient, quinn::ConnectionError> {
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).expect("TLS 1.3");
    let from = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = quinn::Endpoint::client(from).expect("an endpoint");
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, address, "localhost");
    let connection = connecting.expect("a good name").await?;
    let (sending, receiving) = connection.open_bi().await?;
    Ok(RawClient::over(tokio::io::join(receiving, sending)))
}
