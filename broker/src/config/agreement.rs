//! Settings that have to be the same on every node, so that a client finds the same broker whichever node
//! the load balancer sends it to, and so that the nodes' leases and elections fit together.

use std::collections::BTreeMap;

use super::settings::{Config, Setting};

/// Not in it: what belongs to a machine (addresses, directories, sizes of buffers), and secrets.
const KEYS: [&str; 22] = [
    "mqtt.max_packet_size",
    "mqtt.max_keep_alive",
    "mqtt.keep_alive_multiplier",
    "mqtt.max_inflight",
    "mqtt.max_queued_messages",
    "mqtt.session_expiry_default",
    "mqtt.max_session_expiry",
    "mqtt.max_topic_levels",
    "mqtt.max_subscriptions",
    "mqtt.max_qos",
    "mqtt.retain_available",
    "mqtt.delayed_publish",
    "mqtt.max_delayed_messages",
    "mqtt.proxy_protocol",
    "mqtt.allow_anonymous",
    "http.max_row_limit",
    "cluster.heartbeat",
    "cluster.election_min",
    "cluster.election_max",
    "cluster.lease",
    "cluster.partition_policy",
    "cluster.partition_grace",
];

impl Config {
    /// The settings that have to be the same on every node, by name, as they would be written in the file.
    pub fn shared_settings(&self) -> BTreeMap<String, String> {
        let mut config = self.clone();
        let shown = |key: &str| {
            let setting = Setting::find(key)?;
            let value = (setting.slot)(&mut config).show();
            Some((key.to_owned(), value.unwrap_or_default()))
        };
        KEYS.into_iter().filter_map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_in_the_list_exists_and_is_no_secret() {
        for key in KEYS {
            let setting = Setting::find(key).unwrap_or_else(|| panic!("no setting {key}"));
            let kind = (setting.slot)(&mut Config::default()).kind();
            assert!(!kind.contains("secret"), "{key}");
        }
        assert_eq!(Config::default().shared_settings().len(), KEYS.len());
    }

    #[test]
    fn a_changed_setting_shows() {
        let mut config = Config::default();
        let before = config.shared_settings();
        config.mqtt.max_qos = 1;
        let after = config.shared_settings();
        assert_eq!(
            (&*before["mqtt.max_qos"], &*after["mqtt.max_qos"]),
            ("2", "1")
        );
    }
}
