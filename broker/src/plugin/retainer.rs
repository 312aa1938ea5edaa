//! `rmqtt-retainer`: whether messages are retained, and how many, how large and for how long.
//!
//! ```toml
//! max_retained_messages = 0      # in the whole cluster; 0: no limit
//! max_payload_size = "1MB"       # "0": no limit but that of a log entry
//! retained_message_ttl = "0s"    # "0s": no limit but the message's own
//! ```

use super::{Extensions, Plugin, Prepared, RetainLimits, file};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) struct Retainer;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    max_retained_messages: u64,
    max_payload_size: String,
    retained_message_ttl: String,
}

impl Default for File {
    fn default() -> Self {
        Self {
            max_retained_messages: 0,
            max_payload_size: "0".into(),
            retained_message_ttl: "0s".into(),
        }
    }
}

struct PreparedLimits {
    limits: RetainLimits,
    config: Value,
}

impl Plugin for Retainer {
    fn name(&self) -> &'static str {
        "rmqtt-retainer"
    }

    fn description(&self) -> &'static str {
        "Retained messages, with limits of count, size and age"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let payload = file::bytes(&settings.max_payload_size)
            .map_err(|problem| format!("max_payload_size: {problem}"))?;
        let age = file::duration(&settings.retained_message_ttl)
            .map_err(|problem| format!("retained_message_ttl: {problem}"))?;
        let limits = RetainLimits {
            messages_max: Some(settings.max_retained_messages).filter(|max| *max > 0),
            payload_bytes_max: Some(payload).filter(|max| *max > 0),
            age_max: Some(age).filter(|age| !age.is_zero()),
        };
        Ok(Box::new(PreparedLimits {
            limits,
            config: json!(settings),
        }))
    }
}

impl Prepared for PreparedLimits {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.retain = Some(self.limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn zero_means_no_limit() {
        let mut extensions = Extensions::default();
        let prepared = Retainer.prepare("").expect("an empty file is good");
        prepared.extend(&mut extensions);
        let none = RetainLimits {
            messages_max: None,
            payload_bytes_max: None,
            age_max: None,
        };
        assert_eq!(extensions.retain, Some(none));
    }

    #[test]
    fn limits_are_read_with_their_units() {
        let mut extensions = Extensions::default();
        let text =
            "max_retained_messages = 5\nmax_payload_size = \"1KB\"\nretained_message_ttl = \"1m\"";
        let prepared = Retainer.prepare(text).expect("good settings");
        prepared.extend(&mut extensions);
        let limits = extensions.retain.expect("limits");
        assert_eq!(limits.messages_max, Some(5));
        assert_eq!(limits.payload_bytes_max, Some(1024));
        assert_eq!(limits.age_max, Some(Duration::from_secs(60)));
        assert!(Retainer.prepare("max_payload_size = \"much\"").is_err());
    }
}
