//! How many requests a client may send, and how often it may be wrong about the token.
//!
//! Three limits, each a token bucket: of all requests, of those of one client address, and of the refused
//! tokens of one address. Who has been wrong too often is not heard until a token of that bucket is back,
//! whatever it sends: otherwise guessing would go on at full speed and the right guess would be let in.
//!
//! Memory is bounded: so many addresses are remembered, the oldest are forgotten. Wrong tokens have a table of
//! their own, which requests with the right one cannot push anybody out of. The core knows no clock.

mod addresses;
mod bucket;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::code::Code;
use super::connection::ClientAddress;
use super::error::ApiError;
use crate::api::{Api, ApiConfig};
use addresses::{Addresses, Network};
use bucket::{Bucket, Rate};

/// Addresses remembered, for each of the two limits that know addresses; less than 2 MiB together.
const ADDRESSES_MAX: usize = 16_384;
/// What may come at once: the requests of so many seconds.
const BURST_SECONDS: u32 = 2;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Paths that are never limited: a node must not seem dead because somebody asks too much.
pub(crate) const UNLIMITED: [&str; 2] = ["/live", "/ready"];

/// Which limit refuses a request, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its address has asked too much.
    Address(Duration),
    /// All together have.
    Overall(Duration),
    /// Its address has been wrong about the token too often.
    Tokens(Duration),
}

/// What a token was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    /// Wrong, or absent.
    Wrong,
    /// Wrong, and the last time that this is heard for now.
    WrongForTheLastTime,
}

/// The limits of one node.
#[derive(Debug)]
pub(crate) struct RateLimits {
    address: Option<Rate>,
    overall: Option<Rate>,
    wrong_tokens: Option<Rate>,
    state: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    requests: Addresses,
    wrong_tokens: Addresses,
    overall: Option<Bucket>,
}

impl RateLimits {
    pub(crate) fn new(config: &ApiConfig) -> Self {
        let per_second = |count: u32| {
            let burst = count.saturating_mul(BURST_SECONDS);
            Rate::new(count, SECOND, burst)
        };
        let wrong = config.max_wrong_tokens_per_minute;
        Self {
            address: per_second(config.max_requests_per_second_per_address),
            overall: per_second(config.max_requests_per_second),
            wrong_tokens: Rate::new(wrong, MINUTE, wrong),
            state: Mutex::new(Tables {
                requests: Addresses::new(ADDRESSES_MAX),
                wrong_tokens: Addresses::new(ADDRESSES_MAX),
                overall: None,
            }),
        }
    }

    /// Counts a request, if both limits have room for it. What one address asks beyond its limit is not
    /// counted against all.
    pub(crate) fn admit(&self, from: IpAddr, now: Instant) -> Result<(), Refusal> {
        let mut guard = self.tables();
        let tables = &mut *guard;
        if let Some(rate) = self.address {
            let bucket = tables.requests.bucket(Network::of(from), now);
            allowed(*bucket, rate, now).map_err(Refusal::Address)?;
        }
        if let Some(rate) = self.overall {
            let bucket = tables.overall.get_or_insert(Bucket::full(now));
            allowed(*bucket, rate, now).map_err(Refusal::Overall)?;
            bucket.take(rate, now);
        }
        if let Some(rate) = self.address {
            tables
                .requests
                .bucket(Network::of(from), now)
                .take(rate, now);
        }
        Ok(())
    }

    /// Whether the token that came from this address `is_right`, which is not even looked at when too many
    /// before it were wrong. One step, so that guesses at the same moment are counted one by one.
    pub(crate) fn judge(
        &self,
        from: IpAddr,
        now: Instant,
        is_right: impl FnOnce() -> bool,
    ) -> Result<Verdict, Refusal> {
        let verdict = |is_right| match is_right {
            true => Verdict::Granted,
            false => Verdict::Wrong,
        };
        let Some(rate) = self.wrong_tokens else {
            return Ok(verdict(is_right()));
        };
        let (network, mut tables) = (Network::of(from), self.tables());
        if let Some(bucket) = tables.wrong_tokens.known(network) {
            allowed(bucket, rate, now).map_err(Refusal::Tokens)?;
        }
        if is_right() {
            return Ok(Verdict::Granted);
        }
        let bucket = tables.wrong_tokens.bucket(network, now);
        bucket.take(rate, now);
        Ok(match bucket.wait(rate, now).is_zero() {
            true => Verdict::Wrong,
            false => Verdict::WrongForTheLastTime,
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn allowed(bucket: Bucket, rate: Rate, now: Instant) -> Result<(), Duration> {
    let wait = bucket.wait(rate, now);
    if wait.is_zero() { Ok(()) } else { Err(wait) }
}

/// Refuses what is too much, before it costs anything.
pub(crate) async fn limit(State(api): State<Api>, request: Request, next: Next) -> Response {
    if !UNLIMITED.contains(&request.uri().path()) {
        let from = ClientAddress::of(&request, &api);
        if let Err(refusal) = api.rate_limits().admit(from, Instant::now()) {
            return refusal.into_response();
        }
    }
    next.run(request).await
}

impl IntoResponse for Refusal {
    /// 429 with `Retry-After` in seconds (RFC 6585 §4).
    fn into_response(self) -> Response {
        let (wait, message) = match self {
            Self::Address(wait) => (
                wait,
                "This address sends more requests than http.max_requests_per_second_per_address allows; send fewer, or ask for more with each.",
            ),
            Self::Overall(wait) => (
                wait,
                "This node gets more requests than http.max_requests_per_second allows; ask another node, or later.",
            ),
            Self::Tokens(wait) => (
                wait,
                "Too many requests from this address had no token or a wrong one (http.max_wrong_tokens_per_minute); wait, then send the right one.",
            ),
        };
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let refusal = ApiError::new(Code::TooManyRequests, message);
        let mut response = refusal.into_response();
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        response
    }
}

#[cfg(test)]
mod tests;
