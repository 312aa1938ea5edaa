//! Against a small HTTP server that answers what the test says.

use super::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Answers every request alike; the requests can be looked at.
struct Server {
    url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    /// `answer` is all that comes behind `HTTP/1.1 `; `None`: the server takes requests and is silent.
    async fn start(answer: Option<&str>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, requests) = mpsc::unbounded_channel();
        let answer = answer.map(str::to_owned);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), seen.clone()));
            }
        });
        Server {
            url: format!("http://{address}/auth"),
            requests,
        }
    }

    async fn saying(body: &str) -> Server {
        let length = body.len();
        let answer = format!("200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        Server::start(Some(&answer)).await
    }

    async fn decide(&self, settings: &str) -> Decision {
        decide(&format!("{settings}\nhttp_auth_req.url = '{}'", self.url)).await
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Option<String>,
    seen: mpsc::UnboundedSender<String>,
) -> Option<()> {
    let mut received = Vec::new();
    loop {
        while !is_whole(&received) {
            if stream.read_buf(&mut received).await.ok()? == 0 {
                return None;
            }
        }
        let request = String::from_utf8_lossy(&received).into_owned();
        received.clear();
        seen.send(request).ok()?;
        match &answer {
            Some(answer) => {
                let text = format!("HTTP/1.1 {answer}");
                stream.write_all(text.as_bytes()).await.ok()?;
            }
            None => std::future::pending().await,
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
}

fn credentials() -> Credentials {
    Credentials {
        client_id: "client".into(),
        user_name: Some("a user".into()),
        password: Some(b"%c&x".to_vec()),
        peer: ([127, 0, 0, 1], 7).into(),
        protocol_version: 4,
    }
}

fn prepare(settings: &str) -> Result<Extensions, String> {
    let mut extensions = Extensions::default();
    AuthHttp.prepare(settings)?.extend(&mut extensions);
    Ok(extensions)
}

async fn decide(settings: &str) -> Decision {
    let extensions = prepare(settings).expect("good settings");
    crate::plugin::decide(&extensions.authenticators, credentials()).await
}

fn is_unavailable(decision: &Decision) -> bool {
    matches!(decision, Decision::Deny(Denial::Unavailable))
}

#[tokio::test]
async fn the_server_decides() {
    let decision = Server::saying("allow").await.decide("").await;
    assert!(matches!(decision, Decision::Admit(grant) if !grant.superuser));
    let decision = Server::saying("deny").await.decide("").await;
    assert!(matches!(decision, Decision::Deny(Denial::BadCredentials)));
    let decision = Server::saying("ignore").await.decide("").await;
    assert!(matches!(decision, Decision::Pass));
    let forbidden = Server::start(Some("403 Forbidden\r\ncontent-length: 0\r\n\r\n")).await;
    let decision = forbidden.decide("").await;
    assert!(matches!(decision, Decision::Deny(Denial::NotAuthorized)));
}

#[tokio::test]
async fn rules_and_time_come_with_the_answer() {
    let answer = r#"{"result": "allow", "superuser": true, "expire_at": 4000000000, "acl": []}"#;
    let server = Server::saying(answer).await;
    let Decision::Admit(grant) = server.decide("disconnect_if_expiry = true").await else {
        panic!("not admitted");
    };
    assert!(grant.superuser && grant.until.is_some());
    assert!(grant.rules.expect("rules").disconnects_publishers);
    let Decision::Admit(grant) = server.decide("disconnect_if_pub_rejected = false").await else {
        panic!("not admitted");
    };
    assert!(grant.until.is_none() && !grant.rules.expect("rules").disconnects_publishers);
}

#[tokio::test]
async fn who_has_expired_already_is_not_let_in() {
    let server = Server::saying(r#"{"result": "allow", "expire_at": 1}"#).await;
    let decision = server.decide("disconnect_if_expiry = true").await;
    assert!(matches!(decision, Decision::Deny(Denial::BadCredentials)));
    let decision = server.decide("").await;
    assert!(matches!(decision, Decision::Admit(_)));
}

#[tokio::test]
async fn without_an_answer_the_settings_decide() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = format!("http://{}/", unused.local_addr().expect("an address"));
    drop(unused);
    let silent = Server::start(None).await;
    let broken = Server::start(Some("500 Oops\r\ncontent-length: 0\r\n\r\n")).await;
    let elsewhere = format!(
        "302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        broken.url
    );
    let redirecting = Server::start(Some(&elsewhere)).await;
    let unclear = Server::saying("perhaps").await;
    let long = Server::saying(&"allow".repeat(ANSWER_BYTES_MAX)).await;
    for url in [
        &refused,
        &silent.url,
        &broken.url,
        &redirecting.url,
        &unclear.url,
        &long.url,
    ] {
        let settings = format!("http_timeout = '300ms'\nhttp_auth_req.url = '{url}'");
        assert!(is_unavailable(&decide(&settings).await), "{url}");
        let lenient = format!("deny_if_error = false\n{settings}");
        let decision = decide(&lenient).await;
        assert!(matches!(decision, Decision::Pass), "{url}");
    }
}

#[tokio::test]
async fn who_does_not_get_a_turn_in_time_is_not_let_in() {
    let mut silent = Server::start(None).await;
    let settings = format!(
        "deny_if_error = false\nhttp_timeout = '2s'\nhttp_auth_req.url = '{}'",
        silent.url
    );
    let extensions = prepare(&settings).expect("good settings");
    let one = || crate::plugin::decide(&extensions.authenticators, credentials());
    let decisions = futures::future::join_all((0..=REQUESTS_MAX).map(|_| one())).await;
    let unavailable = decisions.iter().filter(|d| is_unavailable(d)).count();
    assert_eq!(unavailable, 1);
    let mut asked = 0;
    while silent.requests.try_recv().is_ok() {
        asked += 1;
    }
    assert!(asked <= REQUESTS_MAX, "{asked}");
}

#[tokio::test]
async fn the_client_is_described_as_the_settings_say() {
    let params = "http_auth_req.params = { c = '%c', u = '%u', p = '%P', a = '%a:%p', r = '%r' }";
    let json_type = "http_auth_req.headers = { Content-Type = 'application/json' }";
    for (settings, first, last) in [
        (
            "",
            "POST /auth HTTP/1.1",
            "a=127.0.0.1%3A7&c=client&p=%25c%26x&r=4&u=a+user",
        ),
        (
            "http_auth_req.method = 'get'",
            "GET /auth?a=127.0.0.1%3A7&c=client&p=%25c%26x&r=4&u=a+user HTTP/1.1",
            "",
        ),
        (
            json_type,
            "POST /auth HTTP/1.1",
            r#"{"a":"127.0.0.1:7","c":"client","p":"%c&x","r":"4","u":"a user"}"#,
        ),
    ] {
        let mut server = Server::saying("allow").await;
        let headers = "http_headers.authorization = 'Bearer t'";
        server
            .decide(&format!("{settings}\n{params}\n{headers}"))
            .await;
        let request = server.requests.recv().await.expect("a request");
        assert_eq!(request.lines().next(), Some(first), "{request}");
        assert!(request.contains("authorization: Bearer t"), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{last}")), "{request}");
    }
}

#[tokio::test]
async fn impossible_settings_are_refused() {
    let url = "http_auth_req.url = 'http://127.0.0.1/'";
    for (wrong, word) in [
        ("", "http_auth_req.url"),
        ("http_auth_req.url = 'ftp://127.0.0.1/'", "https"),
        (
            "tls_ca = '/nowhere/ca.pem'\nhttp_auth_req.url = 'https://127.0.0.1/'",
            "tls_ca",
        ),
        ("http_auth_req.url = 'ftp://127.0.0.1/'", "ftp"),
        ("http_auth_req.url = 'nowhere'", "url"),
        (&format!("{url}\nhttp_timeout = '1h'"), "http_timeout"),
        (&format!("{url}\nhttp_timeout = '0s'"), "http_timeout"),
        (&format!("{url}\nhttp_auth_req.method = 'head'"), "head"),
        (&format!("{url}\nhttp_headers.'a b' = 'x'"), "a b"),
        (
            &format!("{url}\nhttp_headers.a = \"x\\n\""),
            "http_headers.a",
        ),
        (
            &format!("{url}\nhttp_auth_req.headers.content-type = 'text/plain'"),
            "content type",
        ),
        (&format!("{url}\nhttp_acl_req.url = 'x'"), "\"acl\""),
        (&format!("{url}\nhttp_super_req.url = 'x'"), "\"superuser\""),
        (&format!("{url}\nhttp_auth = 1"), "http_auth"),
    ] {
        let problem = prepare(wrong).err().expect(wrong);
        assert!(problem.contains(word), "{problem}");
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let prepared = AuthHttp.prepare(
        "http_auth_req.url = 'http://name:hush@127.0.0.1/auth?key=hush'
         http_auth_req.headers.x-key = 'hush'
         http_auth_req.params = { key = 'hush' }
         http_headers.authorization = 'hush'",
    );
    let shown = prepared.expect("good settings").config().to_string();
    assert!(
        !shown.contains("hush") && !shown.contains("name"),
        "{shown}"
    );
    assert!(shown.contains("http://127.0.0.1/auth"), "{shown}");
}
