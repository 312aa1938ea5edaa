//! What in an answer depends on the moment or the machine, and what stands for it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::fixed_world::FixedWorld;

const LOCAL: &str = "%Y-%m-%d %H:%M:%S";

/// Most time between two readings of the clock in one test.
const MOMENT_MS: u64 = 60_000;

/// The answer with all rules applied.
pub fn applied(value: Value, world: &FixedWorld) -> Value {
    match value {
        Value::Object(object) => Value::Object(in_object(object, world)),
        Value::Array(items) => items.into_iter().map(|item| applied(item, world)).collect(),
        Value::String(text) => in_text(&text, world).into(),
        other => other,
    }
}

fn in_object(mut object: Map<String, Value>, world: &FixedWorld) -> Map<String, Value> {
    // The document has tests of its own; here it is the list of what it describes.
    if object.contains_key("openapi") {
        object["components"] = "<shapes>".into();
        let paths = object["paths"].as_object_mut().unwrap();
        for item in paths.values_mut() {
            let methods = item.as_object_mut().unwrap().iter_mut();
            methods.for_each(|(_, operation)| *operation = operation["operationId"].take());
        }
        return object;
    }
    // The span of a history ends now.
    if let (Some(from), Some(to)) = (number(&object, "from"), number(&object, "to")) {
        assert!(to.abs_diff(world.started_ms) < MOMENT_MS, "{to} is not now");
        object.insert("from".into(), format!("<now - {} ms>", to - from).into());
        object.insert("to".into(), "<now>".into());
    }
    // A message that expires was retained when the world began.
    if let Some(left) = number(&object, "remaining_ttl") {
        assert!(left.abs_diff(u64::from(FixedWorld::LIFETIME_S)) * 1_000 < MOMENT_MS);
        object.insert("remaining_ttl".into(), "<seconds left>".into());
    }
    if number(&object, "create_time") == Some(world.started_ms) {
        object.insert("create_time".into(), "<start>".into());
    }
    let pairs = object.into_iter();
    pairs
        .map(|(name, value)| (name, applied(value, world)))
        .collect()
}

fn number(object: &Map<String, Value>, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

fn in_text(text: &str, world: &FixedWorld) -> String {
    // Local time is that of the machine.
    if let Ok(time) = DateTime::strptime(LOCAL, text) {
        let time = time.to_zoned(TimeZone::system()).unwrap();
        let utc = time.with_time_zone(TimeZone::UTC);
        return utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    }
    // A ban was ordered when it was asked for.
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        let ms = u64::try_from(time.as_millisecond()).unwrap();
        if ms.abs_diff(world.started_ms) < MOMENT_MS {
            return "<now>".to_owned();
        }
    }
    // Peers listen on ports that the system chooses.
    let mut text = text.to_owned();
    for (id, address) in &world.addresses {
        text = text.replace(address, &format!("n{id}:7000"));
    }
    // Why a node cannot be reached is said by the system.
    match text.find("node 3 at n3:7000: ") {
        Some(at) => text[..at].to_owned() + "node 3 at n3:7000: <why>",
        None => text,
    }
}
