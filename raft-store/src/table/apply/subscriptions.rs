//! SUBSCRIBE and UNSUBSCRIBE.

use raftmq_mqtt::topic;
use raftmq_proto::v1;

use super::super::{Outcome, Refusal, Subscription};
use super::Run;

impl Run<'_> {
    pub(super) fn subscribe(&mut self, op: &v1::Subscribe) -> Outcome {
        if let Err(refusal) = self.owned(&op.client_id, op.epoch) {
            return Outcome::Refused(refusal);
        }
        if op.subscriptions.iter().any(|wanted| !is_valid(wanted)) {
            return Outcome::Refused(Refusal::InvalidTopic);
        }
        let existed = op
            .subscriptions
            .iter()
            .map(|wanted| self.subscribe_one(&op.client_id, wanted));
        Outcome::Subscribed {
            existed: existed.collect(),
        }
    }

    fn subscribe_one(&mut self, client_id: &str, wanted: &v1::Subscription) -> bool {
        let subscription = Subscription {
            filter: self.table.subscribers.interned(&wanted.filter),
            share: (!wanted.share.is_empty()).then(|| wanted.share.as_str().into()),
            options: wanted.options as u8,
            id: wanted.id,
        };
        let added = self.table.sessions.update(client_id, |session| {
            let found = session.find(&subscription.filter, subscription.share.as_deref());
            match found {
                Ok(at) => session.subscriptions[at] = subscription.clone(),
                Err(at) => session.subscriptions.insert(at, subscription.clone()),
            }
            (session.client_id.clone(), session.node, found.is_ok())
        });
        let Some((client_id, node, existed)) = added else {
            return false;
        };
        self.table
            .subscribers
            .add(&client_id, node, &subscription, existed);
        self.applied.changed.filters.push(subscription.filter);
        existed
    }

    pub(super) fn unsubscribe(&mut self, op: &v1::Unsubscribe) -> Outcome {
        if let Err(refusal) = self.owned(&op.client_id, op.epoch) {
            return Outcome::Refused(refusal);
        }
        let existed = op
            .subscriptions
            .iter()
            .map(|wanted| self.unsubscribe_one(&op.client_id, wanted));
        Outcome::Unsubscribed {
            existed: existed.collect(),
        }
    }

    fn unsubscribe_one(&mut self, client_id: &str, wanted: &v1::Subscription) -> bool {
        let share = (!wanted.share.is_empty()).then_some(wanted.share.as_str());
        let removed = self.table.sessions.update(client_id, |session| {
            let at = session.find(&wanted.filter, share).ok()?;
            Some((session.subscriptions.remove(at), session.node))
        });
        let Some((subscription, node)) = removed.flatten() else {
            return false;
        };
        self.table
            .subscribers
            .remove(client_id, node, &subscription);
        self.applied.changed.filters.push(subscription.filter);
        true
    }
}

fn is_valid(wanted: &v1::Subscription) -> bool {
    let share_is_valid =
        wanted.share.is_empty() || topic::validate_share_name(&wanted.share).is_ok();
    share_is_valid && topic::validate_filter(&wanted.filter).is_ok() && wanted.options <= 0xff
}
