//! The replicated table, as the HTTP API reads it.

use super::{bans, drain, listing, retained, vitals};
use crate::engine::Engine;
use futures::future::BoxFuture;
use raftmq_api::{
    BanRefusal, DrainOrder, DrainRefusal, KnownDrain, KnownNode, KnownRetained, KnownSession,
    ReplicatedView, ReplicationError, RetainedPiece, SubscriptionPiece, SubscriptionPlace,
    SubscriptionScope,
    node::{ClientRow, WillRow},
};
use raftmq_proto::v1;
use raftmq_store::{
    MembershipChange, MembershipError, Mode,
    table::{Ban, BanOf, Outcome, Session},
};
use std::{collections::BTreeMap, sync::Arc};

/// Reads the store of this node.
pub(super) struct TableView {
    engine: Arc<Engine>,
}

impl TableView {
    pub fn new(engine: Arc<Engine>) -> TableView {
        TableView { engine }
    }
}

/// The row of a session as far as the table knows it; queue lengths are unknown and 0.
pub(super) fn row(session: &Session, engine: &Engine, now_ms: u64) -> ClientRow {
    let settings = &engine.settings;
    let attributes = &session.attributes;
    ClientRow {
        node_id: session.node.into(),
        client_id: session.client_id.to_string(),
        username: attributes.username.clone(),
        superuser: attributes.superuser,
        protocol_version: attributes.protocol_version,
        peer_address: attributes.peer_address.clone(),
        connected: session.connected,
        connected_at_ms: attributes.connected_at_ms,
        disconnected_at_ms: session.disconnected_at_ms,
        disconnected_reason: session.disconnected_reason.to_string(),
        keep_alive_seconds: attributes.keep_alive_seconds,
        clean_start: session.clean_start,
        session_present: session.session_present,
        expiry_seconds: expiry_left(session, now_ms),
        created_at_ms: session.created_at_ms,
        subscriptions: session.subscription_count() as u64,
        subscriptions_max: settings.max_subscriptions as u64,
        inflight: 0,
        inflight_max: u64::from(settings.max_inflight),
        queue: 0,
        queue_max: u64::from(settings.outbound_limits.queue_messages_max),
        extra_attributes: 0,
        will: session.will.as_ref().and_then(will_row),
        listener: attributes.listener.clone(),
    }
}

fn expiry_left(session: &Session, now_ms: u64) -> u32 {
    if session.connected || session.expiry_seconds == crate::settings::EXPIRY_NEVER {
        return session.expiry_seconds;
    }
    let waited = now_ms.saturating_sub(session.disconnected_at_ms) / 1000;
    session
        .expiry_seconds
        .saturating_sub(u32::try_from(waited).unwrap_or(u32::MAX))
}

fn will_row(will: &v1::Will) -> Option<WillRow> {
    let message = will.message.as_ref()?;
    Some(WillRow {
        topic: message.topic.clone(),
        message: message.payload.clone(),
        qos: message.qos,
        retain: message.retain,
    })
}

impl TableView {
    fn known(&self, session: &Session) -> KnownSession {
        KnownSession {
            row: row(session, &self.engine, crate::shard::wall_clock_ms()),
            local_address: session.attributes.local_address.clone(),
            epoch: session.epoch.into(),
        }
    }
}

impl ReplicatedView for TableView {
    fn applied_index(&self) -> u64 {
        self.engine.store.table().read().applied_index()
    }

    fn nodes(&self) -> Vec<KnownNode> {
        let table = self.engine.store.table().read();
        let nodes = table.nodes();
        nodes
            .map(|(id, node)| KnownNode {
                id: id.into(),
                rpc_address: node.rpc_address.to_string(),
                is_up: node.is_up,
                drain: node.drain.map(|drain| KnownDrain {
                    clients_per_second: drain.clients_per_second,
                    since_ms: drain.since_ms,
                }),
            })
            .collect()
    }

    fn session(&self, client_id: &str) -> Option<KnownSession> {
        self.engine
            .store
            .table()
            .read()
            .session(client_id)
            .map(|session| self.known(session))
    }

    fn sessions_after(&self, after: Option<&str>, count: usize) -> Vec<KnownSession> {
        let table = self.engine.store.table().read();
        table
            .sessions_from(after)
            .take(count)
            .map(|session| self.known(session))
            .collect()
    }

    fn subscriptions_after(
        &self,
        scope: &SubscriptionScope,
        after: Option<&SubscriptionPlace>,
        count: usize,
    ) -> SubscriptionPiece {
        let after = after.map(listing::place_in_table);
        let table = self.engine.store.table().read();
        let piece = table.subscriptions_listed(listing::scope(scope), after.as_ref(), count);
        listing::known(piece)
    }

