//! Whether single values of the files are QoS, topic filters, and names with placeholders.

use raftmq_mqtt::{
    codec::QoS,
    topic::{self, SharedFilter},
};

/// Reads a QoS.
pub(super) fn qos(name: &str, number: u8) -> Result<QoS, String> {
    QoS::from_number(number).ok_or_else(|| format!("{name} is out of range: 0 to 2"))
}

pub(super) fn checked_filter(name: &str, filter: &str) -> Result<String, String> {
    SharedFilter::parse(filter).map_err(|error| format!("{name}: {filter:?}: {error}"))?;
    Ok(filter.to_owned())
}

/// With anything in the placeholder's place it has to be a topic name.
pub(super) fn check_topic(name: &str, template: &str, placeholder: &str) -> Result<(), String> {
    let example = template.replace(placeholder, "a");
    if example.contains("${") {
        return Err(format!("{name}: {placeholder} is the only placeholder"));
    }
    topic::validate_name(&example).map_err(|error| format!("{name}: {template:?}: {error}"))
}
