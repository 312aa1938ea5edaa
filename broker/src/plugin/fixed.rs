//! Plugins of RMQTT that are part of every node here: they are listed, and cannot be changed.

use super::{Extensions, Plugin, Prepared, file};
use serde::Deserialize;
use serde_json::{Value, json};

/// One of them.
pub(super) struct Fixed {
    name: &'static str,
    description: &'static str,
    attributes: Value,
}

impl Fixed {
    /// Counts what happens; `/metrics` and `/stats` show it.
    pub fn counter() -> Fixed {
        Fixed {
            name: "rmqtt-counter",
            description: "Counters and gauges of everything that happens",
            attributes: json!({}),
        }
    }

    /// The replicated table.
    pub fn cluster(members: &[String]) -> Fixed {
        Fixed {
            name: "rmqtt-cluster-raft",
            description: "Sessions, subscriptions, routes and retained messages replicated by Raft",
            attributes: json!({"members": members}),
        }
    }
}

/// It has no settings of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {}

struct PreparedFixed(Value);

impl Plugin for Fixed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn is_immutable(&self) -> bool {
        true
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let File {} = file::parse(text)?;
        Ok(Box::new(PreparedFixed(self.attributes.clone())))
    }
}

impl Prepared for PreparedFixed {
    fn config(&self) -> Value {
        self.0.clone()
    }

    fn attributes(&self) -> Value {
        self.0.clone()
    }

    fn extend(&self, _: &mut Extensions) {}
}
