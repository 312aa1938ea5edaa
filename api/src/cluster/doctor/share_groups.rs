//! Share groups that do not share: one member has far more waiting than the others, or the whole group
//! cannot keep up.

use std::collections::BTreeMap;

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;
use crate::node::ShareMemberState;

/// Fewer messages than this in a queue are a moment's work.
const QUEUE_MESSAGES: u64 = 100;
/// So many times what the others have on average is far more.
const TIMES_THE_OTHERS: u64 = 4;
/// A queue that is filled to this percentage is about to drop messages.
const FILLED_PERCENT: u64 = 50;
/// Groups named; the worst.
const NAMED_MAX: usize = 10;

/// Filter and share name.
type Key<'a> = (&'a str, &'a str);

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let mut groups: BTreeMap<Key<'_>, Vec<&ShareMemberState>> = BTreeMap::new();
    for member in answered(&evidence.nodes).flat_map(|(_, answer)| &answer.share_members) {
        // What waits for a client that is away is no matter of the group: it gets nothing new.
        if member.connected {
            let key = (member.filter.as_str(), member.share.as_str());
            groups.entry(key).or_default().push(member);
        }
    }
    let mut found: Vec<_> = groups
        .into_iter()
        .filter_map(|(key, members)| Some((waiting(&members), judged(key, &members)?)))
        .collect();
    found.sort_by_key(|(waiting, _)| std::cmp::Reverse(*waiting));
    let worst = found.into_iter().take(NAMED_MAX);
    worst.map(|(_, finding)| finding).collect()
}

fn waiting(members: &[&ShareMemberState]) -> u64 {
    members.iter().map(|member| member.queue).sum()
}

/// Members without a queue are not in the list; how many there are, each of the others says.
fn judged(key: Key<'_>, members: &[&ShareMemberState]) -> Option<Finding> {
    let candidates = members.iter().map(|member| member.candidates).max()?;
    let candidates = candidates.max(members.len() as u64);
    let filled = members.iter().filter(|member| is_filled(member)).count() as u64;
    if filled * 2 > candidates {
        return Some(behind(key, members, candidates, filled));
    }
    let hot = members.iter().max_by_key(|member| member.queue)?;
    let others = waiting(members) - hot.queue;
    let fair = others.checked_div(candidates - 1)?;
    let is_hot = hot.queue >= QUEUE_MESSAGES && hot.queue >= fair.saturating_mul(TIMES_THE_OTHERS);
    is_hot.then(|| hot_member(key, hot, fair, candidates))
}

fn is_filled(member: &ShareMemberState) -> bool {
    member.queue >= QUEUE_MESSAGES && member.queue * 100 >= member.queue_max * FILLED_PERCENT
}

fn hot_member(
    (filter, share): Key<'_>,
    hot: &ShareMemberState,
    fair: u64,
    candidates: u64,
) -> Finding {
    let message = format!(
        "In the share group '{share}' of '{filter}', '{}' has {} messages waiting, the others {fair} on average.",
        hot.client_id, hot.queue
    );
    Finding::new(Severity::Warning, "share_group_hot_member", message)
        .shown_by("share", share)
        .shown_by("filter", filter)
        .shown_by("client_id", hot.client_id.as_str())
        .shown_by("queue", hot.queue)
        .shown_by("queue_max", hot.queue_max)
        .shown_by("inflight", hot.inflight)
        .shown_by("inflight_max", hot.inflight_max)
        .shown_by("queue_of_the_others", fair)
        .shown_by("members", candidates)
        .fixed_by("If the strategy gives it more than the others (sticky, local_first, hash_clientid, hash_topic), write strategy = \"round_robin\" into rmqtt-shared-subscription.toml on every node and PUT /api/v1/plugins/NODE/rmqtt-shared-subscription/config/reload. If not, the member is slower than the others: restart it, or let it take more at once (Receive Maximum).")
}

