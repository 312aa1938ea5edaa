//! One HTTP/1.1 connection: bounded headers, bounded waiting in every direction, an orderly end.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::head;
use super::origin::client_address;
use super::stall::Stall;
use crate::api::{Api, ApiConfig};

/// How long a client may take to read an answer to a request that could not be read, before its
/// connection is closed under it.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// What it may send meanwhile.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Answer to a header that did not come in time; hyper knows none.
const HEADER_TIMEOUT: &str = concat!(
    "HTTP/1.1 408 Request Timeout\r\n",
    "content-type: application/json; charset=utf-8\r\n",
    "connection: close\r\ncontent-length: 91\r\n\r\n",
    r#"{"code":"request_timeout","message":"The header did not arrive in time; send it at once."}"#,
    "\n"
);

/// Who sent a request, as the socket says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Every connection marks its requests; one without a mark did not come through a socket, and counts
    /// as this machine's.
    pub(crate) fn of(request: &Request, api: &Api) -> IpAddr {
        let marked = request.extensions().get::<Self>();
        let socket = marked.map_or(Ipv4Addr::LOCALHOST.into(), |Self(address)| *address);
        client_address(socket, request.headers(), &api.config().proxy_trusted)
    }
}

/// Serves one connection to its end.
pub(crate) async fn run<S>(
    stream: S,
    from: SocketAddr,
    router: Router,
    config: &ApiConfig,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = ClientAddress(from.ip());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(address);
        Box::pin(tower::ServiceExt::oneshot(router.clone(), request))
    });
    let stream = Stall::new(stream, config.write_timeout);
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_header_size(head::BUFFER_BYTES_MAX)
        .max_buf_size(head::BUFFER_BYTES_MAX)
        .max_headers(head::FIELDS_READ_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let stopped = async move { stopped.wait_for(|stopped| *stopped).await.is_ok() };
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        _ = stopped => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    };
    let parts = connection.into_parts();
    let begun = !parts.read_buf.is_empty();
    let closed = close(parts.io.into_inner(), ended.as_ref().err(), begun).await;
    let error = ended.err().map(|error| error.to_string());
    if let Some(error) = error.or(closed.err().map(|error| error.to_string())) {
        tracing::debug!(error, "HTTP: connection ended");
    }
}

/// Ends a connection so that its last answer arrives: closing a socket on which bytes wait to be read
/// makes the system throw away what was sent.
async fn close<S>(mut stream: S, error: Option<&hyper::Error>, begun: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(error) = error else {
        return stream.shutdown().await;
    };
    if error.is_timeout() && begun {
        stream.write_all(HEADER_TIMEOUT.as_bytes()).await?;
    }
    stream.shutdown().await?;
    if error.is_timeout() || error.is_parse() {
        let _ = tokio::time::timeout(LINGER_TIME, discard(&mut stream)).await;
    }
    Ok(())
}

async fn discard(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1_024];
    let mut bytes = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        bytes += count;
        if bytes > LINGER_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_late_header_is_as_long_as_it_says() {
        let (head, body) = HEADER_TIMEOUT.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "request_timeout");
    }
}
