//! Keeps the books: by how much has which counter of which node grown since the last step.

use std::collections::{BTreeMap, BTreeSet};

use raftmq_cluster_tests::{Cluster, SOON, eventually};
use serde_json::Value;

pub(super) type Values = BTreeMap<String, u64>;

/// What the counters were when the last step ended.
pub(super) struct Book<'c> {
    pub(super) cluster: &'c Cluster,
    /// By node; a node that does not answer is left out.
    pub(super) before: BTreeMap<u64, Values>,
    pub(super) moved: BTreeSet<String>,
}

impl<'c> Book<'c> {
    pub(super) async fn open(cluster: &'c Cluster) -> Self {
        let before = metrics(cluster).await.expect("metrics");
        Self {
            cluster,
            before,
            moved: BTreeSet::new(),
        }
    }

    /// Waits until the counters have grown by exactly this, node by node.
    pub(super) async fn grows(&mut self, step: &str, expected: &[(&str, [u64; 3])]) {
        let mut wanted: BTreeMap<(u64, String), u64> = BTreeMap::new();
        for (name, growth) in expected {
            for node in self.before.keys() {
                let by = growth[*node as usize - 1];
                wanted.extend((by > 0).then(|| ((*node, (*name).to_owned()), by)));
            }
            self.moved.insert((*name).to_owned());
        }
        self.before = eventually(step, SOON, async || {
            let now = metrics(self.cluster).await?;
            let grown = growth(&self.before, &now);
            let differs = |at: &&(u64, String)| grown.get(*at) != wanted.get(*at);
            let all: BTreeSet<_> = grown.keys().chain(wanted.keys()).collect();
            let wrong: Vec<_> = all.into_iter().filter(differs).collect();
            if wrong.is_empty() {
                return Ok(now);
            }
            let told = wrong.iter().map(|at| {
                format!(
                    "{at:?}: {:?}, expected {:?}",
                    grown.get(*at),
                    wanted.get(*at)
                )
            });
            Err(told.collect::<Vec<_>>().join("; "))
        })
        .await;
    }
}

pub(super) fn growth(
    before: &BTreeMap<u64, Values>,
    now: &BTreeMap<u64, Values>,
) -> BTreeMap<(u64, String), u64> {
    let mut grown = BTreeMap::new();
    for (node, values) in now {
        for (name, value) in values {
            let by = value - before[node][name];
            grown.extend((by > 0).then(|| ((*node, name.clone()), by)));
        }
    }
    grown
}

/// Every node's counters as node 1 tells them.
pub(super) async fn metrics(cluster: &Cluster) -> Result<BTreeMap<u64, Values>, String> {
    let rows = cluster.node(1).http().try_json("/api/v1/metrics").await?;
    let rows = rows.as_array().ok_or("no array")?;
    let told = rows.iter().filter(|row| row["metrics"].is_object());
    let node = |row: &Value| Some((row["node"]["id"].as_u64()?, values(&row["metrics"])));
    told.map(|row| node(row).ok_or_else(|| format!("no node: {row}")))
        .collect()
}

pub(super) fn values(object: &Value) -> Values {
    let entries = object.as_object().expect("an object").iter();
    entries
        .map(|(name, value)| (name.clone(), value.as_u64().expect("a number")))
        .collect()
}
