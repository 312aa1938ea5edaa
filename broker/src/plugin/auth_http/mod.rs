//! `rmqtt-auth-http`: an HTTP server of the operator's own is asked who is let in.
//!
//! The shard only waits: requests run on the node's main runtime, at most [`REQUESTS_MAX`] at once, and
//! from the wait for its turn to the last byte of the answer a CONNECT has `http_timeout`; half of it for
//! the wait.
//!
//! What a client may publish and subscribe to comes with this answer, as `acl`. Nobody is asked again
//! for each message: a server that is slow must not be able to stop the traffic of clients that are in.

mod answer;
mod request;
#[cfg(test)]
mod tests;

use super::{
    AccessRules, Credentials, Decision, Denial, Extensions, Grant, Plugin, Prepared,
    authentication::{AUTHENTICATION_TIME_MAX, Authenticator},
    file,
    outgoing::without_values,
};
use answer::{Allowed, Answer};
use futures::future::BoxFuture;
use request::{Asker, RequestSettings};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

/// Requests under way at once; the other clients wait for their turn.
const REQUESTS_MAX: usize = 128;
/// Longer answers are none, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

pub(super) struct AuthHttp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    http_timeout: String,
    http_headers: BTreeMap<String, String>,
    disconnect_if_pub_rejected: bool,
    disconnect_if_expiry: bool,
    deny_if_error: bool,
    tls_ca: Option<PathBuf>,
    http_auth_req: Option<RequestSettings>,
    http_super_req: Option<toml::Value>,
    http_acl_req: Option<toml::Value>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            http_timeout: "5s".into(),
            http_headers: BTreeMap::new(),
            disconnect_if_pub_rejected: true,
            disconnect_if_expiry: false,
            deny_if_error: true,
            tls_ca: None,
            http_auth_req: None,
            http_super_req: None,
            http_acl_req: None,
        }
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        if self.http_acl_req.is_some() {
            return Err(
                "http_acl_req: nobody is asked for each message; give the rules as \"acl\" in the \
                 answer to http_auth_req, or to rmqtt-acl, and take this setting out"
                    .into(),
            );
        }
        if self.http_super_req.is_some() {
            return Err(
                "http_super_req: say \"superuser\" in the answer to http_auth_req, and take this \
                 setting out"
                    .into(),
            );
        }
        Ok(())
    }

    fn timeout(&self) -> Result<Duration, String> {
        let timeout =
            file::duration(&self.http_timeout).map_err(|p| format!("http_timeout: {p}"))?;
        if timeout.is_zero() || timeout > AUTHENTICATION_TIME_MAX {
            return Err("http_timeout is out of range: 1ms to 10s".into());
        }
        Ok(timeout)
    }

    fn shown(&self) -> Value {
        json!({
            "http_timeout": self.http_timeout,
            "http_headers": without_values(&self.http_headers),
            "disconnect_if_pub_rejected": self.disconnect_if_pub_rejected,
            "disconnect_if_expiry": self.disconnect_if_expiry,
            "deny_if_error": self.deny_if_error,
            "tls_ca": self.tls_ca,
            "http_auth_req": self.http_auth_req.as_ref().map(RequestSettings::shown),
        })
    }
}

struct PreparedHttp {
    desk: Arc<Desk>,
    config: Value,
}

impl Plugin for AuthHttp {
    fn name(&self) -> &'static str {
        "rmqtt-auth-http"
    }

    fn description(&self) -> &'static str {
        "Clients are let in by an HTTP server, which also says what they may do"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        settings.check()?;
        let timeout = settings.timeout()?;
        let request = settings.http_auth_req.as_ref();
        let request = request.ok_or("http_auth_req.url is missing")?;
        let inquiry = Inquiry {
            asker: Asker::new(
                request,
                &settings.http_headers,
                settings.tls_ca.as_deref(),
                timeout,
            )?,
            turns: Semaphore::new(REQUESTS_MAX),
            timeout,
            without_answer: if settings.deny_if_error {
                WithoutAnswer::Deny
            } else {
                WithoutAnswer::Pass
            },
            disconnects_expired: settings.disconnect_if_expiry,
            disconnects_publishers: settings.disconnect_if_pub_rejected,
            is_failing: AtomicBool::new(false),
        };
        // Plugins are prepared on the node's main runtime, at the start and by the HTTP API alike.
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let desk = Desk {
            inquiry: Arc::new(inquiry),
            runtime,
        };
        Ok(Box::new(PreparedHttp {
            desk: Arc::new(desk),
            config: settings.shown(),
        }))
    }
}

