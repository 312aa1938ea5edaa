//! Access rules: the first rule that speaks of a client, an action and a topic decides.
//!
//! A PUBLISH names one topic. A SUBSCRIBE asks for all topics that its filter can match, so it is judged
//! by them: an allowing rule has to cover the whole filter, a denying one needs only to overlap with it.
//! Else `+/#` would be a way around a rule that protects `secret/#`.

use super::placeholder;
use ipnet::IpNet;
use raftmq_mqtt::topic;
use std::net::IpAddr;

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access<'a> {
    /// To this topic name.
    Publish(&'a str),
    /// To this topic filter, without `$share/<group>/`.
    Subscribe(&'a str),
}

impl Access<'_> {
    /// Whether it would speak in the broker's own name: a PUBLISH to a `$SYS` topic.
    pub fn is_to_system(self) -> bool {
        matches!(self, Access::Publish(topic)
            if topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// Who wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub client_id: &'a str,
    /// User name; absent: none given.
    pub user_name: Option<&'a str>,
    pub ip: IpAddr,
}

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// No rule speaks of it.
    Silent,
}

/// A list of rules, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessRules {
    pub rules: Vec<Rule>,
    /// Whether a client whose PUBLISH is denied is disconnected; else it is told, where its version of
    /// MQTT has words for that.
    pub disconnects_publishers: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub permission: Permission,
    pub subject: Subject,
    pub action: Action,
    /// Empty: every topic.
    pub topics: Vec<TopicPattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    Allow,
    Deny,
}

/// Whom a rule speaks of: all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub user_name: Option<String>,
    pub client_id: Option<String>,
    pub network: Option<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
    Both,
}

/// Topics of a rule; `%c` in them stands for the client identifier, `%u` for the user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicPattern {
    /// Names that the filter matches.
    Filter(String),
    /// Exactly this name or filter, wildcards included.
    Equal(String),
}

/// Whose rules decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RulesOf {
    /// They came with the client's authentication.
    Client,
    /// The node's own (`rmqtt-acl`).
    Node,
}

/// Why something is allowed or denied, for people who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// No rule holds for the client.
    Superuser,
    /// No rule speaks of it, so it is allowed.
    Unspoken,
    /// No rule speaks of it, and only the broker publishes there by itself (§4.7.2).
    Reserved,
    /// A rule decides.
    Rule {
        permission: Permission,
        /// From 1, in the order of its list.
        number: usize,
        of: RulesOf,
    },
}

impl Judgement {
    /// By the first list that speaks of it.
    pub fn new(
        lists: &[(RulesOf, Option<&AccessRules>)],
        who: &Who<'_>,
        access: Access<'_>,
    ) -> Judgement {
        let decided = lists.iter().find_map(|(of, rules)| {
            let (at, rule) = (*rules)?.deciding(who, access)?;
            Some(Judgement::Rule {
                permission: rule.permission,
                number: at + 1,
                of: *of,
            })
        });
        decided.unwrap_or(match access.is_to_system() {
            true => Judgement::Reserved,
            false => Judgement::Unspoken,
        })
    }

    /// Whether a rule denies it.
    pub fn denies(self) -> bool {
        matches!(
            self,
            Judgement::Reserved
                | Judgement::Rule {
                    permission: Permission::Deny,
                    ..
                }
        )
    }
}

impl AccessRules {
    /// What the first rule that applies says.
    pub fn verdict(&self, who: &Who<'_>, access: Access<'_>) -> Verdict {
        match self.deciding(who, access).map(|(_, rule)| rule.permission) {
            Some(Permission::Allow) => Verdict::Allowed,
            Some(Permission::Deny) => Verdict::Denied,
            None => Verdict::Silent,
        }
    }

    /// The first rule that applies, and where it stands, from 0.
    fn deciding(&self, who: &Who<'_>, access: Access<'_>) -> Option<(usize, &Rule)> {
        let mut rules = self.rules.iter().enumerate();
        rules.find(|(_, rule)| rule.applies(who, access))
    }
}

impl Rule {
    fn applies(&self, who: &Who<'_>, access: Access<'_>) -> bool {
        let of_this_action = match access {
            Access::Publish(_) => self.action != Action::Subscribe,
            Access::Subscribe(_) => self.action != Action::Publish,
        };
        // "Everything" allows no `$SYS` topic, as no `#` matches one [MQTT-4.7.2-1]: it has to be named.
        let speaks_of_all = self.topics.is_empty()
            && !(self.permission == Permission::Allow && access.is_to_system());
        of_this_action
            && self.subject.is(who)
            && (speaks_of_all || self.topics.iter().any(|t| self.speaks_of(t, who, access)))
    }

