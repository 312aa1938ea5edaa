//! Plugins: parts of the engine that an operator switches and configures while the node runs, under the
//! names that users of RMQTT know, each with a file `<plugins.dir>/<name>.toml`.
//!
//! A plugin extends the engine only through [`Extensions`]: an immutable set of typed values (access rules,
//! topic rewriting, limits, ...) that the shards read. Every change builds a whole new set and puts it in
//! the place of the old one, so a change is all or nothing, costs the message path one look at a version
//! number, and no plugin can be called in a wrong order.
//!
//! | room | concern |
//! | --- | --- |
//! | [`host`] | which plugins there are, which are at work, loading, unloading, reloading |
//! | [`extensions`] | what they may change in the engine |
//! | [`file`](mod@file) | reading a plugin's file: every mistake with its line |
//! | `authentication`, `enhanced_authentication`, `access`, `granted_rules`, `rewrite`, `share_strategy` | what the engine asks of them |
//! | `desk`, `hook_body` | the way back to the engine; what hooks are told, as JSON |
//! | `placeholder` | `%c`, `%u` and the like in their settings |
//! | the others | one plugin each |

mod access;
mod access_control;
mod auth_file;
mod auth_http;
mod auth_jwt;
mod auth_scram;
mod authentication;
mod auto_subscription;
mod bridge;
mod desk;
mod enhanced_authentication;
#[cfg(test)]
mod examples;
mod extensions;
mod file;
mod fixed;
mod flapping_detect;
mod granted_rules;
mod hook_body;
mod host;
mod http_api;
mod outgoing;
mod placeholder;
mod retainer;
mod rewrite;
mod shared_subscription;
mod sys_topic;
mod topic_rewrite;
mod web_hook;

pub(crate) use access::{Access, AccessRules, Judgement, Permission, RulesOf, Verdict, Who};
#[cfg(test)]
pub(crate) use access::{Action, Rule, Subject, TopicPattern};
pub(crate) use authentication::{Credentials, Decision, Denial, Grant, decide};
pub(crate) use auto_subscription::AutoSubscription;
pub(crate) use desk::EngineDesk;
pub(crate) use enhanced_authentication::{AuthenticationMethod, Exchange, Proven, Step};
pub(crate) use extensions::{Extensions, ExtensionsCell, ExtensionsView, RetainLimits};
pub(crate) use host::{Deployment, PluginHost};
pub(crate) use http_api::{HttpControl, HttpSettings};
pub(crate) use placeholder::filled;

use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// One plugin: what it is, and how its file becomes something that can be put to work.
pub(crate) trait Plugin: Send + Sync {
    /// Its name, which is also that of its file.
    fn name(&self) -> &'static str;

    /// What it does, for people.
    fn description(&self) -> &'static str;

    /// Why it cannot be taken out of work, if it cannot; then it is always at work.
    fn needed_because(&self) -> Option<&'static str> {
        None
    }

    /// Whether it can be neither unloaded nor reconfigured.
    fn is_immutable(&self) -> bool {
        false
    }

    /// Reads the text of its file in full; an absent file is an empty one. Nothing is at work yet.
    ///
    /// # Errors
    /// What is wrong, with the line.
    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String>;
}

/// A plugin whose file has been read and found good.
pub(crate) trait Prepared: Send + Sync {
    /// The settings in force, as a JSON object without secrets.
    fn config(&self) -> Value;

    /// What else it tells about itself, as a JSON object.
    fn attributes(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }

    /// Puts what it changes into the set.
    fn extend(&self, extensions: &mut Extensions);

    /// Called once, when it has become the one in force.
    fn begin(&self) {}

    /// Called when the plugin has been taken out of work; not when other settings take its place.
    fn end(&self) {}

    /// The node stops: finishes what can be finished until the deadline.
    fn stop(&self, _deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// All plugins of a node.
pub(crate) fn all(
    members: &[String],
    http: Arc<HttpControl>,
    desk: &Arc<EngineDesk>,
) -> Vec<Box<dyn Plugin>> {
    let [egress, ingress] = bridge::both(desk);
    vec![
        Box::new(access_control::AccessControl),
        Box::new(auth_file::AuthFile),
        Box::new(auth_http::AuthHttp),
        Box::new(auth_jwt::AuthJwt),
        Box::new(auto_subscription::AutoSubscriptionPlugin),
        Box::new(egress),
        Box::new(ingress),
        Box::new(fixed::Fixed::cluster(members)),
        Box::new(fixed::Fixed::counter()),
        Box::new(flapping_detect::FlappingDetect),
        Box::new(http_api::HttpApi(http)),
        Box::new(retainer::Retainer),
        Box::new(shared_subscription::SharedSubscription),
        Box::new(sys_topic::SysTopic::new(desk.clone())),
        Box::new(topic_rewrite::TopicRewrite),
        Box::new(web_hook::WebHook::new(desk.clone())),
        Box::new(auth_scram::AuthScram),
    ]
}
