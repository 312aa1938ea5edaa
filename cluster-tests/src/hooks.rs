//! An HTTP server that is told events, and does with them what the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::wait::eventually;

/// The status that stands for no answer at all.
const SILENT: u16 = 0;

/// The server; it ends with this value.
pub struct HookServer {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    status: AtomicU16,
    /// What was answered with 200, in the order of the answers.
    taken: Mutex<Vec<Value>>,
    requests: AtomicUsize,
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HookServer {
    /// Listens at this address and answers 200.
    ///
    /// # Panics
    /// When the port cannot be had.
    pub async fn start(address: SocketAddr) -> Self {
        Self::listen(address, None).await
    }

    /// As [`HookServer::start`], over TLS, with this certificate and its key, both in PEM.
    ///
    /// # Panics
    /// When they cannot be used.
    pub async fn start_encrypted(address: SocketAddr, certificate: &str, key: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
        let certificate = certificate.expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a key of the certificate");
        Self::listen(address, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.expect("our own port");
        let shared = Arc::new(Shared {
            status: AtomicU16::new(200),
            taken: Mutex::default(),
            requests: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, tls) = (serving.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, serving).await,
                        Some(tls) => serve(tls.accept(stream).await.ok()?, serving).await,
                    }
                });
            }
        });
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Answers with this status from now on; what is not 200 is not taken.
    pub fn answer(&self, status: u16) {
        self.shared.status.store(status, SeqCst);
    }

    /// Reads requests and answers none from now on.
    pub fn be_silent(&self) {
        self.answer(SILENT);
    }

    /// Requests that have been read.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(SeqCst)
    }

    /// The events that have been taken; those of a batch one by one.
    ///
    /// # Panics
    /// When the server has panicked.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        let bodies = self.shared.taken.lock().expect("no panic");
        let events = bodies.iter().flat_map(|body| match body {
            Value::Array(events) => events.clone(),
            event => vec![event.clone()],
        });
        events.collect()
    }

    /// The events taken, as soon as `are_all` says that these are all.
    ///
    /// # Panics
    /// When it does not before the deadline.
    pub async fn taken_when(
        &self,
        what: &str,
        deadline: Duration,
        are_all: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        eventually(what, deadline, async || {
            let taken = self.taken();
            match are_all(&taken) {
                true => Ok(taken),
                false => Err(format!("{} events: {taken:?}", taken.len())),
            }
        })
        .await
    }
}

async fn serve<S>(mut stream: S, shared: Arc<Shared>) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut received = Vec::new();
    loop {
        let body = loop {
            if let Some(body) = whole_body(&received) {
                break body;
            }
            if stream.read_buf(&mut received).await.ok()? == 0 {
                return None;
            }
        };
        received.clear();
        shared.requests.fetch_add(1, SeqCst);
        let status = shared.status.load(SeqCst);
        if status == SILENT {
            std::future::pending::<()>().await;
        }
        if status == 200 {
            shared.taken.lock().ok()?.push(body);
        }
        let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The JSON body of a request that has arrived in full.
fn whole_body(request: &[u8]) -> Option<Value> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "))?;
    let body = &request[end + 4..];
    (body.len() >= length.parse().ok()?)
        .then(|| serde_json::from_slice(body).expect("a body in JSON"))
}
