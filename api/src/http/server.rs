//! The HTTP/1.1 server: bounded connections, header and request timeouts, graceful stop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::code::Code;
use super::error::ApiError;
use crate::api::Api;

/// Wait after an accept that failed for want of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Answers requests on `listener` until `shutdown` is done; then requests under way are finished
/// within [`ApiConfig::drain_timeout`](crate::ApiConfig) and all connections closed. At most
/// `max_connections` connections are served; more wait in the listener's backlog.
///
/// A listener that comes through `later` takes the place of the one before it; connections of that one
/// are served to their end.
pub async fn serve(
    mut listener: TcpListener,
    mut later: mpsc::Receiver<TcpListener>,
    api: Api,
    shutdown: impl Future<Output = ()>,
) {
    let config = api.config();
    let limit = u32::try_from(config.max_connections.clamp(1, 1_000_000)).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(limit as usize));
    let (stop, stopped) = watch::channel(false);
    let router = crate::router::router(api);
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
        let (stream, place) = accepted;
        let connection = connection(
            stream,
            router.clone(),
            config.header_timeout,
            stopped.clone(),
        );
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    // Every place free again: every connection closed.
    let _ = tokio::time::timeout(config.drain_timeout, places.acquire_many(limit)).await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Place) {
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "HTTP: accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The semaphore is never closed, so this is always `Some`.
type Place = Option<OwnedSemaphorePermit>;

async fn connection(
    stream: TcpStream,
    router: Router,
    header_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
        tower::ServiceExt::oneshot(router.clone(), request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let stopped = async move { stopped.wait_for(|stopped| *stopped).await.is_ok() };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP: connection ended");
    }
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
