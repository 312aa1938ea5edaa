//! Which members of share groups have messages waiting: the shards know the queues, the table the groups.

use crate::engine::Engine;
use futures::future::join_all;
use raftmq_api::node::ShareMemberState;
use std::{cmp::Reverse, collections::HashMap};

/// Members told of; more than the doctor names groups.
const MEMBERS_TOLD: usize = 64;
/// Sessions with long queues that are looked at on each shard, whether they are members or not.
const SESSIONS_MAX: usize = 256;

/// This node's members with the longest queues, at most [`MEMBERS_TOLD`].
pub(super) async fn longest_queues(engine: &Engine) -> Vec<ShareMemberState> {
    let mailboxes = engine.mailboxes.iter();
    let asked = mailboxes.map(|mailbox| mailbox.ask(|shard| shard.longest_queues(SESSIONS_MAX)));
    let answers = join_all(asked).await.into_iter().flatten().flatten();
    let mut sessions: Vec<_> = answers.collect();
    sessions.sort_by_key(|session| Reverse(session.queue));
    let queue_max = u64::from(engine.settings.outbound_limits.queue_messages_max);
    let mut told = Vec::new();
    // A group is counted once, however many of its members are told of.
    let mut sizes: HashMap<(String, String), u64> = HashMap::new();
    let table = engine.store.table().read();
    for live in sessions {
        let Some(session) = table.session(&live.client_id) else {
            continue;
        };
        for subscription in session.subscriptions() {
            let Some(share) = &subscription.share else {
                continue;
            };
            if told.len() == MEMBERS_TOLD {
                return told;
            }
            let key = (subscription.filter.to_string(), share.to_string());
            let candidates = sizes
                .entry(key)
                .or_insert_with(|| table.share_candidates(&subscription.filter, share) as u64);
            told.push(ShareMemberState {
                share: share.to_string(),
                filter: subscription.filter.to_string(),
                client_id: live.client_id.to_string(),
                connected: session.connected,
                queue: live.queue as u64,
                queue_max,
                inflight: live.inflight as u64,
                inflight_max: live.inflight_max.into(),
                candidates: *candidates,
            });
        }
    }
    told
}