    fn routes_after(&self, after: Option<&(String, u64)>, count: usize) -> Vec<(String, u64)> {
        let table = self.engine.store.table().read();
        let after = after.map(|(filter, node)| (filter.as_str(), (*node).into()));
        table
            .routes_from(after)
            .take(count)
            .map(|(filter, node)| (filter.to_string(), node.into()))
            .collect()
    }

    fn routes_matching(
        &self,
        topic: &str,
        after: Option<&(String, u64)>,
        count: usize,
    ) -> Vec<(String, u64)> {
        let after = after.map(|(filter, node)| (filter.as_str(), (*node).into()));
        let table = self.engine.store.table().read();
        let routes = table.routes_matching(topic, after, count);
        routes
            .into_iter()
            .map(|(filter, node)| (filter.to_string(), node.into()))
            .collect()
    }

    fn end_session(&self, client_id: &str) -> BoxFuture<'_, Result<(), ReplicationError>> {
        let end = v1::EndSession {
            client_id: client_id.to_owned(),
            now_ms: crate::shard::wall_clock_ms(),
            offline_epoch: None,
        };
        let op = v1::Op {
            kind: Some(v1::op::Kind::EndSession(end)),
        };
        let proposal = self.engine.store.propose(op);
        Box::pin(async move {
            proposal
                .await
                .map(drop)
                .map_err(|error| ReplicationError(error.to_string()))
        })
    }

    fn set_drain(
        &self,
        node_id: u64,
        order: Option<DrainOrder>,
    ) -> BoxFuture<'_, Result<(), DrainRefusal>> {
        Box::pin(drain::set(&self.engine, node_id, order))
    }

    fn bans_after(&self, after: Option<(BanOf, &str)>, count: usize) -> Vec<Arc<Ban>> {
        let table = self.engine.store.table().read();
        table.bans_behind(after).take(count).cloned().collect()
    }

    fn set_ban(&self, ban: Ban) -> BoxFuture<'_, Result<(), BanRefusal>> {
        Box::pin(bans::set(&self.engine, ban))
    }

    fn lift_ban(&self, of: BanOf, who: &str) -> BoxFuture<'_, Result<bool, ReplicationError>> {
        Box::pin(bans::lift(&self.engine, of, who.to_owned()))
    }

    fn members(&self) -> BTreeMap<u64, String> {
        self.engine.store.members()
    }

    fn admit(
        &self,
        node_id: u64,
        address: String,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>> {
        Box::pin(async move { self.engine.store.admit(node_id, &address, mode).await })
    }

    fn remove(
        &self,
        node_id: u64,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>> {
        Box::pin(self.engine.store.remove(node_id, mode))
    }

    fn end_offline(
        &self,
        client_id: &str,
        epoch: u64,
    ) -> BoxFuture<'_, Result<bool, ReplicationError>> {
        let end = v1::EndSession {
            client_id: client_id.to_owned(),
            now_ms: crate::shard::wall_clock_ms(),
            offline_epoch: Some(epoch),
        };
        let op = v1::Op {
            kind: Some(v1::op::Kind::EndSession(end)),
        };
        Box::pin(async move {
            match self.engine.propose(op).await {
                Ok(outcome) => Ok(matches!(outcome, Outcome::Ended(_))),
                Err(error) => Err(ReplicationError(error.to_string())),
            }
        })
    }

    fn retained_after(&self, filter: &str, after: Option<&str>, count: usize) -> RetainedPiece {
        let table = self.engine.store.table().read();
        retained::piece(&table, filter, after, count)
    }

    fn retained(&self, topic: &str) -> Option<KnownRetained> {
        let table = self.engine.store.table().read();
        table.retained(topic).map(retained::known)
    }

    fn delete_retained(&self, topic: &str) -> BoxFuture<'_, Result<(), ReplicationError>> {
        let op = retained::deletion(topic, crate::shard::wall_clock_ms());
        Box::pin(async move {
            match self.engine.propose(op).await {
                Ok(Outcome::Retained) => Ok(()),
                Ok(other) => Err(ReplicationError(format!("{other:?}"))),
                Err(error) => Err(ReplicationError(error.to_string())),
            }
        })
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<(), ReplicationError>> {
        Box::pin(async {
            self.engine
                .store
                .read_barrier()
                .await
                .map_err(|error| ReplicationError(error.to_string()))
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<u64, ReplicationError>> {
        Box::pin(async {
            let written = self.engine.store.checkpoint().await;
            written.map_err(|error| ReplicationError(error.to_string()))
        })
    }

    fn readiness(&self) -> Result<(), String> {
        vitals::readiness(&self.engine)
    }
}
