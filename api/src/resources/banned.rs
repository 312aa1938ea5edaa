//! `/banned`: who is kept out of the cluster, in the shape that EMQX gives it.
//!
//! Bans stand in the replicated table, so any node takes them for all. When a POST has been answered, no node
//! that serves lets the client in any more, and those who were connected have been sent away.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use raftmq_store::table::{Ban, BanOf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::http::body::JsonBody;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::page::Page;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::http::rows::{WriteRow, rows};
use crate::http::segment::TwoSegments;
use crate::openapi::{Header, Operation, Text};
use crate::replicated::{BanRefusal, PIECE_ROWS};
use crate::router::Endpoints;
use crate::time;

/// A ban without an end.
const INFINITY: &str = "infinity";
/// Who ordered a ban when the request does not say.
const BY_DEFAULT: &str = "api";

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/banned",
            list,
            Operation::json::<Vec<Row>>("get_banned", "Return who is banned")
                .paged()
                .consistent()
                .header(Header::AppliedIndex),
        )
        .post(
            "/banned",
            ban,
            Operation::json::<Row>("ban", "Keep a client, a user, an address or a network out")
                .detail(
                    "Done when no node that serves lets it in; whoever is connected is sent away (MQTT 5: \
                     0x98). A ban of the same replaces the one that there is.",
                )
                .body::<BanBody>()
                .fails([Code::InvalidBan, Code::TooManyBans, Code::NoLeader]),
        )
        .delete(
            "/banned/{as}/{who}",
            lift,
            Operation::text("unban", "Let them in again", Text::Ok).fails([
                Code::InvalidBan,
                Code::UnknownBan,
                Code::NoLeader,
            ]),
        )
}

/// What a ban names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BanAs")]
enum As {
    /// A client identifier.
    Clientid,
    /// A user name.
    Username,
    /// An IP address.
    Peerhost,
    /// A network, such as `10.0.0.0/8`.
    PeerhostNet,
}

impl As {
    fn named(text: &str) -> Option<As> {
        Some(match text {
            "clientid" => As::Clientid,
            "username" => As::Username,
            "peerhost" => As::Peerhost,
            "peerhost_net" => As::PeerhostNet,
            _ => return None,
        })
    }

    fn of(self) -> BanOf {
        match self {
            As::Clientid => BanOf::Client,
            As::Username => BanOf::User,
            As::Peerhost | As::PeerhostNet => BanOf::Address,
        }
    }
}

/// A ban.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Banned")]
struct Row {
    #[serde(rename = "as")]
    named_as: As,
    who: String,
    by: String,
    reason: String,
    /// RFC 3339.
    at: String,
    /// RFC 3339, or `infinity`.
    until: String,
}

impl From<&Ban> for Row {
    fn from(ban: &Ban) -> Self {
        Self {
            named_as: match ban.of {
                BanOf::Client => As::Clientid,
                BanOf::User => As::Username,
                BanOf::Address if ban.who.contains('/') => As::PeerhostNet,
                BanOf::Address => As::Peerhost,
            },
            who: ban.who.to_string(),
            by: ban.by.to_string(),
            reason: ban.reason.to_string(),
            at: time::rfc3339(ban.at_ms),
            until: ban
                .until_ms
                .map_or_else(|| INFINITY.to_owned(), time::rfc3339),
        }
    }
}

/// Characters of what people write, each.
const TEXT_CHARS_MAX: usize = 256;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BanRequest")]
struct BanBody {
    #[serde(rename = "as")]
    named_as: As,
    /// Client identifier, user name, IP address or network.
    #[schemars(length(min = 1))]
    who: String,
    /// For people; `api` if left out.
    #[schemars(length(max = 256))]
    by: Option<String>,
    /// For people.
    #[schemars(length(max = 256))]
    reason: Option<String>,
    /// RFC 3339 or `infinity`, which it is if left out.
    until: Option<String>,
}

