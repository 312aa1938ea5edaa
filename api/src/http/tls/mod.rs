//! TLS 1.2 and 1.3 for the HTTP API: a certificate chain and its key, read from PEM files (RFC 7468) and
//! read again when they change. Connections that are open keep what they were made with.

mod certificate;
mod files;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use certificate::Validity;
pub use files::{FileStamp, TlsError, TlsFiles, certificates, revocation_lists};

/// How often it is looked whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What new connections are encrypted with.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<Identity>>,
    /// The files that were read last, also when they were of no use: they are told of once.
    looked_at: Mutex<FileStamp>,
}

/// A certificate and its key, checked to belong together; not in force yet.
pub struct TlsIdentity {
    stamp: FileStamp,
    identity: Arc<Identity>,
}

struct Identity {
    config: Arc<ServerConfig>,
    validity: Validity,
}

impl Tls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// [`TlsError`]: which file, and what is wrong with it.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let read = identity(&files)?;
        Ok(Self {
            files,
            current: RwLock::new(read.identity),
            looked_at: Mutex::new(read.stamp),
        })
    }

    /// Reads and checks the files again; changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read_again(&self) -> Result<TlsIdentity, TlsError> {
        identity(&self.files)
    }

    /// New connections get this from now on.
    pub fn put_in_force(&self, read: &TlsIdentity) {
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = read.identity.clone();
        self.looked_at(read.stamp.clone());
    }

    /// Where certificate and key are.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// When the certificate in force is valid, and for whom.
    pub fn validity(&self) -> Validity {
        self.current().validity.clone()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config.clone())
    }

    fn current(&self) -> Arc<Identity> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the files are other ones than last time; they count as looked at then.
    fn looked_at(&self, stamp: FileStamp) -> bool {
        let looked_at = self.looked_at.lock();
        let mut looked_at = looked_at.unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *looked_at, stamp.clone()) != stamp
    }

    /// Takes the files over if they have changed. A certificate and a key that do not belong together are
    /// usually just being written: the ones in force stay, until the files change once more.
    fn follow(&self) {
        let stamp = self.files.stamp();
        if !self.looked_at(stamp) {
            return;
        }
        match self.read_again() {
            Ok(read) => {
                self.put_in_force(&read);
                let valid_until = read.identity.validity.not_after_ms / 1_000;
                tracing::info!(certificate = %self.files.certificate.display(), valid_until, "HTTP: the new certificate is in force");
            }
            Err(error) => {
                tracing::warn!(%error, "HTTP: the changed certificate cannot be used; the old one stays");
            }
        }
    }
}

fn identity(files: &TlsFiles) -> Result<TlsIdentity, TlsError> {
    // Before the files are read: a change in between is seen next time.
    let stamp = files.stamp();
    let (chain, key) = files.read()?;
    let validity = Validity::of(&chain, &files.certificate)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::new(&files.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| files.unfit(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Ok(TlsIdentity {
        stamp,
        identity: Arc::new(Identity { config, validity }),
    })
}

/// Looks at the files now and then, until the server stops.
pub(crate) async fn follow_files(tls: Arc<Tls>, mut stopped: watch::Receiver<bool>) {
    loop {
        let stop = stopped.wait_for(|stopped| *stopped);
        if tokio::time::timeout(LOOK_INTERVAL, stop).await.is_ok() {
            return;
        }
        let tls = tls.clone();
        let _ = tokio::task::spawn_blocking(move || tls.follow()).await;
    }
}

#[cfg(test)]
mod tests;
