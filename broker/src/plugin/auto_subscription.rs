//! `rmqtt-auto-subscription`: subscriptions that every client gets when it connects.
//!
//! ```toml
//! subscribes = [
//!     { topic_filter = "notices/${clientid}/#", qos = 1, no_local = false, retain_as_published = false, retain_handling = 0 },
//! ]
//! ```

use super::{Extensions, Plugin, Prepared, file};
use raftmq_mqtt::{
    codec::{QoS, SubscriptionOptions, Version},
    topic,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) struct AutoSubscriptionPlugin;

/// One subscription for every client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AutoSubscription {
    /// May have placeholders.
    filter: String,
    /// Subscription options, MQTT 5 §3.8.3.1.
    pub options: SubscriptionOptions,
}

impl AutoSubscription {
    /// The filter for one client. `None`: a placeholder has no value, or one that would make another
    /// filter of it than the operator meant.
    pub fn filter_for(&self, client_id: &str, user_name: Option<&str>) -> Option<String> {
        let mut filter = self.filter.clone();
        for (placeholder, value) in [("${clientid}", Some(client_id)), ("${username}", user_name)] {
            if filter.contains(placeholder) {
                let value = value.filter(|value| !value.contains(['/', '+', '#']))?;
                filter = filter.replace(placeholder, value);
            }
        }
        Some(filter)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    subscribes: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    topic_filter: String,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    no_local: bool,
    #[serde(default)]
    retain_as_published: bool,
    #[serde(default)]
    retain_handling: u8,
}

impl Item {
    fn read(&self) -> Result<AutoSubscription, String> {
        let filter = &self.topic_filter;
        topic::SharedFilter::parse(filter).map_err(|error| format!("{filter:?}: {error}"))?;
        QoS::from_number(self.qos).ok_or_else(|| format!("{filter:?}: QoS {}", self.qos))?;
        let byte = self.qos
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | self.retain_handling.min(3) << 4;
        let options = SubscriptionOptions::from_byte(Version::V5, byte)
            .map_err(|error| format!("{filter:?}: {error}"))?;
        Ok(AutoSubscription {
            filter: filter.clone(),
            options,
        })
    }
}

struct PreparedSubscriptions {
    subscriptions: Vec<AutoSubscription>,
    config: Value,
}

impl Plugin for AutoSubscriptionPlugin {
    fn name(&self) -> &'static str {
        "rmqtt-auto-subscription"
    }

    fn description(&self) -> &'static str {
        "Subscriptions that every client gets when it connects"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let subscriptions = settings.subscribes.iter().map(Item::read).collect();
        Ok(Box::new(PreparedSubscriptions {
            subscriptions: subscriptions_or_problem(subscriptions)?,
            config: json!(settings),
        }))
    }
}

fn subscriptions_or_problem(
    read: Result<Vec<AutoSubscription>, String>,
) -> Result<Vec<AutoSubscription>, String> {
    read.map_err(|problem| format!("subscribes: {problem}"))
}

impl Prepared for PreparedSubscriptions {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({"subscribes": self.subscriptions.len()})
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.auto_subscriptions = self.subscriptions.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(text: &str) -> Result<Vec<AutoSubscription>, String> {
        let mut extensions = Extensions::default();
        AutoSubscriptionPlugin
            .prepare(text)?
            .extend(&mut extensions);
        Ok(extensions.auto_subscriptions)
    }

    #[test]
    fn placeholders_are_the_clients_own_values() {
        let all =
            prepare("subscribes = [{ topic_filter = \"n/${clientid}/${username}/#\", qos = 1 }]");
        let all = all.expect("good settings");
        assert_eq!(all[0].options.qos, QoS::AtLeastOnce);
        let filter = |client, user| all[0].filter_for(client, user);
        assert_eq!(filter("c", Some("u")).as_deref(), Some("n/c/u/#"));
        assert_eq!(filter("c", None), None);
        assert_eq!(filter("#", Some("u")), None);
    }

    #[test]
    fn wrong_filters_and_options_are_refused() {
        for wrong in [
            "subscribes = [{ topic_filter = \"a/#/b\" }]",
            "subscribes = [{ topic_filter = \"a\", qos = 3 }]",
            "subscribes = [{ topic_filter = \"a\", retain_handling = 3 }]",
            "subscribes = [{ filter = \"a\" }]",
        ] {
            assert!(prepare(wrong).is_err(), "{wrong}");
        }
    }
}