impl BanBody {
    fn ban(self, now_ms: u64) -> Result<Ban, ApiError> {
        let until_ms = match self.until.as_deref() {
            None | Some(INFINITY) => None,
            Some(text) => Some(time::parse_rfc3339(text).ok_or_else(|| {
                let message =
                    format!("'{text}' is no time; write 2026-01-31T00:00:00Z or infinity.");
                ApiError::new(Code::InvalidBan, message)
            })?),
        };
        if until_ms.is_some_and(|until| until <= now_ms) {
            let message = "The ban would have ended already.";
            return Err(ApiError::new(Code::InvalidBan, message));
        }
        let texts = [&self.by, &self.reason];
        let mut texts = texts.into_iter().flatten();
        if texts.any(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let message = format!("by and reason have at most {TEXT_CHARS_MAX} characters each.");
            return Err(ApiError::new(Code::InvalidBan, message));
        }
        Ok(Ban {
            of: self.named_as.of(),
            who: whom(self.named_as, &self.who)?.into(),
            by: self.by.as_deref().unwrap_or(BY_DEFAULT).into(),
            reason: self.reason.as_deref().unwrap_or_default().into(),
            at_ms: now_ms,
            until_ms,
        })
    }
}

/// In its canonical form.
fn whom(named_as: As, who: &str) -> Result<String, ApiError> {
    let canonical = named_as.of().canonical(who);
    canonical.ok_or_else(|| {
        let what = match named_as.of() {
            BanOf::Client => "client identifier",
            BanOf::User => "user name",
            BanOf::Address => "IP address or network",
        };
        ApiError::new(Code::InvalidBan, format!("'{who}' is no {what}."))
    })
}

async fn list(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let mut page = Page::new(query.limit()? as usize);
    let cursor: Option<(As, String)> = query.cursor()?;
    let mut after = cursor.map(|(named_as, who)| (named_as.of(), who));
    api.freshen(query.consistency()?).await?;
    let applied_index = Some(api.replicated().applied_index());
    loop {
        let behind = after.as_ref().map(|(of, who)| (*of, who.as_str()));
        let bans = api.replicated().bans_after(behind, PIECE_ROWS);
        let is_last = bans.len() < PIECE_ROWS;
        after = bans.last().map(|ban| (ban.of, ban.who.to_string()));
        let full = bans.into_iter().try_for_each(|ban| {
            let bytes = size_of::<Ban>() + ban.who.len() + ban.by.len() + ban.reason.len();
            page.push(ban, bytes)
        });
        if is_last || full.is_break() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let qualifiers = Qualifiers {
        applied_index,
        next_cursor: page.next_cursor(|ban| {
            let row = Row::from(&**ban);
            (row.named_as, row.who)
        }),
        ..Default::default()
    };
    let write: WriteRow<Arc<Ban>> = |ban, out| serde_json::to_writer(out, &Row::from(&**ban));
    Ok(qualifiers.attach(rows(page.rows, write)))
}

async fn ban(
    State(api): State<Api>,
    JsonBody(body): JsonBody<BanBody>,
) -> Result<Response, ApiError> {
    let ban = body.ban(time::now_ms())?;
    let row = Row::from(&ban);
    let refused = |refusal: BanRefusal| {
        let code = match refusal {
            BanRefusal::Malformed => Code::InvalidBan,
            BanRefusal::TooMany => Code::TooManyBans,
            BanRefusal::NotReplicated(_) => Code::NoLeader,
        };
        ApiError::new(code, format!("It may not be banned: {refusal}."))
    };
    api.replicated().set_ban(ban).await.map_err(refused)?;
    Ok(reply::json(&row))
}

async fn lift(
    State(api): State<Api>,
    TwoSegments(named_as, who): TwoSegments,
) -> Result<Response, ApiError> {
    let unknown = || {
        let message =
            format!("'{named_as}' is none of clientid, username, peerhost, peerhost_net.");
        ApiError::new(Code::InvalidBan, message)
    };
    let named = As::named(&named_as).ok_or_else(unknown)?;
    let who = whom(named, &who)?;
    let lifted = api.replicated().lift_ban(named.of(), &who).await;
    let existed = lifted.map_err(|error| ApiError::new(Code::NoLeader, error.to_string()))?;
    match existed {
        true => Ok(reply::text("ok")),
        false => {
            let message = format!("There is no ban of {named_as} '{who}'.");
            Err(ApiError::new(Code::UnknownBan, message))
        }
    }
}
