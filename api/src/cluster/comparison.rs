//! The tables of all nodes at one log entry.
//!
//! While a cluster is busy its nodes are at different entries, so their tables differ all the time. Here
//! a log entry is written that changes nothing, and each node hashes its table as it is right after it.

use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;

/// What each node says of its table at one log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The entry.
    pub(crate) index: u64,
    /// In ascending order of node identifier.
    pub(crate) nodes: Vec<(u64, Result<u64, String>)>,
}

impl Comparison {
    /// Whether all tables are known and the same.
    pub(crate) fn is_consistent(&self) -> bool {
        let first = self.nodes.first().map(|(_, hash)| hash);
        let same = |(_, hash): &(u64, Result<u64, String>)| hash.is_ok() && Some(hash) == first;
        self.nodes.iter().all(same)
    }

    /// Whether two nodes have different tables.
    pub(crate) fn differs(&self) -> bool {
        let mut hashes = self.nodes.iter().filter_map(|(_, hash)| hash.as_ref().ok());
        let first = hashes.next();
        hashes.any(|hash| Some(hash) != first)
    }
}

/// Writes the entry and asks all nodes. One comparison at a time; others wait for their turn.
///
/// # Errors
/// 503 when the entry cannot be written: no leader, or this node does not serve.
pub(crate) async fn compare(api: &Api) -> Result<Comparison, ApiError> {
    let closed = |_| ApiError::new(Code::Stopping, "This node stops.");
    let _turn = api.comparing().acquire().await.map_err(closed)?;
    let index = checkpoint(api).await?;
    let ask = api.ask_all(|node| Box::pin(async move { node.table_hash(index).await }));
    let nodes = ask.await.into_iter().map(|(member, answer)| {
        let hash = answer.map_err(|error| error.to_string());
        (member.id, hash)
    });
    Ok(Comparison {
        index,
        nodes: nodes.collect(),
    })
}

async fn checkpoint(api: &Api) -> Result<u64, ApiError> {
    let limit = api.config().peer_timeout;
    let written = tokio::time::timeout(limit, api.replicated().checkpoint()).await;
    let failed = match written {
        Ok(Ok(index)) => return Ok(index),
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            format!("the log entry at which tables are compared was not applied in {limit:?}")
        }
    };
    Err(ApiError::new(Code::NoLeader, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(hashes: &[Result<u64, &str>]) -> Comparison {
        let nodes = hashes.iter().zip(1..);
        let nodes = nodes.map(|(hash, id)| (id, hash.map_err(str::to_owned)));
        Comparison {
            index: 7,
            nodes: nodes.collect(),
        }
    }

    #[test]
    fn equal_hashes_are_consistent() {
        let equal = comparison(&[Ok(5), Ok(5), Ok(5)]);
        assert!(equal.is_consistent() && !equal.differs());
    }

    #[test]
    fn one_other_hash_is_a_difference() {
        let other = comparison(&[Ok(5), Err("gone"), Ok(6)]);
        assert!(!other.is_consistent() && other.differs());
    }

    #[test]
    fn a_node_that_is_not_known_is_neither_consistent_nor_a_difference() {
        for silent in [
            comparison(&[Ok(5), Err("gone")]),
            comparison(&[Err("gone"), Err("gone")]),
        ] {
            assert!(!silent.is_consistent() && !silent.differs());
        }
    }
}
