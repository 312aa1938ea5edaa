//! `rmqtt-topic-rewrite`: other topics in the place of those that clients name.
//!
//! ```toml
//! rules = [
//!     { action = "all", source_topic_filter = "x/+/#", dest_topic = "xx/$1/$2", regex = "^x/(.+?)/(.+)$" },
//!     { action = "publish", source_topic_filter = "own/#", dest_topic = "of/%c" },
//! ]
//! ```

use super::{
    Extensions, Plugin, Prepared, file,
    rewrite::{RewriteRule, RewriteRules, Rewritten},
};
use raftmq_mqtt::topic;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) struct TopicRewrite;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    rules: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    action: String,
    source_topic_filter: String,
    dest_topic: String,
    #[serde(default)]
    regex: Option<String>,
}

impl Item {
    fn read(&self) -> Result<RewriteRule, String> {
        let filter = &self.source_topic_filter;
        topic::validate_filter(filter).map_err(|error| format!("{filter:?}: {error}"))?;
        let expression = self.regex.as_deref().filter(|text| !text.is_empty());
        let expression = expression
            .map(Regex::new)
            .transpose()
            .map_err(|error| format!("regex of {filter:?}: {error}"))?;
        Ok(RewriteRule {
            action: match self.action.as_str() {
                "publish" => Rewritten::Publish,
                "subscribe" => Rewritten::Subscribe,
                "all" => Rewritten::All,
                other => {
                    return Err(format!(
                        "action {other:?} is none of \"publish\", \"subscribe\" and \"all\""
                    ));
                }
            },
            source_filter: filter.clone(),
            expression,
            target: self.dest_topic.clone(),
        })
    }
}

struct PreparedRules {
    rules: RewriteRules,
    config: Value,
}

impl Plugin for TopicRewrite {
    fn name(&self) -> &'static str {
        "rmqtt-topic-rewrite"
    }

    fn description(&self) -> &'static str {
        "Other topics in the place of those that clients name"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let rules: Result<Vec<_>, String> = settings.rules.iter().map(Item::read).collect();
        let rules = rules.map_err(|problem| format!("rules: {problem}"))?;
        Ok(Box::new(PreparedRules {
            rules: RewriteRules(rules),
            config: json!(settings),
        }))
    }
}

impl Prepared for PreparedRules {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({"rules": self.rules.0.len()})
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.rewrite = Some(self.rules.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_rules_are_refused() {
        for wrong in [
            "rules = [{ action = \"read\", source_topic_filter = \"a\", dest_topic = \"b\" }]",
            "rules = [{ action = \"all\", source_topic_filter = \"a/#/b\", dest_topic = \"b\" }]",
            "rules = [{ action = \"all\", source_topic_filter = \"a\", dest_topic = \"b\", regex = \"(\" }]",
            "rules = [{ action = \"all\" }]",
        ] {
            assert!(TopicRewrite.prepare(wrong).is_err(), "{wrong}");
        }
    }
}
