//! What access rules say, in the words of a dry run. Rules that come with a client's authentication are
//! those of its connection; without one nobody is asked: a dry run must not look like a login.

use crate::plugin::{Access, Extensions, Judgement, Permission, RulesOf, Who};
use raftmq_api::node::{AclVerdict, ExplainQuestion};
use std::net::{IpAddr, Ipv4Addr};

const ALLOWED: &str = "allowed";
const DENIED: &str = "denied";
const NOT_CHECKED: &str = "not_checked";

/// Of a connection that is there.
pub(super) fn told(judgement: Judgement, what: &str) -> AclVerdict {
    match judgement {
        Judgement::Superuser => {
            allowed("the client is a superuser: access rules do not hold for it")
        }
        Judgement::Unspoken => allowed("no access rule speaks of it"),
        Judgement::Reserved => AclVerdict {
            verdict: DENIED.to_owned(),
            why: "only the broker publishes below $SYS, unless an access rule names the topic"
                .to_owned(),
            ..AclVerdict::default()
        },
        Judgement::Rule {
            permission,
            number,
            of,
        } => {
            let (verdict, verb) = match permission {
                Permission::Allow => (ALLOWED, "allows"),
                Permission::Deny => (DENIED, "denies"),
            };
            let (source, whose) = match of {
                RulesOf::Client => (
                    "client",
                    "of those that came with the client's authentication",
                ),
                RulesOf::Node => ("rmqtt-acl", "of rmqtt-acl"),
            };
            AclVerdict {
                verdict: verdict.to_owned(),
                rule: u32::try_from(number).ok(),
                source: source.to_owned(),
                why: format!("rule {number} {whose} {verb} {what}"),
            }
        }
    }
}

fn allowed(why: &str) -> AclVerdict {
    AclVerdict {
        verdict: ALLOWED.to_owned(),
        why: why.to_owned(),
        ..AclVerdict::default()
    }
}

fn not_checked(why: &str) -> AclVerdict {
    AclVerdict {
        verdict: NOT_CHECKED.to_owned(),
        why: why.to_owned(),
        ..AclVerdict::default()
    }
}

/// Of a publisher that is not connected here, by what the question says of it.
pub(super) fn of_absent_publisher(
    extensions: &Extensions,
    question: &ExplainQuestion,
) -> AclVerdict {
    if !extensions.authenticators.is_empty() {
        return not_checked(
            "rmqtt-auth-http or rmqtt-auth-jwt is at work: a client's own rules come with its CONNECT, and nobody is asked in a dry run; name a client that is connected",
        );
    }
    let access = Access::Publish(&question.topic);
    if extensions.access.is_none() && !access.is_to_system() {
        return allowed("there are no access rules");
    }
    let who = Who {
        client_id: &question.publisher,
        user_name: question.username.as_deref(),
        // No rule means it: it is nobody's address (RFC 1122 §3.2.1.3).
        ip: question
            .ip_address
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let lists = [(RulesOf::Node, extensions.access.as_ref())];
    told(Judgement::new(&lists, &who, access), "PUBLISH")
}

/// Of a subscriber that is not connected.
pub(super) fn of_absent_subscriber(extensions: &Extensions) -> AclVerdict {
    match extensions.access.is_none() && extensions.authenticators.is_empty() {
        true => allowed("there are no access rules"),
        false => not_checked(
            "the client is offline: the address and the rules that it will have are not known; what it has subscribed to stays",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{AccessRules, Action, Rule, Subject, TopicPattern};

    /// Only the user `ann` in 10.0.0.0/8 may publish on `a`.
    fn extensions() -> Extensions {
        let rule = |permission, subject| Rule {
            permission,
            subject,
            action: Action::Publish,
            topics: vec![TopicPattern::Filter("a".into())],
        };
        let ann = Subject {
            user_name: Some("ann".into()),
            network: Some("10.0.0.0/8".parse().expect("a network")),
            ..Subject::default()
        };
        let rules = vec![
            rule(Permission::Allow, ann),
            rule(Permission::Deny, Subject::default()),
        ];
        Extensions {
            access: Some(AccessRules {
                rules,
                disconnects_publishers: false,
            }),
            ..Extensions::default()
        }
    }

    fn asked(topic: &str, username: Option<&str>, ip: Option<&str>) -> (String, Option<u32>) {
        let question = ExplainQuestion {
            topic: topic.into(),
            username: username.map(str::to_owned),
            ip_address: ip.map(|ip| ip.parse().expect("an address")),
            ..ExplainQuestion::default()
        };
        let verdict = of_absent_publisher(&extensions(), &question);
        assert!(!verdict.why.is_empty());
        (verdict.verdict, verdict.rule)
    }

    #[test]
    fn a_publisher_that_is_not_there_is_judged_by_what_is_said_of_it() {
        let ann = asked("a", Some("ann"), Some("10.1.2.3"));
        assert_eq!(ann, ("allowed".into(), Some(1)));
        assert_eq!(asked("a", Some("ann"), None), ("denied".into(), Some(2)));
        assert_eq!(
            asked("a", None, Some("10.1.2.3")),
            ("denied".into(), Some(2))
        );
        assert_eq!(asked("b", None, None), ("allowed".into(), None));
    }

    #[test]
    fn without_rules_everything_is_allowed_but_speaking_for_the_broker() {
        let none = Extensions::default();
        let asked = |topic: &str| ExplainQuestion {
            topic: topic.to_owned(),
            ..ExplainQuestion::default()
        };
        assert_eq!(of_absent_publisher(&none, &asked("a")).verdict, "allowed");
        let system = of_absent_publisher(&none, &asked("$SYS/brokers"));
        assert_eq!(system.verdict, "denied");
        assert_eq!(of_absent_subscriber(&none).verdict, "allowed");
    }

    #[test]
    fn what_depends_on_a_connection_that_is_not_there_is_not_checked() {
        assert_eq!(of_absent_subscriber(&extensions()).verdict, "not_checked");
    }

    #[test]
    fn a_verdict_names_the_rule_and_whose_it_is() {
        let judgement = Judgement::Rule {
            permission: Permission::Deny,
            number: 3,
            of: RulesOf::Client,
        };
        let verdict = told(judgement, "SUBSCRIBE to a/#");
        assert_eq!((&*verdict.verdict, verdict.rule), ("denied", Some(3)));
        assert_eq!(verdict.source, "client");
        assert!(
            verdict.why.ends_with("denies SUBSCRIBE to a/#"),
            "{}",
            verdict.why
        );
        assert_eq!(told(Judgement::Superuser, "PUBLISH").verdict, "allowed");
    }
}
