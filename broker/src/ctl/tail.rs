//! `tail`: one line for each event, until the server or the user ends it.

use super::{
    Failure, Format, Parameters,
    generic::cell,
    request::{Server, pairs, print, query, warn},
    table::printable,
};
use serde_json::Value;

/// The longest event that is read: a topic and a client identifier are at most 64 KiB each, and
/// escapes make JSON six times as long.
const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;

pub async fn follow(server: &Server, parameters: &Parameters) -> Result<(), Failure> {
    let path = format!("/tail{}", query(pairs(parameters)));
    let mut incoming = server.follow(&path).await?;
    let mut lines = Lines::default();
    while let Some(chunk) = incoming.chunk().await? {
        lines.waiting.extend_from_slice(&chunk);
        while let Some(data) = lines.next_data() {
            tell(server.format(), &data)?;
        }
        if lines.waiting.len() > EVENT_BYTES_MAX {
            return Err(Failure::Unreadable("an event is too long".to_owned()));
        }
    }
    Err(Failure::Refused(format!(
        "{} has ended the stream: the node stops",
        server.url()
    )))
}

fn tell(format: Format, data: &str) -> Result<(), Failure> {
    if format == Format::Json {
        return print(&format!("{data}\n"));
    }
    let event: Value =
        serde_json::from_str(data).map_err(|error| Failure::Unreadable(error.to_string()))?;
    match event["event"].as_str() {
        Some("unreachable") => {
            let (node, error) = (cell(&event["node_id"]), cell(&event["error"]));
            warn(&format!("node {node} is unreachable: {error}"));
        }
        Some("listening") => {}
        Some("skipped") => warn(&format!("{} events were left out", cell(&event["count"]))),
        _ => print(&(line(&event) + "\n"))?,
    }
    Ok(())
}

/// `2026-11-25 04:00:00  node 2  connected  clientid  name=value ...`
fn line(event: &Value) -> String {
    const IN_FRONT: [&str; 6] = ["at", "at_ms", "node_id", "event", "clientid", "port"];
    let mut text = format!(
        "{}  node {}  {:<12}  {}",
        cell(&event["at"]),
        cell(&event["node_id"]),
        cell(&event["event"]),
        cell(&event["clientid"])
    );
    for (name, value) in event.as_object().into_iter().flatten() {
        match name.as_str() {
            "ip_address" => {
                text += &format!("  from={}:{}", cell(value), cell(&event["port"]));
            }
            name if !IN_FRONT.contains(&name) => text += &format!("  {name}={}", cell(value)),
            _ => {}
        }
    }
    printable(&text)
}

/// The `data` lines of an event stream (WHATWG HTML §9.2.6). This server writes one for each event.
#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
}

impl Lines {
    fn next_data(&mut self) -> Option<String> {
        while let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.waiting.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(data) = line.strip_prefix("data:") {
                return Some(data.trim().to_owned());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let stream = b": nothing happened\n\nevent: a\ndata: {\"x\":1}\n\nevent: b\ndata: 2\n\n";
        for cut in 0..stream.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                lines.waiting.extend_from_slice(part);
                found.extend(std::iter::from_fn(|| lines.next_data()));
            }
            assert_eq!(found, ["{\"x\":1}", "2"], "cut at {cut}");
        }
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let event = json!({
            "event": "disconnected", "node_id": 2, "at": "2026-11-25 04:00:00", "at_ms": 1,
            "clientid": "a\x1b[2Jb", "ip_address": "10.0.0.9", "port": 7, "reason": "gone",
        });
        assert_eq!(
            line(&event),
            "2026-11-25 04:00:00  node 2  disconnected  a\\u{1b}[2Jb  from=10.0.0.9:7  reason=gone"
        );
    }
}