fn behind(
    (filter, share): Key<'_>,
    members: &[&ShareMemberState],
    candidates: u64,
    filled: u64,
) -> Finding {
    let message = format!(
        "The share group '{share}' of '{filter}' cannot keep up: the queues of {filled} of its {candidates} members are half full or more."
    );
    let longest = members.iter().map(|member| member.queue).max();
    let queue_max = members.iter().map(|member| member.queue_max).max();
    Finding::new(Severity::Warning, "share_group_falls_behind", message)
        .shown_by("share", share)
        .shown_by("filter", filter)
        .shown_by("members", candidates)
        .shown_by("members_behind", filled)
        .shown_by("queued", waiting(members))
        .shown_by("longest_queue", longest)
        .shown_by("queue_max", queue_max)
        .fixed_by("Start more members with the same $share name, or make them faster; until then a larger mqtt.max_queued_messages (on every node, with a restart) gives them time before messages are dropped.")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy};
    use super::*;

    /// Members of the group `g` of `t`, by node (from 0), with their queues, of which 1,000 is the most.
    fn with_members(candidates: u64, members: &[(usize, &str, u64)]) -> Vec<Finding> {
        let mut evidence = healthy();
        for (at, client_id, queue) in members {
            if let Ok(answer) = &mut evidence.nodes[*at].answer {
                answer.share_members.push(ShareMemberState {
                    share: "g".into(),
                    filter: "t".into(),
                    client_id: (*client_id).into(),
                    connected: true,
                    queue: *queue,
                    queue_max: 1_000,
                    inflight: 10,
                    inflight_max: 10,
                    candidates,
                });
            }
        }
        findings(&evidence)
    }

    #[test]
    fn a_member_with_far_more_than_the_others_is_found() {
        let found = with_members(3, &[(0, "slow", 400), (1, "b", 60)]);
        assert_eq!(codes(&found), ["share_group_hot_member"]);
        assert_eq!(found[0].evidence["client_id"], "slow");
        assert_eq!(found[0].evidence["queue"], 400);
        assert_eq!(found[0].evidence["queue_of_the_others"], 30);
        assert!(found[0].fix.contains("strategy"));
    }

    #[test]
    fn members_that_share_are_no_finding() {
        assert_eq!(with_members(2, &[(0, "a", 300), (1, "b", 200)]), []);
        assert_eq!(with_members(3, &[(0, "a", 99)]), []);
        assert_eq!(with_members(3, &[]), []);
    }

    #[test]
    fn a_group_whose_members_are_mostly_half_full_cannot_keep_up() {
        let found = with_members(3, &[(0, "a", 600), (1, "b", 500), (2, "c", 10)]);
        assert_eq!(codes(&found), ["share_group_falls_behind"]);
        assert_eq!(found[0].evidence["members_behind"], 2);
        assert_eq!(found[0].evidence["queued"], 1_110);
        assert_eq!(found[0].evidence["longest_queue"], 600);
    }

    #[test]
    fn a_member_alone_has_nobody_to_share_with() {
        assert_eq!(with_members(1, &[(0, "a", 400)]), []);
        assert_eq!(
            codes(&with_members(1, &[(0, "a", 900)])),
            ["share_group_falls_behind"]
        );
    }

    #[test]
    fn what_waits_for_a_client_that_is_away_is_no_matter_of_the_group() {
        let mut evidence = healthy();
        if let Ok(answer) = &mut evidence.nodes[0].answer {
            answer.share_members.push(ShareMemberState {
                queue: 900,
                queue_max: 1_000,
                candidates: 2,
                ..Default::default()
            });
        }
        assert_eq!(findings(&evidence), []);
    }

    #[test]
    fn the_worst_groups_are_named_and_no_more_than_ten() {
        let mut evidence = healthy();
        if let Ok(answer) = &mut evidence.nodes[0].answer {
            answer.share_members = (0..20)
                .map(|n| ShareMemberState {
                    share: format!("g{n:02}"),
                    connected: true,
                    queue: 100 + n,
                    queue_max: 1_000,
                    candidates: 3,
                    ..Default::default()
                })
                .collect();
        }
        let found = findings(&evidence);
        assert_eq!(found.len(), 10);
        assert_eq!(found[0].evidence["share"], "g19");
    }
}