    fn speaks_of(&self, pattern: &TopicPattern, who: &Who<'_>, access: Access<'_>) -> bool {
        let (Access::Publish(topic) | Access::Subscribe(topic)) = access;
        let filter = match pattern {
            TopicPattern::Equal(text) => {
                return placed(text, who).is_some_and(|text| text == topic);
            }
            TopicPattern::Filter(text) => placed(text, who),
        };
        // A placeholder without a value speaks of nothing; but what is denied stays denied.
        let Some(filter) = filter else {
            return false;
        };
        match (access, self.permission) {
            (Access::Publish(name), _) => topic::matches(&filter, name),
            (Access::Subscribe(asked), Permission::Allow) => topic::covers(&filter, asked),
            (Access::Subscribe(asked), Permission::Deny) => topic::overlaps(&filter, asked),
        }
    }
}

impl Subject {
    fn is(&self, who: &Who<'_>) -> bool {
        let user = self.user_name.as_deref();
        let client = self.client_id.as_deref();
        let ip = who.ip.to_canonical();
        user.is_none_or(|user| who.user_name == Some(user))
            && client.is_none_or(|client| who.client_id == client)
            && self.network.is_none_or(|network| network.contains(&ip))
    }
}

/// The pattern with its placeholders filled in. `None`: a value is missing, or would add levels or
/// wildcards and with them reach further than the rule means.
fn placed<'t>(text: &'t str, who: &Who<'_>) -> Option<std::borrow::Cow<'t, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let harmless = |value: &&str| !value.is_empty() && !value.contains(['/', '+', '#']);
    let values = [
        ("%c", Some(who.client_id).filter(harmless)),
        ("%u", who.user_name.filter(harmless)),
    ];
    placeholder::filled(text, &values).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn who<'a>(client_id: &'a str, user_name: Option<&'a str>) -> Who<'a> {
        Who {
            client_id,
            user_name,
            ip: Ipv4Addr::new(10, 0, 0, 7).into(),
        }
    }

    fn rule(permission: Permission, subject: Subject, action: Action, filter: &str) -> Rule {
        Rule {
            permission,
            subject,
            action,
            topics: vec![TopicPattern::Filter(filter.into())],
        }
    }

    fn rules(rules: Vec<Rule>) -> AccessRules {
        AccessRules {
            rules,
            disconnects_publishers: false,
        }
    }

    fn all() -> Subject {
        Subject::default()
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules = rules(vec![
            rule(Permission::Deny, all(), Action::Publish, "a/b"),
            rule(Permission::Allow, all(), Action::Both, "a/#"),
        ]);
        let c = who("c", None);
        assert_eq!(rules.verdict(&c, Access::Publish("a/b")), Verdict::Denied);
        assert_eq!(rules.verdict(&c, Access::Publish("a/c")), Verdict::Allowed);
        assert_eq!(rules.verdict(&c, Access::Publish("b")), Verdict::Silent);
        assert_eq!(
            rules.verdict(&c, Access::Subscribe("a/b")),
            Verdict::Allowed
        );
    }

    #[test]
    fn a_judgement_names_the_rule_and_the_clients_own_rules_come_first() {
        let own = rules(vec![rule(Permission::Allow, all(), Action::Both, "a/b")]);
        let nodes = rules(vec![
            rule(Permission::Allow, all(), Action::Both, "x"),
            rule(Permission::Deny, all(), Action::Both, "a/#"),
        ]);
        let lists = [(RulesOf::Client, Some(&own)), (RulesOf::Node, Some(&nodes))];
        let judged = |topic| Judgement::new(&lists, &who("c", None), Access::Publish(topic));
        let by = |permission, number, of| Judgement::Rule {
            permission,
            number,
            of,
        };
        assert_eq!(judged("a/b"), by(Permission::Allow, 1, RulesOf::Client));
        assert_eq!(judged("a/c"), by(Permission::Deny, 2, RulesOf::Node));
        assert!(judged("a/c").denies() && !judged("a/b").denies());
        assert_eq!(judged("y"), Judgement::Unspoken);
        let none = Judgement::new(&[], &who("c", None), Access::Publish("a/c"));
        assert_eq!(none, Judgement::Unspoken);
        let system = Judgement::new(&[], &who("c", None), Access::Publish("$SYS/x"));
        assert!(system.denies(), "{system:?}");
    }

    #[test]
    fn no_filter_is_a_way_around_a_denying_rule() {
        let rules = rules(vec![
            rule(Permission::Deny, all(), Action::Subscribe, "secret/#"),
            rule(Permission::Allow, all(), Action::Subscribe, "#"),
        ]);
        for filter in ["secret/#", "#", "+/x", "secret/+", "secret"] {
            let verdict = rules.verdict(&who("c", None), Access::Subscribe(filter));
            assert_eq!(verdict, Verdict::Denied, "{filter}");
        }
        let verdict = rules.verdict(&who("c", None), Access::Subscribe("open/#"));
        assert_eq!(verdict, Verdict::Allowed);
    }

    #[test]
    fn an_allowing_rule_grants_no_more_than_it_covers() {
        let rules = rules(vec![rule(
            Permission::Allow,
            all(),
            Action::Subscribe,
            "a/+",
        )]);
        let c = who("c", None);
        assert_eq!(
            rules.verdict(&c, Access::Subscribe("a/+")),
            Verdict::Allowed
        );
        assert_eq!(rules.verdict(&c, Access::Subscribe("a/#")), Verdict::Silent);
        assert_eq!(rules.verdict(&c, Access::Subscribe("#")), Verdict::Silent);
    }

    #[test]
    fn placeholders_stand_for_the_client_and_never_for_more() {
        let rules = rules(vec![
            rule(Permission::Allow, all(), Action::Both, "of/%u/%c/#"),
            rule(Permission::Deny, all(), Action::Both, "#"),
        ]);
        for (client, user, expected) in [
            ("c", Some("u"), Verdict::Allowed),
            ("c", None, Verdict::Denied),
            ("+", Some("u"), Verdict::Denied),
            ("c", Some("x/y"), Verdict::Denied),
        ] {
            let verdict = rules.verdict(&who(client, user), Access::Publish("of/u/c/t"));
            assert_eq!(verdict, expected, "{client} {user:?}");
        }
    }

    #[test]
    fn all_conditions_of_a_subject_hold() {
        let subject = Subject {
            user_name: Some("u".into()),
            client_id: None,
            network: Some("10.0.0.0/24".parse().expect("a network")),
        };
        let rules = rules(vec![rule(Permission::Allow, subject, Action::Both, "#")]);
        let publish = Access::Publish("t");
        assert_eq!(
            rules.verdict(&who("c", Some("u")), publish),
            Verdict::Allowed
        );
        assert_eq!(
            rules.verdict(&who("c", Some("v")), publish),
            Verdict::Silent
        );
        let elsewhere = Who {
            ip: Ipv4Addr::new(10, 0, 1, 7).into(),
            ..who("c", Some("u"))
        };
        assert_eq!(rules.verdict(&elsewhere, publish), Verdict::Silent);
    }

    #[test]
    fn only_a_rule_that_names_it_allows_to_publish_a_system_topic() {
        let everything = Rule {
            topics: Vec::new(),
            ..rule(Permission::Allow, all(), Action::Both, "")
        };
        let c = who("c", None);
        for allowing in [
            everything,
            rule(Permission::Allow, all(), Action::Both, "#"),
        ] {
            let rules = rules(vec![allowing]);
            let system = rules.verdict(&c, Access::Publish("$SYS/brokers"));
            assert_eq!(system, Verdict::Silent);
            let other = rules.verdict(&c, Access::Publish("SYS/brokers"));
            assert_eq!(other, Verdict::Allowed);
        }
        let rules = rules(vec![rule(
            Permission::Allow,
            all(),
            Action::Publish,
            "$SYS/#",
        )]);
        let named = rules.verdict(&c, Access::Publish("$SYS/brokers"));
        assert_eq!(named, Verdict::Allowed);
    }

    #[test]
    fn an_equal_pattern_means_the_text_itself() {
        let equal = Rule {
            topics: vec![TopicPattern::Equal("#".into())],
            ..rule(Permission::Deny, all(), Action::Subscribe, "")
        };
        let rules = rules(vec![equal]);
        let c = who("c", None);
        assert_eq!(rules.verdict(&c, Access::Subscribe("#")), Verdict::Denied);
        assert_eq!(rules.verdict(&c, Access::Subscribe("a/#")), Verdict::Silent);
    }

    #[test]
    fn a_client_cannot_name_itself_after_a_placeholder() {
        let rules = rules(vec![rule(Permission::Allow, all(), Action::Both, "of/%c")]);
        let sly = who("%u", Some("other"));
        assert_eq!(
            rules.verdict(&sly, Access::Publish("of/other")),
            Verdict::Silent
        );
        assert_eq!(
            rules.verdict(&sly, Access::Publish("of/%u")),
            Verdict::Allowed
        );
    }
}