impl Prepared for PreparedHttp {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.authenticators.push(self.desk.clone());
    }
}

/// What becomes of a client of which the server says nothing.
#[derive(Clone, Copy)]
enum WithoutAnswer {
    Deny,
    Pass,
}

struct Inquiry {
    asker: Asker,
    turns: Semaphore,
    timeout: Duration,
    without_answer: WithoutAnswer,
    disconnects_expired: bool,
    disconnects_publishers: bool,
    /// So that an outage is told once, not for every client.
    is_failing: AtomicBool,
}

/// Where shards leave their questions.
struct Desk {
    inquiry: Arc<Inquiry>,
    runtime: Handle,
}

impl Authenticator for Desk {
    fn decide(&self, credentials: Arc<Credentials>) -> BoxFuture<'static, Decision> {
        let inquiry = self.inquiry.clone();
        let asking = async move { inquiry.decide(&credentials).await };
        let asked = self.runtime.spawn(asking);
        // It only fails when the node stops.
        Box::pin(async { asked.await.unwrap_or(Decision::Deny(Denial::Unavailable)) })
    }
}

impl Inquiry {
    async fn decide(&self, about: &Credentials) -> Decision {
        let deadline = tokio::time::Instant::now() + self.timeout;
        // Who has a turn has time to use it.
        let Ok(Ok(_turn)) = timeout(self.timeout / 2, self.turns.acquire()).await else {
            // That the queue is long is no fault of the server, and clients can make it long: nobody
            // comes in that way, whatever deny_if_error says.
            return Decision::Deny(Denial::Unavailable);
        };
        let answer = tokio::time::timeout_at(deadline, self.ask(about)).await;
        match answer.unwrap_or_else(|_| Err("no answer within http_timeout".into())) {
            Ok(answer) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the server of rmqtt-auth-http answers again");
                }
                self.decision(answer, SystemTime::now())
            }
            Err(problem) => self.without_answer(&problem),
        }
    }

    async fn ask(&self, about: &Credentials) -> Result<Answer, String> {
        // The URL may have parts that are nobody's business.
        let told = |error: reqwest::Error| format!("{:?}", error.without_url());
        let mut response = self.asker.request(about).send().await.map_err(told)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(told)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        answer::read(response.status(), response.headers(), &body)
    }

    fn without_answer(&self, problem: &str) -> Decision {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(problem, "the server of rmqtt-auth-http cannot be asked");
        }
        match self.without_answer {
            WithoutAnswer::Deny => Decision::Deny(Denial::Unavailable),
            WithoutAnswer::Pass => Decision::Pass,
        }
    }

    fn decision(&self, answer: Answer, now: SystemTime) -> Decision {
        match answer {
            Answer::Ignore => Decision::Pass,
            Answer::Deny(denial) => Decision::Deny(denial),
            Answer::Allow(allowed) => {
                let expiry = allowed.expire_at.filter(|_| self.disconnects_expired);
                if expiry.is_some_and(|expiry| expiry <= now) {
                    return Decision::Deny(Denial::BadCredentials);
                }
                Decision::Admit(self.grant(allowed, expiry))
            }
        }
    }

    fn grant(&self, allowed: Allowed, until: Option<SystemTime>) -> Grant {
        let rules = allowed.rules.map(|rules| AccessRules {
            rules,
            disconnects_publishers: self.disconnects_publishers,
        });
        Grant {
            superuser: allowed.superuser,
            rules: rules.map(Arc::new),
            until,
        }
    }
}
