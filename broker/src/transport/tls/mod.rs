//! TLS 1.2 and 1.3 for MQTT clients: certificates, which are read again when their files change, and the handshake.
//!
//! A connection keeps what its handshake was made with. Tickets of session resumption (RFC 8446 §4.6.1, RFC 5077)
//! are good on this node until the files change: who resumes is not asked for a certificate again, so a
//! new list of trusted or revoked certificates has to end all tickets.

mod client;

use crate::config::{ClientCertificates, ListenerConfig};
use raftmq_api::{FileStamp, TlsError, TlsFiles, Validity, certificates, revocation_lists};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    crypto::ring::{self, Ticketer},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use std::{
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpStream;

pub(crate) use client::{Named, named};

/// Bytes of a handshake that are read at once.
const HANDSHAKE_READ_BYTES: usize = 4 * 1024;

/// What new connections of a listener are encrypted with.
pub struct TlsSource {
    listener: String,
    files: Files,
    alpn: Vec<Vec<u8>>,
    current: parking_lot::RwLock<InForce>,
    /// The files that were read last, also when they were of no use: they are told of once.
    looked_at: parking_lot::Mutex<FileStamp>,
}

struct InForce {
    config: Arc<ServerConfig>,
    validity: Validity,
}

struct Files {
    identity: TlsFiles,
    client_certificates: ClientCertificates,
    client_ca: Option<PathBuf>,
    client_crl: Option<PathBuf>,
}

impl Files {
    fn stamp(&self) -> FileStamp {
        let own: [&Path; 2] = [&self.identity.certificate, &self.identity.key];
        let others = [&self.client_ca, &self.client_crl];
        let others = others.into_iter().flatten().map(PathBuf::as_path);
        FileStamp::of(own.into_iter().chain(others))
    }
}

impl TlsSource {
    /// Reads and checks a listener's files; `None`: it has none.
    ///
    /// # Errors
    /// [`TlsError`]: which file, and what is wrong with it.
    pub fn open(
        name: &str,
        listener: &ListenerConfig,
        alpn: &[&str],
    ) -> Result<Option<TlsSource>, TlsError> {
        let (Some(certificate), Some(key)) = (&listener.tls_certificate, &listener.tls_key) else {
            return Ok(None);
        };
        let files = Files {
            identity: TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            client_certificates: listener.client_certificates,
            client_ca: listener.client_ca.clone(),
            client_crl: listener.client_crl.clone(),
        };
        let alpn: Vec<_> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        // Before they are read: a change in between is seen next time.
        let looked_at = parking_lot::Mutex::new(files.stamp());
        let current = parking_lot::RwLock::new(read(&files, &alpn)?);
        Ok(Some(TlsSource {
            listener: name.to_owned(),
            files,
            alpn,
            current,
            looked_at,
        }))
    }

    /// What a handshake that begins now is made with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.read().config.clone()
    }

    /// Where certificate and key are.
    pub fn files(&self) -> &TlsFiles {
        &self.files.identity
    }

    /// When the certificate in force is valid, and for whom.
    pub fn validity(&self) -> Validity {
        self.current.read().validity.clone()
    }

    /// Takes the files over if they have changed; returns what is then in force. Files that do not belong together
    /// are usually just being written: the ones in force stay, until they change once more.
    pub fn follow(&self) -> Option<Arc<ServerConfig>> {
        let stamp = self.files.stamp();
        if std::mem::replace(&mut *self.looked_at.lock(), stamp.clone()) == stamp {
            return None;
        }
        match read(&self.files, &self.alpn) {
            Ok(new) => {
                let config = new.config.clone();
                *self.current.write() = new;
                tracing::info!(listener = self.listener, certificate = %self.files.identity.certificate.display(), "MQTT: the new certificate is in force");
                Some(config)
            }
            Err(error) => {
                tracing::warn!(listener = self.listener, %error, "MQTT: the changed certificate cannot be used; the old one stays");
                None
            }
        }
    }
}

fn read(files: &Files, alpn: &[Vec<u8>]) -> Result<InForce, TlsError> {
    let (chain, key) = files.identity.read()?;
    let validity = Validity::of(&chain, &files.identity.certificate)?;
    let own_fault =
        |error: rustls::Error| TlsError::new(&files.identity.certificate, error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(own_fault)?;
    let builder = match verifier(files)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| files.identity.unfit(&error))?;
    config.alpn_protocols = alpn.to_vec();
    config.ticketer = Ticketer::new().map_err(own_fault)?;
    let config = Arc::new(config);
    Ok(InForce { config, validity })
}

/// Who judges the clients' certificates; `None`: they are not asked for.
fn verifier(files: &Files) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(ca) = &files.client_ca else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::new(ca, error.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(crl) = &files.client_crl {
        // Only what the file speaks of is known to be revoked: a chain's other issuers may have no list.
        builder = builder
            .with_crls(revocation_lists(crl)?)
            .allow_unknown_revocation_status();
    }
    if files.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let broken = files.client_crl.as_ref().unwrap_or(ca);
    match builder.build() {
        Ok(verifier) => Ok(Some(verifier)),
        Err(error) => Err(TlsError::new(broken, error.to_string())),
    }
}

/// The handshake, of which the first `bytes` have come. Returns what the client has already sent behind it, too.
///
/// # Errors
/// The socket failed, or the client cannot be talked with.
pub(crate) async fn handshake(
    socket: &TcpStream,
    config: Arc<ServerConfig>,
    mut bytes: Vec<u8>,
) -> io::Result<(ServerConnection, Vec<u8>)> {
    let mut tls = ServerConnection::new(config)
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    tls.set_buffer_limit(None);
    let mut plaintext = Vec::new();
    loop {
        let fed = feed(&mut tls, &bytes, &mut plaintext);
        // An alert, too, if it comes to that.
        flush(&mut tls, socket).await?;
        fed?;
        if !tls.is_handshaking() {
            return Ok((tls, plaintext));
        }
        bytes = receive(socket).await?;
    }
}

fn feed(tls: &mut ServerConnection, mut bytes: &[u8], plaintext: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        if tls.read_tls(&mut bytes)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let state = tls
            .process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let at = plaintext.len();
        plaintext.resize(at + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut plaintext[at..])?;
    }
    Ok(())
}

async fn flush(tls: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    loop {
        match super::layered::flush_tls(tls, socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.writable().await?,
            result => return result,
        }
    }
}

async fn receive(socket: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HANDSHAKE_READ_BYTES];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                bytes.truncate(n);
                return Ok(bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
