//! A dry run of a publication at this node: the router's decisions, and how this node's own sessions
//! would take it.

use super::{insight::link_states, local::LocalNode, verdict};
use crate::{
    plugin::{Extensions, Judgement},
    router::{self, DryRun, Explained, Explanation},
    shard::{Reception, shard_of},
};
use futures::future::join_all;
use raftmq_api::node::{
    ExplainQuestion, ExplainReply, ExplainedGroup, ExplainedSubscriber, LiveSubscriber,
};
use std::{collections::BTreeMap, sync::Arc};

impl LocalNode {
    pub(super) async fn explanation(&self, question: ExplainQuestion) -> ExplainReply {
        let engine = &self.engine;
        let topic: Arc<str> = question.topic.as_str().into();
        let asked = topic.clone();
        let turn = engine.mailbox_of(&question.publisher);
        let turn = turn.ask(move |shard| shard.turn(&asked)).await;
        let publisher = self.judged_publisher(&question).await;
        let extensions = engine.extensions.current();
        let explanation = {
            let table = engine.store.table().read();
            let run = DryRun {
                node: engine.node_id.into(),
                topic: &topic,
                publisher: &question.publisher,
                turn: turn.unwrap_or(0),
                strategy: extensions.share_strategy,
                limit: usize::try_from(question.limit).unwrap_or(usize::MAX),
            };
            router::explain(&table, &run)
        };
        let live = self.receptions(&explanation, &extensions).await;
        let mut reply = reply(explanation, live, link_states(engine));
        reply.publisher_is_here = publisher.is_some();
        reply.publish = Some(match publisher {
            Some(judgement) => verdict::told(judgement, "PUBLISH"),
            None => verdict::of_absent_publisher(&extensions, &question),
        });
        reply
    }

    /// By the rules of its own connection, if it has one here.
    async fn judged_publisher(&self, question: &ExplainQuestion) -> Option<Judgement> {
        let (publisher, topic) = (question.publisher.clone(), question.topic.clone());
        let shard = shard_of(&publisher, self.engine.mailboxes.len());
        let asked = self.engine.mailboxes[shard.index()]
            .ask(move |shard| shard.judged_publisher(&publisher, &topic));
        asked.await.flatten()
    }

    /// How those of the subscribers that this node owns would take it, shard by shard.
    async fn receptions(
        &self,
        explanation: &Explanation,
        extensions: &Extensions,
    ) -> Vec<LiveSubscriber> {
        let engine = &self.engine;
        let members = explanation.groups.iter().flat_map(|group| &group.members);
        let mut own: BTreeMap<&Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for explained in explanation.subscribers.iter().chain(members) {
            if u64::from(explained.node) == engine.node_id {
                let filters = own.entry(&explained.subscriber.client_id).or_default();
                filters.extend(explained.filters.iter().cloned());
            }
        }
        let mut by_shard = vec![Vec::new(); engine.mailboxes.len()];
        for (client_id, filters) in own {
            let shard = shard_of(client_id, engine.mailboxes.len());
            by_shard[shard.index()].push((client_id.clone(), filters));
        }
        let shards = engine.mailboxes.iter().zip(by_shard);
        let asked = shards
            .filter(|(_, clients)| !clients.is_empty())
            .map(|(mailbox, clients)| mailbox.ask(move |shard| shard.receptions(clients)));
        let queue_max = u64::from(engine.settings.outbound_limits.queue_messages_max);
        let answers = join_all(asked).await.into_iter().flatten().flatten();
        answers
            .map(|reception| live(reception, queue_max, extensions))
            .collect()
    }
}

fn live(reception: Reception, queue_max: u64, extensions: &Extensions) -> LiveSubscriber {
    let subscribe = match &reception.subscribe {
        Some((filter, judgement)) => verdict::told(*judgement, &format!("SUBSCRIBE to {filter}")),
        None => verdict::of_absent_subscriber(extensions),
    };
    LiveSubscriber {
        subscribe: Some(subscribe),
        client_id: reception.client_id.to_string(),
        connected: reception.connected,
        slow: reception.slow,
        inflight: reception.inflight as u64,
        inflight_max: reception.inflight_max.into(),
        queue: reception.queue as u64,
        queue_max,
    }
}

fn reply(
    explanation: Explanation,
    live: Vec<LiveSubscriber>,
    links: Vec<raftmq_api::node::LinkState>,
) -> ExplainReply {
    let filters = explanation.filters.iter();
    let groups = explanation.groups.into_iter();
    ExplainReply {
        applied_index: explanation.applied_index,
        filters: filters.map(|filter| filter.to_string()).collect(),
        subscribers: explanation.subscribers.into_iter().map(row).collect(),
        groups: groups.map(group).collect(),
        more: explanation.more,
        live,
        links,
        ..ExplainReply::default()
    }
}

fn group(group: router::ExplainedGroup) -> ExplainedGroup {
    ExplainedGroup {
        share: group.share.to_string(),
        filter: group.filter.to_string(),
        members: group.members.into_iter().map(row).collect(),
        picked: group.picked.map(|picked| picked.to_string()),
        candidates: group.candidates as u64,
    }
}

fn row(explained: Explained) -> ExplainedSubscriber {
    let subscriber = explained.subscriber;
    let ids = subscriber.subscription_ids.iter();
    let mut filters: Vec<_> = explained.filters.iter().map(|f| f.to_string()).collect();
    filters.sort_unstable();
    ExplainedSubscriber {
        client_id: subscriber.client_id.to_string(),
        node_id: explained.node.into(),
        epoch: explained.epoch,
        filters,
        options: subscriber.options.into(),
        subscription_ids: ids.map(|id| id.get()).collect(),
        connected: explained.connected,
        node_is_up: explained.node_is_up,
    }
}
