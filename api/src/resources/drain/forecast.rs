//! What it would mean to drain a node: whom it concerns, how long it takes, who takes the clients, and
//! whether the node can be stopped after it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{StayBehind, seconds};
use crate::api::Member;
use crate::cluster::evidence::{self, NodeEvidence};
use crate::node::DrainReply;
use crate::replicated::KnownNode;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DrainForecast")]
pub(super) struct Forecast {
    node_id: u64,
    node_name: String,
    /// Whether the order would be taken.
    possible: bool,
    clients: u64,
    /// Those whose sessions move with them.
    persistent_clients: u64,
    clients_per_second: u32,
    /// `null`: clients stay.
    seconds: Option<u64>,
    stay_behind: StayBehind,
    /// Whether leadership is handed over first.
    leads: bool,
    taken_by: Vec<Taker>,
    quorum: Quorum,
}

/// A node that would take clients.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Taker {
    node_id: u64,
    node_name: String,
    connections: u64,
    /// How many more it may have.
    free: u64,
}

/// A draining node goes on voting; the question is what happens when it is stopped.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Quorum {
    voters: usize,
    up: usize,
    needed: usize,
    /// Voters that are up without this node.
    up_without: usize,
    safe_to_stop: bool,
}

impl Forecast {
    pub(super) fn new(
        member: &Member,
        load: &DrainReply,
        clients_per_second: u32,
        nodes: &[NodeEvidence],
        known: &[KnownNode],
    ) -> Self {
        let taken_by = takers(member.id, nodes, known);
        let others = known.iter().filter(|node| node.id != member.id);
        let is_draining = known
            .iter()
            .any(|node| node.id == member.id && node.drain.is_some());
        let mut others = others.filter(|node| node.is_up && node.drain.is_none());
        let paced = clients_per_second > 0;
        Self {
            node_id: member.id,
            node_name: member.name.clone(),
            possible: is_draining || others.next().is_some(),
            clients: load.clients,
            persistent_clients: load.persistent_clients,
            clients_per_second,
            seconds: paced.then(|| seconds(load.clients, clients_per_second)),
            stay_behind: load.into(),
            leads: load.leads,
            taken_by,
            quorum: Quorum::without(member.id, nodes),
        }
    }
}

fn takers(drained: u64, nodes: &[NodeEvidence], known: &[KnownNode]) -> Vec<Taker> {
    let takes = |id: u64| {
        let mut known = known.iter();
        known.any(|node| node.id == id && node.is_up && node.drain.is_none())
    };
    evidence::answered(nodes)
        .filter(|(node, answer)| {
            node.id != drained && answer.not_ready.is_empty() && takes(node.id)
        })
        .map(|(node, answer)| Taker {
            node_id: node.id,
            node_name: node.name.clone(),
            connections: answer.connections,
            free: answer.connections_max.saturating_sub(answer.connections),
        })
        .collect()
}

impl Quorum {
    fn without(drained: u64, nodes: &[NodeEvidence]) -> Self {
        let voters: Vec<_> = evidence::members(nodes)
            .iter()
            .filter(|member| member.is_voter)
            .collect();
        let up = voters.iter().filter(|member| member.is_up);
        let up_without = up.clone().filter(|member| member.node_id != drained);
        let (up, up_without) = (up.count(), up_without.count());
        let needed = voters.len() / 2 + 1;
        Self {
            voters: voters.len(),
            up,
            needed,
            up_without,
            safe_to_stop: up_without >= needed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::doctor::testing::{node, silent};
    use crate::replicated::KnownDrain;

    fn known(id: u64, is_up: bool, drain: Option<KnownDrain>) -> KnownNode {
        KnownNode {
            id,
            rpc_address: format!("n{id}:7000"),
            is_up,
            drain,
        }
    }

    #[test]
    fn only_nodes_that_serve_and_do_not_drain_take_clients() {
        let nodes = [
            node(1, |_| {}),
            node(2, |_| {}),
            node(3, |n| n.not_ready = "joining".into()),
            silent(4),
            node(5, |_| {}),
        ];
        let drain = KnownDrain {
            clients_per_second: 1,
            since_ms: 1,
        };
        let known: Vec<_> = (1..=5)
            .map(|id| known(id, true, (id == 5).then_some(drain)))
            .collect();
        let takers = takers(1, &nodes, &known);
        let ids: Vec<_> = takers.iter().map(|taker| taker.node_id).collect();
        assert_eq!(ids, [2]);
        assert_eq!((takers[0].connections, takers[0].free), (10, 990));
    }

    #[test]
    fn with_one_node_down_no_other_one_may_stop() {
        let down = |id: u64| node(id, |n| n.members[2].is_up = false);
        let whole = Quorum::without(1, &[node(1, |_| {}), node(2, |_| {})]);
        assert!(whole.safe_to_stop, "{whole:?}");
        let narrow = Quorum::without(1, &[down(1), down(2)]);
        assert_eq!((narrow.up, narrow.up_without, narrow.needed), (2, 1, 2));
        assert!(!narrow.safe_to_stop);
        let of_the_dead = Quorum::without(3, &[down(1), down(2)]);
        assert!(of_the_dead.safe_to_stop, "it is down anyway");
    }
}
