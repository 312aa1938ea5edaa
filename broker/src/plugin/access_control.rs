//! `rmqtt-acl`: who may publish and subscribe to what, by rules in a file.
//!
//! ```toml
//! disconnect_if_pub_rejected = false
//! rules = [
//!     ["allow", { user = "admin" }],
//!     ["allow", { ipaddr = "10.0.0.0/8", clientid = "gateway" }, "pubsub", ["sensors/#"]],
//!     ["allow", "all", "publish", ["of/%u/%c/#"]],
//!     ["deny", "all", "subscribe", ["$SYS/#", { eq = "#" }]],
//!     ["allow", "all"],
//! ]
//! ```

use super::{
    AccessRules, Extensions, Plugin, Prepared,
    access::{Action, Permission, Rule, Subject, TopicPattern},
    file,
};
use ipnet::IpNet;
use raftmq_mqtt::topic;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;

pub(super) struct AccessControl;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    disconnect_if_pub_rejected: bool,
    rules: Vec<Vec<toml::Spanned<toml::Value>>>,
}

struct PreparedRules {
    rules: AccessRules,
    config: Value,
}

impl Plugin for AccessControl {
    fn name(&self) -> &'static str {
        "rmqtt-acl"
    }

    fn description(&self) -> &'static str {
        "Access rules for PUBLISH and SUBSCRIBE, by user, client, address and topic"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let mut rules = Vec::new();
        let mut shown = Vec::new();
        for parts in &settings.rules {
            let line = parts
                .first()
                .map_or(1, |part| file::line_of(text, part.span().start));
            let values: Vec<_> = parts.iter().map(toml::Spanned::get_ref).collect();
            rules.push(rule(&values).map_err(|problem| format!("line {line}: {problem}"))?);
            shown.push(json!(values));
        }
        let disconnects_publishers = settings.disconnect_if_pub_rejected;
        Ok(Box::new(PreparedRules {
            rules: AccessRules {
                rules,
                disconnects_publishers,
            },
            config: json!({"disconnect_if_pub_rejected": disconnects_publishers, "rules": shown}),
        }))
    }
}

impl Prepared for PreparedRules {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({"rules": self.rules.rules.len()})
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.access = Some(self.rules.clone());
    }
}

fn rule(parts: &[&toml::Value]) -> Result<Rule, String> {
    let (permission, subject, action, topics) = match parts {
        [permission, subject] => (permission, subject, None, None),
        [permission, subject, action] => (permission, subject, Some(action), None),
        [permission, subject, action, topics] => (permission, subject, Some(action), Some(topics)),
        _ => {
            return Err(
                "a rule is [\"allow\" or \"deny\", whom, what, [topics]]; the last two may be left out"
                    .to_owned(),
            );
        }
    };
    Ok(Rule {
        permission: match permission.as_str() {
            Some("allow") => Permission::Allow,
            Some("deny") => Permission::Deny,
            _ => {
                return Err(format!(
                    "{} is neither \"allow\" nor \"deny\"",
                    json!(permission)
                ));
            }
        },
        subject: subject_of(subject)?,
        action: match action.map(|action| action.as_str()) {
            None | Some(Some("pubsub" | "all")) => Action::Both,
            Some(Some("publish")) => Action::Publish,
            Some(Some("subscribe")) => Action::Subscribe,
            _ => return Err("what is allowed is \"publish\", \"subscribe\" or \"pubsub\"".into()),
        },
        topics: topics.map_or(Ok(Vec::new()), |topics| patterns(topics))?,
    })
}

