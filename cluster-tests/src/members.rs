//! Who leads.
//!
//! Which node leads is of no concern to clients, so it is only told by the operators' endpoint
//! `/api/v1/cluster` and by the log; either will do.

use crate::START;
use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::eventually;

/// The leader and the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The leader.
    pub leader: u64,
    /// All other nodes, in ascending order.
    pub followers: Vec<u64>,
}

/// Waits until all nodes that answer name the same leader, which is one of them.
///
/// # Panics
/// When they do not within [`START`].
pub async fn roles(cluster: &Cluster) -> Roles {
    let leader = eventually("one leader", START, async || agreed_leader(cluster).await).await;
    Roles {
        leader,
        followers: cluster.others(leader),
    }
}

async fn agreed_leader(cluster: &Cluster) -> Result<u64, String> {
    let (mut alive, mut leaders) = (Vec::new(), Vec::new());
    for node in cluster.nodes() {
        if node.http().try_get("/live").await.is_err() {
            continue;
        }
        alive.push(node.id());
        let named = named_by(node).await;
        leaders.push(named.ok_or_else(|| format!("node {} names no leader", node.id()))?);
    }
    leaders.dedup();
    match leaders[..] {
        [leader] if alive.contains(&leader) => Ok(leader),
        _ => Err(format!("leaders named by {alive:?}: {leaders:?}")),
    }
}

async fn named_by(node: &Node) -> Option<u64> {
    match node.http().try_json("/api/v1/cluster").await {
        Ok(body) => body["leader_id"].as_u64(),
        Err(_) => node.log_text().lines().rev().find_map(leader_in_line),
    }
}

/// The number after `leader=` or `leader_id=` in a line of the log.
fn leader_in_line(line: &str) -> Option<u64> {
    let after = line
        .split_once("leader=")
        .or_else(|| line.split_once("leader_id="))?
        .1;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_read_from_a_line_of_the_log() {
        assert_eq!(
            leader_in_line("INFO this node follows leader=3 term=2"),
            Some(3)
        );
        assert_eq!(leader_in_line("INFO no leader"), None);
    }
}
