//! What the server's answer means.
//!
//! In words: `allow`, `deny` or `ignore`, with a header `X-Superuser: true` for superusers. In JSON:
//!
//! ```json
//! {"result": "allow", "superuser": false, "expire_at": 1827143027, "acl": []}
//! ```
//!
//! 4xx denies. Anything else is no answer.

use crate::plugin::{Denial, access::Rule, granted_rules};
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// What the server says about a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It does not know it.
    Ignore,
    Allow(Allowed),
    Deny(Denial),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    pub superuser: bool,
    pub expire_at: Option<SystemTime>,
    pub rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Spoken {
    result: String,
    #[serde(default)]
    superuser: bool,
    /// Seconds since 1970.
    #[serde(default)]
    expire_at: Option<u64>,
    #[serde(default)]
    acl: Option<Value>,
}

/// Reads an answer.
///
/// # Errors
/// Why it is none. No part of the answer is in it.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer, String> {
    match status {
        StatusCode::FORBIDDEN => Ok(Answer::Deny(Denial::NotAuthorized)),
        // These speak of the request, not of the client.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(format!("it answers {status}"))
        }
        _ if status.is_client_error() => Ok(Answer::Deny(Denial::BadCredentials)),
        _ if status.is_success() => spoken(headers, body)?.meant(),
        _ => Err(format!("it answers {status}")),
    }
}

fn spoken(headers: &HeaderMap, body: &[u8]) -> Result<Spoken, String> {
    let body = body.trim_ascii();
    let is_true = |value: &reqwest::header::HeaderValue| value.as_bytes() == b"true";
    let in_header = headers.get("x-superuser").is_some_and(is_true);
    if body.first() != Some(&b'{') {
        return Ok(Spoken {
            result: String::from_utf8_lossy(body).into_owned(),
            superuser: in_header,
            expire_at: None,
            acl: None,
        });
    }
    let spoken: Spoken = serde_json::from_slice(body).map_err(|_| "its JSON is not understood")?;
    Ok(Spoken {
        superuser: spoken.superuser || in_header,
        ..spoken
    })
}

impl Spoken {
    fn meant(self) -> Result<Answer, String> {
        match self.result.as_str() {
            "allow" => Ok(Answer::Allow(Allowed {
                superuser: self.superuser,
                expire_at: self.expire_at.map(time).transpose()?,
                rules: self
                    .acl
                    .filter(|acl| !acl.is_null())
                    .map(|acl| granted_rules::read(&acl))
                    .transpose()
                    .map_err(|problem| format!("its acl cannot be kept: {problem}"))?,
            })),
            "deny" => Ok(Answer::Deny(Denial::BadCredentials)),
            "ignore" => Ok(Answer::Ignore),
            _ => Err("it says neither allow nor deny nor ignore".into()),
        }
    }
}

fn time(seconds: u64) -> Result<SystemTime, String> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.ok_or_else(|| "its expire_at is no time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_ok(body: &str) -> Result<Answer, String> {
        read(StatusCode::OK, &HeaderMap::new(), body.as_bytes())
    }

    fn superuser() -> Allowed {
        Allowed {
            superuser: true,
            ..Allowed::default()
        }
    }

    #[test]
    fn three_words_are_understood() {
        assert_eq!(read_ok("allow"), Ok(Answer::Allow(Allowed::default())));
        assert_eq!(read_ok(" deny\n"), Ok(Answer::Deny(Denial::BadCredentials)));
        assert_eq!(read_ok("ignore"), Ok(Answer::Ignore));
        for wrong in ["", "yes", "allow everything", "[]", "{", "{}"] {
            assert!(read_ok(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_says_more() {
        let answer = read_ok(
            r#"{"result": "allow", "superuser": true, "expire_at": 5,
                "acl": [{"permission": "allow", "topic": "a"}], "more": 1}"#,
        );
        let Ok(Answer::Allow(allowed)) = answer else {
            panic!("{answer:?}");
        };
        assert!(allowed.superuser);
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(allowed.expire_at, Some(expected));
        assert_eq!(allowed.rules.map(|rules| rules.len()), Some(1));
        let denied = Ok(Answer::Deny(Denial::BadCredentials));
        assert_eq!(read_ok(r#"{"result": "deny"}"#), denied);
        assert_eq!(read_ok(r#"{"result": "ignore"}"#), Ok(Answer::Ignore));
        for wrong in [
            r#"{"result": "allow", "superuser": "yes"}"#,
            r#"{"result": "allow", "acl": "all"}"#,
            r#"{"result": "allow", "expire_at": -1}"#,
        ] {
            assert!(read_ok(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_may_say_that_the_client_is_a_superuser() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Superuser", "true".parse().expect("a value"));
        let answer = read(StatusCode::OK, &headers, b"allow");
        assert_eq!(answer, Ok(Answer::Allow(superuser())));
        headers.insert("X-Superuser", "false".parse().expect("a value"));
        let answer = read(StatusCode::OK, &headers, b"allow");
        assert_eq!(answer, Ok(Answer::Allow(Allowed::default())));
    }

    #[test]
    fn a_status_decides_before_the_words() {
        let read = |status| {
            let status = StatusCode::from_u16(status).expect("a status");
            read(status, &HeaderMap::new(), b"allow")
        };
        assert_eq!(read(401), Ok(Answer::Deny(Denial::BadCredentials)));
        assert_eq!(read(404), Ok(Answer::Deny(Denial::BadCredentials)));
        assert_eq!(read(403), Ok(Answer::Deny(Denial::NotAuthorized)));
        for status in [302, 408, 429, 500, 503] {
            assert!(read(status).is_err(), "{status}");
        }
    }
}
