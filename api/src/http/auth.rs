//! The bearer token (RFC 6750 §2.1), which everything but `/live`, `/ready` and the files of the
//! dashboard needs when one is set.

use std::hint::black_box;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::code::Code;
use super::connection::ClientAddress;
use super::error::ApiError;
use super::rate::{UNLIMITED, Verdict};
use crate::api::Api;
use crate::dashboard;

/// Paths for load balancers, which hold no token.
const OPEN: [&str; 2] = UNLIMITED;

/// Refuses a request without the right token, before anything else is looked at.
pub(crate) async fn check(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN.contains(&path) || dashboard::is_part(path);
    let config = api.config();
    let Some(token) = config.http_bearer_token.as_deref().filter(|_| !open) else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let from = ClientAddress::of(&request, &api);
    let verdict = api
        .rate_limits()
        .judge(from, Instant::now(), || grants(token, given));
    match verdict {
        Ok(Verdict::Granted) => next.run(request).await,
        Ok(Verdict::Wrong) => unauthorized().into_response(),
        Ok(Verdict::WrongForTheLastTime) => {
            tracing::warn!(%from, "HTTP: too many requests without the right token from this address; it is not heard for a while");
            unauthorized().into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn unauthorized() -> ApiError {
    let message = "Send the header 'Authorization: Bearer <http_bearer_token>'.";
    ApiError::new(Code::Unauthorized, message)
}

/// Exactly `Bearer <token>`.
fn grants(token: &str, given: Option<&[u8]>) -> bool {
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    given.is_some_and(|given| same(given, token.as_bytes()))
}

/// Compares in a time that depends on the length of `given` only, so that a token cannot be found
/// out byte by byte.
fn same(given: &[u8], token: &[u8]) -> bool {
    let mut difference = given.len() ^ token.len();
    for (i, byte) in given.iter().enumerate() {
        let other = token.get(i % token.len().max(1)).copied().unwrap_or(0);
        difference |= usize::from(black_box(byte ^ other));
    }
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_header_grants() {
        let cases: [(Option<&[u8]>, bool); 9] = [
            (None, false),
            (Some(b"Bearer secret"), true),
            (Some(b"bearer secret"), false),
            (Some(b"Bearer secret "), false),
            (Some(b"Bearer  secret"), false),
            (Some(b"Bearer secretsecret"), false),
            (Some(b"Bearer secre"), false),
            (Some(b"Bearer "), false),
            (Some(b"Basic secret"), false),
        ];
        for (given, expected) in cases {
            assert_eq!(grants("secret", given), expected, "{given:?}");
        }
    }
}
