//! `rmqtt-sys-topic.toml`.

use crate::plugin::file;
use raftmq_mqtt::codec::QoS;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    publish_qos: toml::Spanned<u8>,
    publish_interval: toml::Spanned<String>,
    message_retain_available: bool,
    message_expiry_interval: toml::Spanned<String>,
    /// Of RMQTT's file; it means nothing here.
    message_storage_available: Option<bool>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            publish_qos: toml::Spanned::new(0..0, 1),
            publish_interval: toml::Spanned::new(0..0, "1m".into()),
            message_retain_available: false,
            message_expiry_interval: toml::Spanned::new(0..0, "5m".into()),
            message_storage_available: None,
        }
    }
}

/// What the file says, found good.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub qos: QoS,
    pub interval: Duration,
    /// Whether a node's state is retained; what happens to a client never is.
    pub retain: bool,
    /// Seconds; `None`: messages do not expire.
    pub expiry_seconds: Option<u32>,
    pub shown: Value,
}

/// Between two tellings of a node's state.
const INTERVAL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

impl Settings {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn read(text: &str) -> Result<Settings, String> {
        let file: File = file::parse(text)?;
        let at = |place: usize| file::line_of(text, place);
        let qos = QoS::from_number(*file.publish_qos.get_ref());
        let qos = qos.ok_or_else(|| {
            let line = at(file.publish_qos.span().start);
            format!("line {line}: publish_qos is out of range: 0 to 2")
        })?;
        let duration = |name: &str, written: &toml::Spanned<String>| {
            let line = at(written.span().start);
            file::duration(written.get_ref()).map_err(|p| format!("line {line}: {name}: {p}"))
        };
        let interval = duration("publish_interval", &file.publish_interval)?;
        if !INTERVAL.contains(&interval) {
            let line = at(file.publish_interval.span().start);
            return Err(format!(
                "line {line}: publish_interval is out of range: 1s to 1d"
            ));
        }
        let expiry = duration("message_expiry_interval", &file.message_expiry_interval)?;
        let expiry_seconds = u32::try_from(expiry.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
        Ok(Settings {
            qos,
            interval,
            retain: file.message_retain_available,
            expiry_seconds: (expiry_seconds > 0).then_some(expiry_seconds),
            shown: json!({
                "publish_qos": file.publish_qos.get_ref(),
                "publish_interval": file.publish_interval.get_ref(),
                "message_retain_available": file.message_retain_available,
                "message_expiry_interval": file.message_expiry_interval.get_ref(),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rmqtt_is_accepted_unchanged() {
        let text = "publish_qos = 2\npublish_interval = '10s'\nmessage_retain_available = true\n\
                    message_storage_available = false\nmessage_expiry_interval = '0s'";
        let settings = Settings::read(text).expect("good settings");
        assert_eq!(settings.qos, QoS::ExactlyOnce);
        assert_eq!(settings.interval, Duration::from_secs(10));
        assert!(settings.retain && settings.expiry_seconds.is_none());
        let default = Settings::read("").expect("an empty file is good");
        assert_eq!((default.qos, default.retain), (QoS::AtLeastOnce, false));
        assert_eq!(default.expiry_seconds, Some(300));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, line) in [
            ("\npublish_qos = 3", 2),
            ("publish_qos = 1\npublish_interval = '10ms'", 2),
            ("publish_interval = 'often'", 1),
            ("\n\nmessage_expiry_interval = 'soon'", 3),
            ("publish_qos = 1\npublish_interv = '1m'", 2),
        ] {
            let problem = Settings::read(text).expect_err(text);
            assert!(problem.starts_with(&format!("line {line}: ")), "{problem}");
        }
    }
}
