//! Where the nodes' routers disagree. At the same applied index they must not; at different ones they
//! may, for a moment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Member;
use crate::node::{ExplainReply, ExplainedSubscriber, NodeError};

/// Differences shown for one node.
const SHOWN_MAX: usize = 100;

/// One node's answer beside that of the publisher's node.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ExplainedNode")]
#[serde(untagged)]
pub(super) enum NodeView {
    Answer {
        node_id: u64,
        applied_index: u64,
        agrees: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        differences: Vec<String>,
    },
    Missing {
        node_id: u64,
        error: String,
    },
}

/// All nodes beside `reference`.
pub(super) fn views(
    reference: &ExplainReply,
    answers: &[(Member, Result<ExplainReply, NodeError>)],
) -> Vec<NodeView> {
    let view = |(member, answer): &(Member, Result<ExplainReply, NodeError>)| match answer {
        Ok(answer) => {
            let mut differences = differences(reference, answer);
            let agrees = differences.is_empty();
            differences.truncate(SHOWN_MAX);
            NodeView::Answer {
                node_id: member.id,
                applied_index: answer.applied_index,
                agrees,
                differences,
            }
        }
        Err(error) => NodeView::Missing {
            node_id: member.id,
            error: error.to_string(),
        },
    };
    answers.iter().map(view).collect()
}

type Place<'a> = (&'a str, &'a str, &'a str);

/// Every subscriber by share group, filter and client: all that the table says of it. Whose turn it is
/// in a share group is each node's own affair and not compared.
fn subscribers(reply: &ExplainReply) -> BTreeMap<Place<'_>, &ExplainedSubscriber> {
    let ordinary = reply
        .subscribers
        .iter()
        .map(|s| (("", "", s.client_id.as_str()), s));
    let shared = reply.groups.iter().flat_map(|group| {
        let (share, filter) = (group.share.as_str(), group.filter.as_str());
        let members = group.members.iter();
        members.map(move |s| ((share, filter, s.client_id.as_str()), s))
    });
    ordinary.chain(shared).collect()
}

fn differences(reference: &ExplainReply, other: &ExplainReply) -> Vec<String> {
    let (expected, found) = (subscribers(reference), subscribers(other));
    let missing = expected.iter().filter_map(|(place, subscriber)| {
        let client = place.2;
        match found.get(place) {
            None => Some(format!("subscriber '{client}' is missing")),
            Some(known) if known == subscriber => None,
            Some(known) => Some(format!(
                "subscriber '{client}' is at node {} with epoch {} instead of node {} with epoch {}, or its subscription differs",
                known.node_id, known.epoch, subscriber.node_id, subscriber.epoch
            )),
        }
    });
    let surplus = found
        .keys()
        .filter(|place| !expected.contains_key(*place))
        .map(|(.., client)| format!("subscriber '{client}' is one too many"));
    missing.chain(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::ExplainedGroup;

    fn subscriber(client_id: &str, node_id: u64) -> ExplainedSubscriber {
        ExplainedSubscriber {
            client_id: client_id.into(),
            node_id,
            ..Default::default()
        }
    }

    fn reply(subscribers: Vec<ExplainedSubscriber>) -> ExplainReply {
        ExplainReply {
            subscribers,
            ..Default::default()
        }
    }

    #[test]
    fn equal_answers_have_no_differences_whoever_is_picked() {
        let group = |picked: &str| ExplainReply {
            groups: vec![ExplainedGroup {
                share: "g".into(),
                members: vec![subscriber("a", 1), subscriber("b", 2)],
                picked: Some(picked.into()),
                ..Default::default()
            }],
            ..reply(vec![subscriber("c", 1)])
        };
        assert!(differences(&group("a"), &group("b")).is_empty());
    }

    #[test]
    fn what_is_missing_moved_or_one_too_many_is_named() {
        let here = reply(vec![subscriber("a", 1), subscriber("b", 1)]);
        let there = reply(vec![subscriber("b", 2), subscriber("c", 1)]);
        let found = differences(&here, &there);
        assert_eq!(found.len(), 3, "{found:?}");
        for (difference, client) in found.iter().zip(["'a'", "'b'", "'c'"]) {
            assert!(difference.contains(client), "{difference}");
        }
    }
}
