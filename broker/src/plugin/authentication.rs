//! Who is let in: plugins that look at a CONNECT, asked one after the other until one decides.
//!
//! They are asked in the order of their names: first the file of passwords (`rmqtt-auth-file`), then an HTTP
//! server (`rmqtt-auth-http`), then tokens (`rmqtt-auth-jwt`). One that has nothing to say about a client
//! (there is no user name, the user is not in the file and `unknown_users` is `ignore`, the server answers
//! `ignore`, there is no token) passes it on. A client that all of them pass on is a stranger: it is let in
//! when `mqtt.allow_anonymous` says so.

use super::AccessRules;
use futures::future::BoxFuture;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What a CONNECT says about its client.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub client_id: String,
    pub user_name: Option<String>,
    pub password: Option<Vec<u8>>,
    pub peer: SocketAddr,
    /// 3, 4 or 5.
    pub protocol_version: u8,
}

/// What an authenticator decides.
pub(crate) enum Decision {
    /// It has nothing to say about this client: the next one is asked.
    Pass,
    /// The client is let in.
    Admit(Grant),
    /// The client is kept out.
    Deny(Denial),
}

/// What an admitted client may do.
#[derive(Clone, Default)]
pub(crate) struct Grant {
    /// Access rules do not hold for it.
    pub superuser: bool,
    /// Rules of its own, asked before those of the node.
    pub rules: Option<Arc<AccessRules>>,
    /// When it has to leave again.
    pub until: Option<SystemTime>,
}

/// Why a client is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// User name or password are wrong.
    BadCredentials,
    /// It is known, and not allowed to connect.
    NotAuthorized,
    /// Nobody could be asked.
    Unavailable,
    /// Too many are being looked at; it may come again.
    Busy,
}

/// How long all authenticators together may take.
pub(crate) const AUTHENTICATION_TIME_MAX: Duration = Duration::from_secs(10);

/// A plugin that decides who is let in. It is asked on the runtime of a shard and must not block it.
pub(crate) trait Authenticator: Send + Sync {
    /// Looks at a client.
    fn decide(&self, credentials: Arc<Credentials>) -> BoxFuture<'static, Decision>;
}

/// Asks the authenticators in their order.
pub(crate) async fn decide(
    authenticators: &[Arc<dyn Authenticator>],
    credentials: Credentials,
) -> Decision {
    let credentials = Arc::new(credentials);
    let asking = async {
        for authenticator in authenticators {
            match authenticator.decide(credentials.clone()).await {
                Decision::Pass => {}
                decision => return decision,
            }
        }
        Decision::Pass
    };
    let decision = tokio::time::timeout(AUTHENTICATION_TIME_MAX, asking).await;
    decision.unwrap_or(Decision::Deny(Denial::Unavailable))
}
