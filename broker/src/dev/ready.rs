//! Whether the members answer that they are ready, asked as a load balancer would.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::plan::Plan;

/// Between two questions to a member that is not ready.
const EVERY: Duration = Duration::from_millis(200);

/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Completes when every member has answered that it is ready.
pub(super) async fn all(plan: &Plan) {
    for member in plan.members() {
        while !is_ready(member.http_port).await {
            sleep(EVERY).await;
        }
    }
}

/// Whether `GET /ready` is answered with 200. No answer is "not yet".
async fn is_ready(port: u16) -> bool {
    let answer = timeout(ANSWER_WITHIN, status_line(port)).await;
    matches!(answer, Ok(Ok(line)) if line.starts_with(b"HTTP/1.") && &line[8..] == b" 200")
}

/// The version and the status of the answer, `HTTP/1.1 200`.
async fn status_line(port: u16) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let question = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(question).await?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answered_with(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(answer).await.expect("an answer");
        });
        let ready = is_ready(port).await;
        server.await.expect("the server");
        ready
    }

    #[tokio::test]
    async fn only_a_200_is_ready() {
        assert!(answered_with(b"HTTP/1.1 200 OK\r\n\r\n").await);
        assert!(!answered_with(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!answered_with(b"nonsense of some length").await);
        assert!(!answered_with(b"").await);
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_to_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        assert!(!is_ready(port).await);
    }
}
