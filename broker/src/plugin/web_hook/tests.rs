//! Against a small HTTP server that answers what the test says.

use super::*;
use crate::{
    events::What,
    plugin::hook_body::tests::{copied, notice},
};
use std::{
    sync::atomic::{AtomicU16, Ordering::SeqCst},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};

/// Answers with a status that can be changed; the requests can be looked at.
struct Server {
    url: String,
    status: Arc<AtomicU16>,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(status: u16) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, requests) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(status));
        let answer = status.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), seen.clone()));
            }
        });
        Server {
            url: format!("http://{address}/hook"),
            status,
            requests,
        }
    }

    /// The next request: its first line, and its body.
    async fn next(&mut self) -> (String, String) {
        let request = timeout(Duration::from_secs(10), self.requests.recv()).await;
        let request = request.expect("in time").expect("a request");
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        let first = head.lines().next().unwrap_or_default();
        (first.to_owned(), body.to_owned())
    }

    async fn next_topics(&mut self) -> Vec<String> {
        let (_, body) = self.next().await;
        let topic = |event: &Value| event["topic"].as_str().unwrap_or_default().to_owned();
        match serde_json::from_str(&body).expect("JSON") {
            Value::Array(events) => events.iter().map(topic).collect(),
            event => vec![topic(&event)],
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    status: Arc<AtomicU16>,
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
        let status = status.load(SeqCst);
        seen.send(request).ok()?;
        let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
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

fn prepare(hook: &WebHook, text: &str) -> Box<dyn Prepared> {
    hook.prepare(text)
        .unwrap_or_else(|problem| panic!("{problem}"))
}

fn tell(prepared: &dyn Prepared, topics: &[&str]) {
    let mut extensions = Extensions::default();
    prepared.extend(&mut extensions);
    let published = topics
        .iter()
        .map(|topic| notice(What::Publish(copied(topic))));
    let published: Vec<_> = published.map(Arc::new).collect();
    extensions.listeners.tell(&published);
}

async fn attributes_when(prepared: &dyn Prepared, is_it: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let attributes = prepared.attributes();
            if is_it(&attributes) {
                return attributes;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(10), waiting).await;
    waited.unwrap_or_else(|_| panic!("{}", prepared.attributes()))
}

#[tokio::test]
async fn only_what_a_rule_matches_is_sent_and_to_all_its_urls() {
    let (mut one, mut other) = (Server::start(200).await, Server::start(200).await);
    let hook = WebHook::new(Arc::default());
    let text = format!(
        "rule.message_publish = [{{ topics = ['a/#'], action = 'x', urls = ['{}', '{}'] }}]",
        one.url, other.url
    );
    let prepared = prepare(&hook, &text);
    prepared.begin();
    tell(&*prepared, &["b", "a/1"]);
    for server in [&mut one, &mut other] {
        let (first, body) = server.next().await;
        assert_eq!(first, "POST /hook HTTP/1.1");
        let event: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (&event["topic"], &event["action"]),
            (&"a/1".into(), &"x".into())
        );
    }
    let all_sent = |a: &Value| a["urls"][0]["sent"] == 1 && a["urls"][1]["sent"] == 1;
    attributes_when(&*prepared, all_sent).await;
}

#[tokio::test]
async fn get_sends_the_fields_as_parameters() {
    let mut server = Server::start(200).await;
    let hook = WebHook::new(Arc::default());
    let rule = format!("[{{ method = 'get', urls = ['{}?key=1'] }}]", server.url);
    let prepared = prepare(&hook, &format!("rule.message_publish = {rule}"));
    prepared.begin();
    tell(&*prepared, &["a/1"]);
    let (first, body) = server.next().await;
    assert!(
        first.starts_with("GET /hook?key=1&action=message_publish&"),
        "{first}"
    );
    assert!(first.contains("&topic=a%2F1"), "{first}");
    assert_eq!(body, "");
}

#[tokio::test]
async fn what_failed_is_repeated_before_what_came_later_and_the_rest_goes_in_batches() {
    let mut server = Server::start(500).await;
    let hook = WebHook::new(Arc::default());
    let text = format!(
        "urls = ['{}']\nbatch_max = 3\nrule.message_publish = [{{}}]",
        server.url
    );
    let prepared = prepare(&hook, &text);
    prepared.begin();
    tell(&*prepared, &["0"]);
    assert_eq!(server.next_topics().await, ["0"]);
    tell(&*prepared, &["1", "2", "3", "4"]);
    server.status.store(200, SeqCst);
    assert_eq!(server.next_topics().await, ["0"]);
    assert_eq!(server.next_topics().await, ["1", "2", "3"]);
    assert_eq!(server.next_topics().await, ["4"]);
    let sent = attributes_when(&*prepared, |a| a["urls"][0]["sent"] == 5).await;
    assert_eq!(sent["urls"][0]["failed_requests"], 1);
    assert_eq!(sent["urls"][0]["problem"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_sent_in_time_is_given_up_and_counted() {
    let server = Server::start(500).await;
    let hook = WebHook::new(Arc::default());
    let text = format!(
        "urls = ['{}']\nretry_max_elapsed_time = '0s'\nrule.message_publish = [{{}}]",
        server.url
    );
    let prepared = prepare(&hook, &text);
    prepared.begin();
    tell(&*prepared, &["0", "1"]);
    let given_up = attributes_when(&*prepared, |a| a["urls"][0]["given_up"] == 2).await;
    assert_eq!(given_up["urls"][0]["waiting"], 0);
}

#[tokio::test]
async fn another_reading_of_the_file_keeps_what_is_queued_under_the_old_rules() {
    let (mut old, mut new) = (Server::start(500).await, Server::start(200).await);
    let hook = WebHook::new(Arc::default());
    let text = |url: &str| format!("urls = ['{url}']\nrule.message_publish = [{{}}]");
    let before = prepare(&hook, &text(&old.url));
    before.begin();
    tell(&*before, &["0"]);
    assert_eq!(old.next_topics().await, ["0"]);
    let after = prepare(&hook, &text(&new.url));
    // A shard that has not seen the change yet.
    after.begin();
    tell(&*before, &["1"]);
    tell(&*after, &["2"]);
    assert_eq!(new.next_topics().await, ["2"]);
    old.status.store(200, SeqCst);
    assert_eq!(old.next_topics().await, ["0"]);
    assert_eq!(old.next_topics().await, ["1"]);
}

#[tokio::test]
async fn unloading_sends_what_is_queued_until_its_time_is_over() {
    let mut server = Server::start(500).await;
    let hook = WebHook::new(Arc::default());
    let text = |more: &str| {
        format!(
            "urls = ['{}']\n{more}\nrule.message_publish = [{{}}]",
            server.url
        )
    };
    let (patient, hasty) = (text("flush_timeout = '10s'"), text("flush_timeout = '0s'"));
    let prepared = prepare(&hook, &patient);
    prepared.begin();
    tell(&*prepared, &["0"]);
    assert_eq!(server.next_topics().await, ["0"]);
    prepared.end();
    server.status.store(200, SeqCst);
    assert_eq!(server.next_topics().await, ["0"]);
    // The queues are gone with the threads, and nothing was given up.
    let ended = attributes_when(&*prepared, |a| a["urls"] == serde_json::json!([])).await;
    assert_eq!(ended["abandoned"], 0);
    server.status.store(500, SeqCst);
    let prepared = prepare(&hook, &hasty);
    prepared.begin();
    tell(&*prepared, &["1", "2"]);
    assert_eq!(server.next_topics().await, ["1"]);
    prepared.end();
    attributes_when(&*prepared, |a| a["abandoned"] == 2).await;
}

#[tokio::test]
async fn a_node_that_stops_waits_until_its_deadline() {
    let mut server = Server::start(200).await;
    let hook = WebHook::new(Arc::default());
    let text = format!("urls = ['{}']\nrule.message_publish = [{{}}]", server.url);
    let prepared = prepare(&hook, &text);
    prepared.begin();
    tell(&*prepared, &["0"]);
    prepared
        .stop(Instant::now() + Duration::from_secs(10))
        .await;
    assert_eq!(server.next_topics().await, ["0"]);
    assert_eq!(prepared.attributes()["abandoned"], 0);
}
