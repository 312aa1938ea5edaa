//! A client of this API, for programs that ask a node as an operator would: plain HTTP/1.1, one
//! connection for each request, the bearer token, bounded answers.
//!
//! It follows no redirects and keeps nothing between two requests.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::{self, HeaderValue};
use axum::http::uri::{Scheme, Uri};
use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use futures::StreamExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole answer may take: longer than the server itself takes at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
const DEFAULT_PORT: u16 = 80;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or the token cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The server cannot be reached, or broke off.
    #[error("{url}: {why}")]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        why: String,
    },
}

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    host: String,
    port: u16,
    /// Begins every path; empty or without a slash at its end.
    prefix: String,
    authorization: Option<HeaderValue>,
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer whose body is still coming.
pub struct Incoming {
    url: String,
    status: u16,
    headers: HeaderMap,
    body: BodyDataStream,
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:6060`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError::Usage`]: not of that form, another scheme than `http`, or a token that cannot
    /// stand in a header.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Usage(format!("'{url}' {why}"));
        let uri: Uri = url
            .parse()
            .map_err(|_| wrong("is no address; one is http://127.0.0.1:6060"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("has to begin with http://"));
        }
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        if uri.query().is_some() {
            return Err(wrong("must have no query"));
        }
        let bearer = |token: &str| {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            value.map_err(|_| {
                ClientError::Usage("the token has characters that no header takes".into())
            })
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(DEFAULT_PORT),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization: token.map(bearer).transpose()?,
        })
    }

    /// The server's address as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// There is none, or it takes more than 45 s or 256 MiB.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Reply, ClientError> {
        let answer = async {
            let incoming = self.open(method, path, json).await?;
            incoming.collect().await
        };
        let late = || self.unreachable(format!("no answer in {ANSWER_TIMEOUT:?}"));
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        answer.unwrap_or_else(|_| Err(late()))
    }

    /// Asks, and returns when the answer begins.
    ///
    /// # Errors
    /// There is none.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Incoming, ClientError> {
        let request = self.request(method, path, json)?;
        let stream = self.connect().await?;
        let failed = |error: hyper::Error| self.unreachable(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        // Ends with the answer, or when that is dropped.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        Ok(Incoming {
            url: self.url.clone(),
            status: head.status.as_u16(),
            headers: head.headers,
            body: Body::new(body).into_data_stream(),
        })
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(error.to_string())),
            Err(_) => Err(self.unreachable(format!("no connection in {CONNECT_TIMEOUT:?}"))),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Request<Body>, ClientError> {
        let host = match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, host)
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if json.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Body::from(json.unwrap_or_default()))
            .map_err(|error| ClientError::Usage(format!("'{path}': {error}")))
    }

    fn unreachable(&self, why: String) -> ClientError {
        ClientError::Unreachable {
            url: self.url.clone(),
            why,
        }
    }
}

impl Incoming {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The next bytes of the body; `None`: it is complete.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let broken = |error: axum::Error| ClientError::Unreachable {
            url: self.url.clone(),
            why: format!("the answer broke off: {error}"),
        };
        self.body.next().await.transpose().map_err(broken)
    }

    /// The rest of the body, all of it.
    ///
    /// # Errors
    /// The connection broke, or the body has more than 256 MiB.
    pub async fn collect(mut self) -> Result<Reply, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Unreachable {
                    url: self.url,
                    why: "the answer is too large".to_owned(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let client = Client::new("http://[::1]:6060/", None).unwrap();
        assert_eq!(
            (&*client.host, client.port, &*client.prefix),
            ("::1", 6060, "")
        );
        let client = Client::new("http://lb/raftmq/", None).unwrap();
        assert_eq!(
            (&*client.host, client.port, &*client.prefix),
            ("lb", 80, "/raftmq")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "127.0.0.1:6060",
            "https://host",
            "http://",
            "http://h?x=1",
            "a b",
        ] {
            assert!(Client::new(url, None).is_err(), "{url}");
        }
        assert!(Client::new("http://h", Some("a\nb")).is_err());
    }
}
