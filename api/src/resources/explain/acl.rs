//! What the access rules say, as the answer shows it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answers;
use crate::node::{AclVerdict, ExplainReply};

const DENIED: &str = "denied";
/// Also of a node that does not answer, or is of a version that does not say.
const NOT_CHECKED: &str = "not_checked";

/// Fields of a row.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct Acl<'a> {
    /// `allowed`, `denied` or `not_checked`.
    #[schemars(extend("enum" = ["allowed", "denied", "not_checked"]))]
    acl: &'a str,
    /// The number of the rule that decides, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    acl_rule: Option<u32>,
    /// Whose rule it is: `rmqtt-acl`, or `client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    acl_source: Option<&'a str>,
    /// For people.
    acl_why: &'a str,
}

impl<'a> Acl<'a> {
    pub(super) fn new(verdict: Option<&'a AclVerdict>) -> Self {
        let Some(verdict) = verdict else {
            return Self {
                acl: NOT_CHECKED,
                acl_rule: None,
                acl_source: None,
                acl_why: "its node does not say",
            };
        };
        Self {
            acl: &verdict.verdict,
            acl_rule: verdict.rule,
            acl_source: Some(&*verdict.source).filter(|source| !source.is_empty()),
            acl_why: &verdict.why,
        }
    }

    /// The node to which the publisher is connected knows best; else the one at which it would publish.
    pub(super) fn of_publisher(view: &'a ExplainReply, answers: &'a Answers) -> Self {
        let mut replies = answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok());
        let its_own = replies.find(|reply| reply.publisher_is_here);
        Self::new(its_own.unwrap_or(view).publish.as_ref())
    }

    pub(super) fn denies(&self) -> bool {
        self.acl == DENIED
    }
}
