//! Access rules that come with one client: in the claims of its token, or in the answer of the server
//! that was asked about it.
//!
//! ```json
//! [{"permission": "allow", "action": "publish", "topic": "of/${clientid}/#"},
//!  {"permission": "deny", "action": "all", "topic": "eq #"}]
//! ```
//!
//! Who wrote the rules means every word of them. So a rule that cannot be kept to the letter (RMQTT
//! also knows `qos` and `retain` in it) is not made wider or left out: all of them are refused.

use super::access::{Action, Permission, Rule, Subject, TopicPattern};
use raftmq_mqtt::topic;
use serde::Deserialize;
use serde_json::Value;

/// Rules of one client; each of its publishes is held against all of them.
const RULES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    permission: Permitted,
    #[serde(default)]
    action: Acted,
    topic: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Permitted {
    Allow,
    Deny,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Acted {
    Publish,
    Subscribe,
    #[default]
    All,
}

/// Reads such a list.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(acl: &Value) -> Result<Vec<Rule>, String> {
    let items = Vec::<Item>::deserialize(acl).map_err(|error| error.to_string())?;
    if items.len() > RULES_MAX {
        let count = items.len();
        return Err(format!("{count} rules, at most {RULES_MAX} are taken"));
    }
    items.iter().map(Item::rule).collect()
}

impl Item {
    fn rule(&self) -> Result<Rule, String> {
        Ok(Rule {
            permission: match self.permission {
                Permitted::Allow => Permission::Allow,
                Permitted::Deny => Permission::Deny,
            },
            subject: Subject::default(),
            action: match self.action {
                Acted::Publish => Action::Publish,
                Acted::Subscribe => Action::Subscribe,
                Acted::All => Action::Both,
            },
            topics: vec![pattern(&self.topic)?],
        })
    }
}

fn pattern(text: &str) -> Result<TopicPattern, String> {
    let placed = text.replace("${clientid}", "%c");
    let placed = placed.replace("${username}", "%u");
    let (filter, is_exact) = match placed.strip_prefix("eq ") {
        Some(filter) => (filter.to_owned(), true),
        None => (placed, false),
    };
    topic::validate_filter(&filter).map_err(|error| format!("{text:?}: {error}"))?;
    Ok(if is_exact {
        TopicPattern::Equal(filter)
    } else {
        TopicPattern::Filter(filter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Access, AccessRules, Verdict, Who};
    use serde_json::json;

    #[test]
    fn rules_hold_in_their_order_with_the_clients_own_values() {
        let rules = AccessRules {
            rules: read(&json!([
                {"permission": "allow", "action": "publish", "topic": "of/${clientid}/#"},
                {"permission": "allow", "action": "subscribe", "topic": "of/%u/+"},
                {"permission": "deny", "topic": "eq #"},
                {"permission": "deny", "action": "all", "topic": "of/#"},
            ]))
            .expect("good rules"),
            ..AccessRules::default()
        };
        let who = Who {
            client_id: "c",
            user_name: Some("u"),
            ip: [10, 0, 0, 1].into(),
        };
        for (access, expected) in [
            (Access::Publish("of/c/x"), Verdict::Allowed),
            (Access::Publish("of/u/x"), Verdict::Denied),
            (Access::Subscribe("of/u/x"), Verdict::Allowed),
            (Access::Subscribe("of/c/x"), Verdict::Denied),
            (Access::Subscribe("#"), Verdict::Denied),
            (Access::Subscribe("else/#"), Verdict::Silent),
        ] {
            assert_eq!(rules.verdict(&who, access), expected, "{access:?}");
        }
    }

    #[test]
    fn rules_that_cannot_be_kept_to_the_letter_are_refused() {
        for wrong in [
            json!("all"),
            json!([{"permission": "allow"}]),
            json!([{"permission": "maybe", "topic": "a"}]),
            json!([{"permission": "allow", "action": "read", "topic": "a"}]),
            json!([{"permission": "allow", "topic": "a/#/b"}]),
            json!([{"permission": "allow", "topic": "a", "qos": [1]}]),
            json!([{"permission": "deny", "topic": "a", "retain": true}]),
            json!(vec![
                json!({"permission": "allow", "topic": "a"});
                RULES_MAX + 1
            ]),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
