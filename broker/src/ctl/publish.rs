//! `publish`.

use super::{Failure, Publication, clients::text_answer, request::Server};
use serde_json::json;
use std::io::{self, Read};

/// The payload's name for "what standard input holds".
const STANDARD_INPUT: &str = "-";
/// The largest payload that is read from standard input: more than a server takes.
const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub async fn publish(server: &Server, publication: Publication) -> Result<(), Failure> {
    let payload = match &*publication.payload {
        STANDARD_INPUT => read_input()?,
        text => text.to_owned(),
    };
    let mut body = json!({
        "topic": publication.topic,
        "payload": payload,
        "qos": publication.qos,
        "retain": publication.retain,
    });
    if let Some(client_id) = publication.client_id {
        body["clientid"] = client_id.into();
    }
    let reply = server.post("/mqtt/publish", &body).await?;
    text_answer(server, &reply.body)
}

fn read_input() -> io::Result<String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}
