//! A client of this API, for programs that ask a node as an operator would: HTTP/1.1 with or without TLS,
//! one connection for each request, the bearer token, bounded answers.
//!
//! It follows no redirects and keeps nothing between two requests. A server whose certificate cannot be
//! proved is never asked.

mod trust;

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::{self, HeaderValue};
use axum::http::uri::{Scheme, Uri};
use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use futures::StreamExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use trust::Trust;
pub use trust::tls_config;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole answer may take: longer than the server itself takes at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
const DEFAULT_PORT: u16 = 80;
const DEFAULT_TLS_PORT: u16 = 443;

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
    /// With `https`.
    trust: Option<Trust>,
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
    /// A client of the server at `url`, such as `http://127.0.0.1:6060` or `https://broker:6060`. With
    /// `https`, `authorities` is a PEM file of the certificates that the server's has to come from; without
    /// one, those that this machine trusts. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError::Usage`]: not of that form, another scheme, a token that cannot stand in a header, or
    /// a file without certificates.
    pub fn new(
        url: &str,
        token: Option<&str>,
        authorities: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let client = Self::that_trusts(url, token, |host| Trust::new(host, authorities))?;
        if client.trust.is_none() && authorities.is_some() {
            let why = "is not https://, so there is no certificate to prove";
            return Err(ClientError::Usage(format!("'{url}' {why}")));
        }
        Ok(client)
    }

    /// A client of a server on its own machine. With `https`, the server has to show the first certificate of
    /// this PEM file, which need not be for the name or the address in `url`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn beside(url: &str, certificate: &Path) -> Result<Self, ClientError> {
        Self::that_trusts(url, None, |host| Trust::exactly(host, certificate))
    }

    fn that_trusts(
        url: &str,
        token: Option<&str>,
        trust: impl FnOnce(&str) -> Result<Trust, String>,
    ) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Usage(format!("'{url}' {why}"));
        let uri: Uri = url
            .parse()
            .map_err(|_| wrong("is no address; one is http://127.0.0.1:6060"))?;
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !encrypted && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("has to begin with http:// or https://"));
        }
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let trust = encrypted.then(|| trust(&host));
        let default_port = if encrypted {
            DEFAULT_TLS_PORT
        } else {
            DEFAULT_PORT
        };
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
            trust: trust.transpose().map_err(ClientError::Usage)?,
            host,
            port: uri.port_u16().unwrap_or(default_port),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization: token.map(bearer).transpose()?,
        })
    }

    /// The server's address as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET of a path.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, None).await
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
        let mut sender = match &self.trust {
            None => handshake(stream).await.map_err(failed)?,
            Some(trust) => {
                let encrypting = tokio::time::timeout(CONNECT_TIMEOUT, trust.encrypt(stream)).await;
                let late = || Err(format!("no TLS handshake in {CONNECT_TIMEOUT:?}"));
                let stream = encrypting.unwrap_or_else(|_| late());
                let stream = stream.map_err(|why| self.unreachable(why))?;
                handshake(stream).await.map_err(failed)?
            }
        };
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

async fn handshake<S>(stream: S) -> hyper::Result<http1::SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or when that is dropped.
    tokio::spawn(connection);
    Ok(sender)
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
        let client = Client::new("http://[::1]:6060/", None, None).unwrap();
        assert_eq!(
            (&*client.host, client.port, &*client.prefix),
            ("::1", 6060, "")
        );
        let client = Client::new("http://lb/raftmq/", None, None).unwrap();
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
            "ftp://host",
            "http://",
            "http://h?x=1",
            "a b",
        ] {
            assert!(Client::new(url, None, None).is_err(), "{url}");
        }
        assert!(Client::new("http://h", Some("a\nb"), None).is_err());
    }
    #[test]
    fn authorities_are_read_with_https_and_refused_without() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let of = |url: &str| {
            Client::new(url, None, Some(&file))
                .err()
                .map(|e| e.to_string())
        };
        let error = of("https://h").unwrap_or_default();
        assert!(error.contains("ca.pem: cannot be read"), "{error}");
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        assert_eq!(of("https://h"), None);
        assert!(of("http://h").is_some_and(|error| error.contains("not https")));
        let client = Client::new("https://[::1]/", None, Some(&file)).unwrap();
        assert_eq!((&*client.host, client.port), ("::1", 443));
    }
}