fn subject_of(value: &toml::Value) -> Result<Subject, String> {
    if value.as_str() == Some("all") {
        return Ok(Subject::default());
    }
    let wrong = || {
        "whom is \"all\" or a table of user, clientid and ipaddr, for example { user = \"admin\" }"
            .to_owned()
    };
    let table = value.as_table().ok_or_else(wrong)?;
    let mut subject = Subject::default();
    for (name, value) in table {
        let text = value.as_str().ok_or_else(wrong)?;
        match name.as_str() {
            "user" | "username" => subject.user_name = Some(text.to_owned()),
            "clientid" => subject.client_id = Some(text.to_owned()),
            "ipaddr" => subject.network = Some(network(text)?),
            _ => return Err(wrong()),
        }
    }
    if subject == Subject::default() {
        return Err(wrong());
    }
    Ok(subject)
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok();
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    network
        .or_else(one)
        .ok_or_else(|| format!("{text:?} is neither an IP address nor a network"))
}

fn patterns(value: &toml::Value) -> Result<Vec<TopicPattern>, String> {
    let list = value
        .as_array()
        .ok_or("topics are a list, for example [\"a/#\"]")?;
    list.iter().map(pattern).collect()
}

fn pattern(value: &toml::Value) -> Result<TopicPattern, String> {
    let equal = value.get("eq").and_then(|eq| eq.as_str());
    let text = equal.or_else(|| value.as_str()).ok_or_else(|| {
        format!(
            "{} is no topic; write \"a/#\" or {{ eq = \"a/#\" }}",
            json!(value)
        )
    })?;
    topic::validate_filter(text).map_err(|error| format!("{text:?}: {error}"))?;
    Ok(match equal {
        Some(text) => TopicPattern::Equal(text.to_owned()),
        None => TopicPattern::Filter(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Access, Verdict, Who};

    fn prepare(text: &str) -> Result<AccessRules, String> {
        let prepared = AccessControl.prepare(text)?;
        let mut extensions = Extensions::default();
        prepared.extend(&mut extensions);
        Ok(extensions.access.expect("it sets the rules"))
    }

    #[test]
    fn the_rules_of_an_rmqtt_user_are_understood() {
        let rules = prepare(
            r##"
            disconnect_if_pub_rejected = true
            rules = [
                ["allow", { user = "dashboard" }, "subscribe", ["$SYS/#"]],
                ["allow", { ipaddr = "127.0.0.1" }, "pubsub", ["$SYS/#", "#"]],
                ["deny", "all", "subscribe", ["$SYS/#", { eq = "#" }]],
                ["allow", "all"]
            ]"##,
        )
        .expect("good rules");
        assert!(rules.disconnects_publishers);
        let who = |user_name, ip: &str| Who {
            client_id: "c",
            user_name,
            ip: ip.parse().expect("an address"),
        };
        for (user, ip, filter, expected) in [
            (Some("dashboard"), "10.0.0.1", "$SYS/#", Verdict::Allowed),
            (None, "127.0.0.1", "#", Verdict::Allowed),
            (None, "10.0.0.1", "#", Verdict::Denied),
            (None, "10.0.0.1", "$SYS/brokers", Verdict::Denied),
            (None, "10.0.0.1", "a/#", Verdict::Allowed),
        ] {
            let verdict = rules.verdict(&who(user, ip), Access::Subscribe(filter));
            assert_eq!(verdict, expected, "{user:?} {ip} {filter}");
        }
    }

    #[test]
    fn a_wrong_rule_is_told_with_its_line() {
        for (wrong, word) in [
            (r#"["permit", "all"]"#, "neither"),
            (r#"["allow"]"#, "a rule is"),
            (r#"["allow", "everybody"]"#, "whom"),
            (r#"["allow", { usr = "x" }]"#, "whom"),
            (r#"["allow", { ipaddr = "x" }]"#, "network"),
            (r#"["allow", "all", "read"]"#, "publish"),
            (r##"["allow", "all", "publish", ["a/#/b"]]"##, "a/#/b"),
            (r#"["allow", "all", "publish", "a"]"#, "list"),
        ] {
            let text = format!("rules = [\n  [\"allow\", \"all\"],\n  {wrong},\n]");
            let problem = prepare(&text).expect_err(wrong);
            assert!(problem.starts_with("line 3: "), "{problem}");
            assert!(problem.contains(word), "{problem}");
        }
    }
}
