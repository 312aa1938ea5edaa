//! Which events go where.

use super::settings::Method;
use crate::{
    events::{Interest, Notice, NoticeKind},
    plugin::outgoing,
};
use raftmq_mqtt::topic;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// One rule.
pub(super) struct Rule {
    /// What the body calls the event.
    pub action: String,
    /// Topic filters; absent: any topic.
    pub topics: Option<Vec<String>>,
    pub targets: Vec<Target>,
}

/// Where events are sent, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub url: Arc<str>,
    pub method: Method,
}

/// All rules.
#[derive(Default)]
pub(super) struct RuleSet {
    by_kind: BTreeMap<NoticeKind, Vec<Rule>>,
    interest: Interest,
}

impl Rule {
    fn applies(&self, notice: &Notice) -> bool {
        let Some(filters) = &self.topics else {
            return true;
        };
        let matches = |name| filters.iter().any(|filter| topic::matches(filter, name));
        notice.topic().is_some_and(matches)
    }
}

impl RuleSet {
    /// Adds a rule behind those of its kind.
    pub fn add(&mut self, kind: NoticeKind, rule: Rule) {
        self.interest.add(kind, rule.topics.as_deref());
        self.by_kind.entry(kind).or_default().push(rule);
    }

    /// What has to be told for them.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The rules of one kind, in their order.
    pub fn of(&self, kind: NoticeKind) -> &[Rule] {
        self.by_kind.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The rules that apply to a notice, in their order.
    pub fn applying<'r>(&'r self, notice: &'r Notice) -> impl Iterator<Item = &'r Rule> {
        let rules = self.of(notice.kind()).iter();
        rules.filter(|rule| rule.applies(notice))
    }

    /// All places that events may be sent to.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.by_kind
            .values()
            .flatten()
            .flat_map(|rule| &rule.targets)
    }

    /// Number of the rules.
    pub fn len(&self) -> usize {
        self.by_kind.values().map(Vec::len).sum()
    }

    /// As the plugin's settings show them.
    pub fn shown(&self) -> Value {
        let one = |rule: &Rule| {
            let urls: Vec<_> = rule
                .targets
                .iter()
                .map(|t| outgoing::shown_url(&t.url))
                .collect();
            json!({"action": rule.action, "topics": rule.topics, "urls": urls})
        };
        let all = self.by_kind.iter();
        all.map(|(kind, rules)| (kind.as_str(), rules.iter().map(one).collect::<Vec<_>>()))
            .map(|(name, rules)| (name.to_owned(), json!(rules)))
            .collect()
    }
}
