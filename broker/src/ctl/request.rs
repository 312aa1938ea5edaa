//! One request and its answer: errors in the server's own words, warnings for what an answer misses,
//! and lists over all their pages.

use super::{Extent, Failure, Format, Parameters, answer, generic, table::printable};
use raftmq_api::client::{Client, Incoming, Reply};
use serde_json::Value;
use std::io::Write;

const BASE: &str = "/api/v1";
/// What to pass as `_cursor` for the next page.
const NEXT_CURSOR: &str = "x-next-cursor";
const UNREACHABLE_NODES: &str = "x-unreachable-nodes";

/// The node that is asked, and how its answers are shown.
pub struct Server {
    client: Client,
    format: Format,
}

/// The methods that the commands use.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    Get,
    Put,
    Delete,
}

impl Server {
    pub fn new(client: Client, format: Format) -> Server {
        Server { client, format }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The node's address, as it was given.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// GET, DELETE or PUT without a body, of a path below `/api/v1`.
    pub async fn ask(&self, verb: Verb, path: &str) -> Result<Reply, Failure> {
        let method = match verb {
            Verb::Get => "GET",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        };
        self.send(method, path, None).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.send("POST", path, Some(body.to_string().into_bytes()))
            .await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.send("PUT", path, Some(body.to_string().into_bytes()))
            .await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, Failure> {
        let method = method.parse().map_err(|_| unreadable("the method"))?;
        let path = format!("{BASE}{path}");
        let reply = self.client.send(method, &path, body).await?;
        match reply.status {
            200..=299 => Ok(reply),
            status => Err(refusal(status, &reply.body)),
        }
    }

    /// GET whose answer has no end.
    pub async fn follow(&self, path: &str) -> Result<Incoming, Failure> {
        let method = "GET".parse().map_err(|_| unreadable("the method"))?;
        let incoming = self
            .client
            .open(method, &format!("{BASE}{path}"), None)
            .await?;
        match incoming.status() {
            200..=299 => Ok(incoming),
            status => Err(refusal(status, &incoming.collect().await?.body)),
        }
    }

    /// GET of JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        let reply = self.ask(Verb::Get, path).await?;
        warn_of_unreachable(&reply);
        json(&reply)
    }

    /// GET of an array; with [`Extent::All`] of all its pages.
    pub async fn rows(
        &self,
        path: &str,
        parameters: &Parameters,
        extent: Extent,
    ) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let mut page: Vec<(&str, &str)> = pairs(parameters).collect();
            page.extend(cursor.as_deref().map(|cursor| ("_cursor", cursor)));
            let path = format!("{path}{}", query(page));
            let reply = self.ask(Verb::Get, &path).await?;
            warn_of_unreachable(&reply);
            rows.extend(array(json(&reply)?)?);
            cursor = reply.header(NEXT_CURSOR).map(str::to_owned);
            match (&cursor, extent) {
                (None, _) => return Ok(rows),
                (Some(_), Extent::All) => {}
                (Some(_), Extent::OnePage) => {
                    warn(&format!(
                        "there are more than these {} rows: --all",
                        rows.len()
                    ));
                    return Ok(rows);
                }
            }
        }
    }

    /// Prints an answer: as JSON, or as `text` shows it.
    pub fn show(&self, value: &Value, text: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => format!("{value}\n"),
            Format::Table => text(value),
        };
        print(&text)
    }

    /// Prints rows: as JSON, or as a table of those that are no missing nodes, with warnings for these.
    pub fn show_rows(
        &self,
        rows: Vec<Value>,
        text: impl FnOnce(&[Value]) -> String,
    ) -> Result<(), Failure> {
        let (answers, warnings) = answer::split_missing(rows.clone());
        warnings.iter().for_each(|warning| warn(warning));
        match self.format {
            Format::Json => print(&format!("{}\n", Value::Array(rows))),
            Format::Table => print(&text(&answers)),
        }
    }

    /// As [`Server::show_rows`], with those of missing nodes in the table.
    pub fn show_rows_with_gaps(
        &self,
        rows: Vec<Value>,
        text: impl FnOnce(&[Value]) -> String,
    ) -> Result<(), Failure> {
        let (_, warnings) = answer::split_missing(rows.clone());
        warnings.iter().for_each(|warning| warn(warning));
        self.show(&Value::Array(rows.clone()), |_| text(&rows))
    }

    /// Prints an answer of any shape.
    pub fn show_any(&self, value: Value) -> Result<(), Failure> {
        match value {
            Value::Array(rows) => {
                self.show_rows(rows, |rows| generic::render(&Value::Array(rows.to_vec())))
            }
            other => {
                let warnings = answer::warnings_within(&other);
                warnings.iter().for_each(|warning| warn(warning));
                self.show(&other, generic::render)
            }
        }
    }
}

/// Writes to standard output; `println!` would panic when nobody reads it.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Tells what is missing in what is printed.
pub fn warn(warning: &str) {
    eprintln!("raftmq: warning: {}", printable(warning));
}

fn warn_of_unreachable(reply: &Reply) {
    if let Some(nodes) = reply.header(UNREACHABLE_NODES) {
        warn(&answer::unreachable(nodes));
    }
}

/// The message of the error body, or what there is in its place.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let json: Option<Value> = serde_json::from_str(&text).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    Failure::Refused(match message {
        Some(message) => printable(message),
        None => format!("the server answers {status}: {}", printable(text.trim())),
    })
}

fn unreadable(what: &str) -> Failure {
    Failure::Unreadable(what.to_owned())
}

pub fn json(reply: &Reply) -> Result<Value, Failure> {
    serde_json::from_slice(&reply.body).map_err(|error| Failure::Unreadable(error.to_string()))
}

pub fn array(value: Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(rows) => Ok(rows),
        _ => Err(unreadable("it is no array")),
    }
}

/// The parameters as borrowed pairs.
pub fn pairs(parameters: &Parameters) -> impl Iterator<Item = (&str, &str)> {
    parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
}

/// `?a=b&c=d`, encoded; empty without parameters.
pub fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={}", segment(value)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

/// A text as one segment of a path, or one value of a query: everything that could mean something
/// else is percent-encoded (RFC 3986 §2.1).
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}
