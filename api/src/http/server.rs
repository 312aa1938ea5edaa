//! The HTTP/1.1 server: bounded connections and handshakes, request timeouts, graceful stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::server::TlsStream;

use super::code::Code;
use super::connection;
use super::error::ApiError;
use super::tls::{Tls, follow_files};
use crate::api::{Api, ApiConfig};

/// Wait after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// TLS handshakes at a time: each costs a signature.
const HANDSHAKES_MAX: usize = 64;

/// Answer to a request that is not encrypted.
const PLAIN_REFUSED: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\n",
    "content-type: application/json; charset=utf-8\r\n",
    "connection: close\r\n\r\n",
    r#"{"code":"refused","message":"This port speaks TLS: ask with https://."}"#,
    "\n"
);

/// Answers requests on `listener` until `shutdown` is done; then requests under way are finished
/// within [`ApiConfig::drain_timeout`](crate::ApiConfig) and all connections closed. At most
/// `max_connections` connections are served; more wait in the listener's backlog.
///
/// A listener that comes through `later` takes the place of the one before it; connections of that one
/// are served to their end. With `tls`, everything is answered over TLS and nothing without; its files are
/// looked at now and then, and connections that are made after they have changed get the new certificate.
pub async fn serve(
    mut listener: TcpListener,
    mut later: mpsc::Receiver<TcpListener>,
    tls: Option<Arc<Tls>>,
    api: Api,
    shutdown: impl Future<Output = ()>,
) {
    let config = api.config();
    let limit = u32::try_from(config.max_connections.clamp(1, 1_000_000)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(limit as usize));
    let (stop, stopped) = watch::channel(false);
    if let Some(tls) = &tls {
        tokio::spawn(follow_files(tls.clone(), stopped.clone()));
    }
    let server = Arc::new(Server {
        handshakes: Semaphore::new(HANDSHAKES_MAX),
        tls,
        router: crate::router::router(api),
        config: config.clone(),
    });
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(next) = later.recv() => {
                tracing::info!(address = ?next.local_addr().ok(), "the HTTP API has moved");
                listener = next;
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, from, place) = accepted;
        let (server, stopped) = (server.clone(), stopped.clone());
        tokio::spawn(async move {
            server.run(stream, from, stopped).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    // Every place free again: every connection closed.
    let _ = tokio::time::timeout(config.drain_timeout, places.acquire_many(limit)).await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Place) {
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => return (stream, from, place),
            Err(error) => {
                tracing::warn!(%error, "HTTP: accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The semaphore is never closed, so this is always `Some`.
type Place = Option<OwnedSemaphorePermit>;

/// What all connections share.
struct Server {
    handshakes: Semaphore,
    tls: Option<Arc<Tls>>,
    router: Router,
    /// As it was at the start: of what connections go by, nothing changes later.
    config: Arc<ApiConfig>,
}

impl Server {
    async fn run(&self, stream: TcpStream, from: SocketAddr, stopped: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let (router, config) = (self.router.clone(), &*self.config);
        match &self.tls {
            None => connection::run(stream, from, router, config, stopped).await,
            Some(tls) => {
                let encrypted = self.handshake(tls, stream, from, stopped.clone()).await;
                if let Some(stream) = encrypted {
                    connection::run(stream, from, router, config, stopped).await;
                }
            }
        }
    }

    /// Within its time, or there is none. Waiting for a turn counts.
    async fn handshake(
        &self,
        tls: &Tls,
        stream: TcpStream,
        from: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            // Who says nothing takes nobody's turn.
            if !speaks_tls(&stream).await? {
                return Err(refuse_plain(stream).await);
            }
            let _turn = self.handshakes.acquire().await;
            tls.acceptor().accept(stream).await
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(self.config.handshake_timeout, handshake) => ended,
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        };
        match ended {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%from, %error, "HTTP: TLS handshake failed"),
            Err(_) => tracing::debug!(%from, "HTTP: TLS handshake took too long"),
        }
        None
    }
}

/// Waits for the first byte: a handshake begins with 22 (RFC 8446 §5.1), a request with a letter.
async fn speaks_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    Ok(!first[0].is_ascii_uppercase())
}

async fn refuse_plain(mut stream: TcpStream) -> io::Error {
    let told = stream.write_all(PLAIN_REFUSED.as_bytes()).await;
    let _ = stream.shutdown().await;
    told.err()
        .unwrap_or_else(|| io::Error::other("a request without TLS"))
}

/// Bounds the time of a whole request, so that none is held for ever.
pub(crate) async fn limit_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    let limit = api.config().request_timeout + api.config().peer_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            Code::AnswerTimeout,
            "The answer took too long; what was asked may still have happened.",
        )
        .into_response(),
    }
}
