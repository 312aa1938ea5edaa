//! `bans`, `ban` and `unban`.

use super::{
    Ban, Banned, Extent, Failure, Parameters,
    clients::text_answer,
    request::{Server, Verb, json, segment},
    routes::named_columns,
};
use serde_json::json as object;
use std::time::SystemTime;

const COLUMNS: [&str; 6] = ["as", "who", "until", "by", "at", "reason"];

pub async fn list(server: &Server, parameters: &Parameters, extent: Extent) -> Result<(), Failure> {
    let rows = server.rows("/banned", parameters, extent).await?;
    server.show_rows(rows, |rows| named_columns(rows, &COLUMNS))
}

pub async fn ban(server: &Server, ban: &Ban) -> Result<(), Failure> {
    let mut body = object!({
        "as": ban.banned.named_as,
        "who": ban.banned.who,
        "by": ban.by,
        "reason": ban.reason,
    });
    if let Some(time) = ban.time {
        let until = jiff::Timestamp::try_from(SystemTime::now() + time);
        let until = until.map_err(|error| Failure::Refused(error.to_string()))?;
        body["until"] = until.to_string().into();
    }
    let reply = server.post("/banned", &body).await?;
    server.show_any(json(&reply)?)
}

pub async fn unban(server: &Server, banned: &Banned) -> Result<(), Failure> {
    let path = format!("/banned/{}/{}", banned.named_as, segment(&banned.who));
    let reply = server.ask(Verb::Delete, &path).await?;
    text_answer(server, &reply.body)
}
