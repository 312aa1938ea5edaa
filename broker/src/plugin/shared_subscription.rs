//! `rmqtt-shared-subscription`: how a member of a share group is chosen.
//!
//! ```toml
//! strategy = "round_robin"   # random, round_robin, local_first, sticky, hash_clientid, hash_topic
//! ```

use super::{Extensions, Plugin, Prepared, file};
use crate::router::ShareStrategy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) struct SharedSubscription;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    strategy: ShareStrategy,
}

impl Plugin for SharedSubscription {
    fn name(&self) -> &'static str {
        "rmqtt-shared-subscription"
    }

    fn description(&self) -> &'static str {
        "How the member of a share group that gets a message is chosen"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        Ok(Box::new(settings))
    }
}

impl Prepared for File {
    fn config(&self) -> Value {
        json!(self)
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.share_strategy = self.strategy;
    }
}
