//! Rows of the HTTP API as the tests compare them.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::wait::eventually;

impl Cluster {
    /// The routes as node `asked` tells them: (topic filter, node), in its order.
    ///
    /// # Errors
    /// The node did not answer with rows.
    pub async fn routes(&self, asked: u64) -> Result<Vec<(String, u64)>, String> {
        let rows = self.node(asked).http().try_json("/api/v1/routes").await?;
        let route =
            |row: &Value| Some((row["topic"].as_str()?.to_owned(), row["node_id"].as_u64()?));
        let rows = rows.as_array().ok_or("no array")?;
        rows.iter()
            .map(|row| route(row).ok_or_else(|| format!("no route: {row}")))
            .collect()
    }

    /// The rows of `/clients` whose identifier contains `like`, as node `asked` tells them.
    ///
    /// # Errors
    /// The node did not answer with rows.
    pub async fn clients_like(&self, asked: u64, like: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/clients?_like_clientid={like}");
        let rows = self.node(asked).http().try_json(&path).await?;
        rows.as_array()
            .cloned()
            .ok_or_else(|| format!("no array: {rows}"))
    }

    /// Waits until each of these nodes tells the same routes and returns them.
    ///
    /// # Panics
    /// When they do not before the deadline.
    pub async fn same_routes(&self, ids: &[u64], deadline: Duration) -> Vec<(String, u64)> {
        eventually("the same routes on all nodes", deadline, async || {
            let mut told = Vec::new();
            for &id in ids {
                told.push(self.routes(id).await?);
            }
            if told.windows(2).all(|pair| pair[0] == pair[1]) {
                Ok(told.swap_remove(0))
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await
    }

    /// Waits until each of these nodes tells exactly these routes (in any order).
    ///
    /// # Panics
    /// When they do not before the deadline.
    pub async fn routes_become(&self, ids: &[u64], expected: &[(&str, u64)], deadline: Duration) {
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(f, n)| ((*f).to_owned(), *n))
            .collect();
        expected.sort();
        eventually("these routes on all nodes", deadline, async || {
            for &id in ids {
                let mut told = self.routes(id).await?;
                told.sort();
                if told != expected {
                    return Err(format!("node {id}: {told:?}, expected {expected:?}"));
                }
            }
            Ok(())
        })
        .await;
    }
}
