//! The shapes of [`Metrics`] and [`Stats`] as they are written: every name, each a count.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{Metric, Metrics, Stat, Stats};

fn counts(named: impl Iterator<Item = (String, String)>) -> Schema {
    let count = |(name, description)| {
        let schema = json!({"type": "integer", "minimum": 0, "description": description});
        (name, schema)
    };
    let properties: Map<String, Value> = named.map(count).collect();
    let required: Vec<_> = properties.keys().cloned().collect();
    json_schema!({"type": "object", "properties": properties, "required": required})
}

impl JsonSchema for Metrics {
    fn schema_name() -> Cow<'static, str> {
        "Metrics".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let named = |metric: &Metric| (metric.name().into(), metric.meaning().trim().into());
        counts(Metric::ALL.iter().map(named))
    }
}

impl JsonSchema for Stats {
    fn schema_name() -> Cow<'static, str> {
        "Stats".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let named = Stat::ALL.iter().flat_map(|stat| {
            let meaning = stat.meaning().trim();
            stat.names().flat_map(move |name| {
                let highest = format!("{meaning} The highest value since the node started.");
                [
                    (format!("{name}.count"), meaning.to_owned()),
                    (format!("{name}.max"), highest),
                ]
            })
        });
        counts(named)
    }
}
