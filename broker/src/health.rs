//! `raftmq health`: whether the node of a configuration is ready, asked on its own machine as a load balancer asks
//! (`GET /ready`, for which no token is needed). Also what `raftmq dev` waits for.
//!
//! Over TLS the node has to show the certificate of its own configuration: that certificate is for the names by
//! which others know the node, and need not be for the loopback address that is asked here.

use crate::config::HttpConfig;
use raftmq_api::client::{Client, ClientError};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// For one answer. Whoever checks health asks again soon, and docker waits for 3 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why a node counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It says so.
    #[error("not ready: {0}")]
    Refused(String),
    /// It cannot be asked.
    #[error("not ready: {0}")]
    Unreachable(#[from] ClientError),
    /// It does not answer.
    #[error("not ready: no answer in {ANSWER_WITHIN:?}")]
    Late,
    /// Nothing can be asked.
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}

/// Where a node's HTTP API is, and how it is to prove itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    address: SocketAddr,
    /// The node's own certificate; `None`: it speaks no TLS.
    certificate: Option<PathBuf>,
}

impl Question {
    /// About the node that has these settings.
    pub fn new(http: &HttpConfig) -> Question {
        let ip = match http.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, http.addr.port());
        Question::at(address, http.tls_certificate.clone())
    }

    /// At this address; `certificate` is the node's own, if it speaks TLS.
    pub fn at(address: SocketAddr, certificate: Option<PathBuf>) -> Question {
        Question {
            address,
            certificate,
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`NotReady`].
    pub async fn ask(&self) -> Result<(), NotReady> {
        // The file is read each time: a changed certificate is in force within seconds.
        let client = match &self.certificate {
            Some(certificate) => Client::beside(&format!("https://{}", self.address), certificate),
            None => Client::new(&format!("http://{}", self.address), None, None),
        }?;
        let asking = client.get("/ready");
        let reply = tokio::time::timeout(ANSWER_WITHIN, asking).await;
        let reply = reply.map_err(|_| NotReady::Late)??;
        match reply.status {
            200 => Ok(()),
            status => Err(NotReady::Refused(reason(status, &reply.body))),
        }
    }
}

/// Asks once, from a program that does nothing else.
///
/// # Errors
/// [`NotReady`].
pub fn run(question: &Question) -> Result<(), NotReady> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(NotReady::Runtime)?;
    runtime.block_on(question.ask())
}

/// What the node says is the matter.
fn reason(status: u16, body: &[u8]) -> String {
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = answer.as_ref().and_then(|json| json["message"].as_str());
    message.map_or_else(|| format!("status {status}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn answered_with(answer: &'static str) -> Result<(), NotReady> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(answer.as_bytes()).await.expect("written");
        });
        let asked = Question::at(address, None).ask().await;
        server.await.expect("the server");
        asked
    }

    #[tokio::test]
    async fn only_a_200_is_ready_and_any_other_answer_says_why_not() {
        let ready = answered_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(ready.is_ok(), "{ready:?}");
        let body = r#"{"code":"draining","message":"this node is draining"}"#;
        for (answer, why) in [
            (
                format!(
                    "HTTP/1.1 503 No\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ),
                "this node is draining",
            ),
            (
                "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "status 404",
            ),
            ("nonsense of some length".to_owned(), "not ready"),
            (String::new(), "not ready"),
        ] {
            let refused = answered_with(answer.leak()).await.expect_err("not ready");
            assert!(refused.to_string().contains(why), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_to_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let asked = Question::at(address, None).ask().await;
        assert!(matches!(asked, Err(NotReady::Unreachable(_))), "{asked:?}");
    }

    #[test]
    fn a_node_that_listens_everywhere_is_asked_on_loopback() {
        for (addr, asked) in [
            ("0.0.0.0:6060", "127.0.0.1:6060"),
            ("[::]:7", "[::1]:7"),
            ("10.0.0.9:80", "10.0.0.9:80"),
        ] {
            let http = HttpConfig {
                addr: addr.parse().expect("an address"),
                ..HttpConfig::default()
            };
            let expected = asked.parse().expect("an address");
            assert_eq!(Question::new(&http), Question::at(expected, None));
        }
    }
}
