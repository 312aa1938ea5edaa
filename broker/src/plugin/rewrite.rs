//! Topic rewriting: another topic in the place of the one that a client names.
//!
//! The last rule that applies wins, as in RMQTT. What a client puts into a topic can only fill in parts
//! of the topic that the operator has written; a result that is no valid topic is not used.

use raftmq_mqtt::topic;
use regex::Regex;

/// What a rule rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewritten {
    /// Topic names of PUBLISH.
    Publish,
    /// Topic filters of SUBSCRIBE and UNSUBSCRIBE.
    Subscribe,
    /// Both.
    All,
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct RewriteRule {
    pub action: Rewritten,
    /// Only topics that this filter matches; `%c` and `%u` stand for client and user.
    pub source_filter: String,
    /// Only topics that this expression matches; its groups are `$1`, `$2`, ... of `target`.
    pub expression: Option<Regex>,
    /// The new topic.
    pub target: String,
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct RewriteRules(pub Vec<RewriteRule>);

impl RewriteRules {
    /// The topic name in the place of that of a PUBLISH; `None`: it stays.
    pub fn name(&self, name: &str, client_id: &str, user_name: Option<&str>) -> Option<String> {
        let rewritten = self.apply(Rewritten::Publish, name, client_id, user_name)?;
        topic::validate_name(&rewritten).ok()?;
        Some(rewritten)
    }

    /// The topic filter in the place of that of a SUBSCRIBE or UNSUBSCRIBE, both without
    /// `$share/<group>/`; `None`: it stays.
    pub fn filter(&self, filter: &str, client_id: &str, user_name: Option<&str>) -> Option<String> {
        let rewritten = self.apply(Rewritten::Subscribe, filter, client_id, user_name)?;
        topic::validate_filter(&rewritten).ok()?;
        Some(rewritten)
    }

    fn apply(
        &self,
        action: Rewritten,
        topic: &str,
        client_id: &str,
        user_name: Option<&str>,
    ) -> Option<String> {
        let concerned =
            |rule: &&RewriteRule| rule.action == action || rule.action == Rewritten::All;
        let rules = self.0.iter().rev().filter(concerned);
        rules
            .filter_map(|rule| rule.apply(topic, client_id, user_name))
            .next()
    }
}

impl RewriteRule {
    fn apply(&self, topic: &str, client_id: &str, user_name: Option<&str>) -> Option<String> {
        let source = placed(&self.source_filter, client_id, user_name)?;
        // A filter is rewritten when all of it is concerned.
        if !topic::covers(&source, topic) {
            return None;
        }
        let target = placed(&self.target, client_id, user_name)?;
        let Some(expression) = &self.expression else {
            return Some(target);
        };
        let captures = expression.captures(topic)?;
        let mut rewritten = String::new();
        captures.expand(&target, &mut rewritten);
        Some(rewritten)
    }
}

fn placed(text: &str, client_id: &str, user_name: Option<&str>) -> Option<String> {
    let mut filled = text.to_owned();
    for (placeholder, value) in [("%c", Some(client_id)), ("%u", user_name)] {
        if filled.contains(placeholder) {
            // "$" has a meaning in the target, the others in filters.
            let value = value.filter(|value| !value.contains(['/', '+', '#', '$']))?;
            filled = filled.replace(placeholder, value);
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(source: &str, expression: &str, target: &str) -> RewriteRule {
        RewriteRule {
            action: Rewritten::All,
            source_filter: source.into(),
            expression: Some(Regex::new(expression).expect("an expression")),
            target: target.into(),
        }
    }

    #[test]
    fn groups_of_the_expression_are_filled_in() {
        let rules = RewriteRules(vec![rule("x/#", "^x/(.+)/(.+)$", "xx/$2/$1")]);
        assert_eq!(rules.name("x/a/b", "c", None).as_deref(), Some("xx/b/a"));
        assert_eq!(rules.name("x/a", "c", None), None);
        assert_eq!(rules.name("y/a/b", "c", None), None);
        assert_eq!(rules.filter("x/a/+", "c", None).as_deref(), Some("xx/+/a"));
    }

    #[test]
    fn the_last_rule_that_applies_wins() {
        let rules = RewriteRules(vec![
            rule("x/#", "^x/(.+)$", "first/$1"),
            rule("x/y/#", "^x/y/(.+)$", "second/$1"),
        ]);
        assert_eq!(rules.name("x/y/z", "c", None).as_deref(), Some("second/z"));
        assert_eq!(rules.name("x/z", "c", None).as_deref(), Some("first/z"));
    }

    #[test]
    fn placeholders_are_the_clients_own_values_and_nothing_more() {
        let mut with_client = rule("own/#", "^own/(.+)$", "of/%c/$1");
        with_client.action = Rewritten::Publish;
        let rules = RewriteRules(vec![with_client]);
        assert_eq!(rules.name("own/t", "c", None).as_deref(), Some("of/c/t"));
        assert_eq!(rules.name("own/t", "a/b", None), None);
        assert_eq!(rules.name("own/t", "$1", None), None);
        assert_eq!(rules.filter("own/t", "c", None), None, "publish only");
    }

    #[test]
    fn a_result_that_is_no_topic_is_not_used() {
        let rules = RewriteRules(vec![rule("x/#", "^x/(.*)$", "a/#/$1")]);
        assert_eq!(rules.name("x/y", "c", None), None);
        assert_eq!(rules.filter("x/y", "c", None), None);
    }
}
