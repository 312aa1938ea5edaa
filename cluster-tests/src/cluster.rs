//! Several members, their addresses and the links between them.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use crate::address::Loopback;
use crate::http::Http;
use crate::members::Roles;
use crate::node::{Addresses, Node};
use crate::proxy::{Link, LinkState};
use crate::wait::eventually;
use crate::{Connect, START};

const MQTT_PORT: u16 = 21_000;
const HTTP_PORT: u16 = 22_000;
const RPC_PORT: u16 = 23_000;
const LINK_PORT: u16 = 24_000;

/// What to build.
#[derive(Debug, Clone)]
pub struct Setup {
    nodes: u64,
    linked: bool,
    settings: Vec<(String, String)>,
}

impl Setup {
    /// Members 1 to `nodes`, directly connected, with the default settings.
    #[must_use]
    pub fn nodes(nodes: u64) -> Self {
        Self {
            nodes,
            linked: false,
            settings: Vec::new(),
        }
    }

    /// Every node reaches every other through a [`Link`] of its own.
    #[must_use]
    pub fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// Sets an environment variable for all nodes.
    #[must_use]
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.settings.push((variable.into(), value.into()));
        self
    }

    /// Builds the cluster without starting a node.
    #[must_use]
    pub fn build(self) -> Cluster {
        let address = Loopback::reserve();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ids: Vec<u64> = (1..=self.nodes).collect();
        let links = if self.linked {
            links(&address, &ids)
        } else {
            BTreeMap::new()
        };
        let make = |&id: &u64| {
            let at = Addresses {
                mqtt: address.port(port(MQTT_PORT, id)),
                http: address.port(port(HTTP_PORT, id)),
                rpc: address.port(port(RPC_PORT, id)),
            };
            let mut node = Node::new(
                id,
                at,
                peers(&address, &ids, id, self.linked),
                folder.path(),
            );
            self.settings
                .iter()
                .for_each(|(name, value)| node.set(name, value));
            node
        };
        let nodes = ids.iter().map(make).collect();
        Cluster {
            nodes,
            links,
            folder: Some(folder),
            address,
        }
    }

    /// Builds the cluster, starts all nodes and waits until they serve.
    ///
    /// # Panics
    /// When they do not within [`START`].
    pub async fn start(self) -> Cluster {
        let mut cluster = self.build();
        cluster.start_all();
        cluster.all_ready().await;
        cluster
    }
}

fn port(base: u16, offset: u64) -> u16 {
    base + u16::try_from(offset).expect("few nodes")
}

fn link_port(from: u64, to: u64) -> u16 {
    port(LINK_PORT, from * 10 + to)
}

/// What node `own` is told: the others through its links, itself where it really listens.
fn peers(address: &Loopback, ids: &[u64], own: u64, linked: bool) -> String {
    let entry = |&id: &u64| {
        let direct = id == own || !linked;
        let port = if direct {
            port(RPC_PORT, id)
        } else {
            link_port(own, id)
        };
        format!("{id}@{}", address.port(port))
    };
    ids.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn links(address: &Loopback, ids: &[u64]) -> BTreeMap<(u64, u64), Link> {
    let pairs = ids
        .iter()
        .flat_map(|&from| ids.iter().map(move |&to| (from, to)));
    let pairs = pairs.filter(|(from, to)| from != to);
    let link = |(from, to)| {
        let (listen, target) = (
            address.port(link_port(from, to)),
            address.port(port(RPC_PORT, to)),
        );
        ((from, to), Link::start(listen, target))
    };
    pairs.map(link).collect()
}

/// The cluster. Dropping it kills all processes; when a test has failed, its folder stays.
pub struct Cluster {
    // Before `folder`: processes end before their files go.
    nodes: Vec<Node>,
    links: BTreeMap<(u64, u64), Link>,
    folder: Option<TempDir>,
    address: Loopback,
}

impl Cluster {
    /// Starts `nodes` directly connected members with the default settings and waits until they serve.
    ///
    /// # Panics
    /// When they do not within [`START`].
    pub async fn start(nodes: u64) -> Self {
        Setup::nodes(nodes).start().await
    }

    /// Starts every node that does not run.
    pub fn start_all(&mut self) {
        for node in &mut self.nodes {
            if !node.is_running() {
                node.start();
            }
        }
    }

    /// The numbers of all nodes.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        self.nodes.iter().map(Node::id).collect()
    }

    /// The numbers of all nodes but one.
    #[must_use]
    pub fn others(&self, id: u64) -> Vec<u64> {
        self.ids()
            .into_iter()
            .filter(|&other| other != id)
            .collect()
    }

    /// Node `id`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, id: u64) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.id() == id)
            .expect("a node of the cluster")
    }

    /// Node `id`, to change it.
    ///
    /// # Panics
    /// When there is none.
    pub fn node_mut(&mut self, id: u64) -> &mut Node {
        self.nodes
            .iter_mut()
            .find(|node| node.id() == id)
            .expect("a node of the cluster")
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The cluster's own address, for more listeners.
    #[must_use]
    pub fn address(&self) -> &Loopback {
        &self.address
    }

    /// A CONNECT to node `node` for client `id`.
    #[must_use]
    pub fn connect(&self, node: u64, id: &str) -> Connect {
        Connect::new(self.node(node).mqtt(), id)
    }

    /// Waits until all nodes serve.
    ///
    /// # Panics
    /// When they do not within [`START`].
    pub async fn all_ready(&self) {
        self.ready(&self.ids()).await;
    }

    /// Waits until these nodes serve, that is: `/ready` answers 200.
    ///
    /// # Panics
    /// When they do not within [`START`].
    pub async fn ready(&self, ids: &[u64]) {
        for &id in ids {
            eventually(&format!("node {id} ready"), START, async || {
                self.is_ready(id).await
            })
            .await;
        }
    }

    /// Waits until node `id` runs and says that it does not serve; returns the reason.
    ///
    /// # Panics
    /// When it does not before the deadline.
    pub async fn not_ready(&self, id: u64, deadline: Duration) -> String {
        eventually(&format!("node {id} not ready"), deadline, async || {
            let answer = self.node(id).http().try_get("/ready").await?;
            if answer.status == 503 {
                Ok(answer.body)
            } else {
                Err(format!("{answer:?}"))
            }
        })
        .await
    }

    async fn is_ready(&self, id: u64) -> Result<(), String> {
        let answer = self.node(id).http().try_get("/ready").await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(format!("{} {}", answer.status, answer.body))
        }
    }

    /// Which node leads now and which follow.
    ///
    /// # Panics
    /// When no node leads within [`START`].
    pub async fn roles(&self) -> Roles {
        crate::members::roles(self).await
    }

    /// Waits until every node's links to all others are up. A ready node serves before they are: what
    /// it forwards waits for them.
    ///
    /// # Panics
    /// When they are not within [`START`].
    pub async fn links_up(&self) {
        self.links_up_by(self.node(self.ids()[0]).http()).await;
    }

    /// The same, asking in this way: with a token, for example.
    ///
    /// # Panics
    /// As [`Cluster::links_up`].
    pub async fn links_up_by(&self, http: &Http) {
        eventually("all links up", START, async || {
            let overview = http.try_json("/api/v1/cluster").await?;
            let nodes = overview["nodes"].as_array().into_iter().flatten();
            let mut links = nodes.map(|node| node["links"].as_array());
            let up = |links: &Vec<serde_json::Value>| links.iter().all(|link| link["up"] == true);
            if links.all(|links| links.is_some_and(up)) {
                Ok(())
            } else {
                Err(overview.to_string())
            }
        })
        .await;
    }

    /// The link by which `from` reaches `to`.
    ///
    /// # Panics
    /// When the cluster was not built with [`Setup::linked`].
    #[must_use]
    pub fn link(&self, from: u64, to: u64) -> &Link {
        self.links
            .get(&(from, to))
            .expect("a cluster built with Setup::linked")
    }

    /// Brings all links from and to a node into a state.
    pub fn set_links_of(&self, id: u64, state: LinkState) {
        for other in self.others(id) {
            self.link(id, other).set(state);
            self.link(other, id).set(state);
        }
    }

    /// Opens all links.
    pub fn heal(&self) {
        self.links
            .values()
            .for_each(|link| link.set(LinkState::Open));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            println!("the nodes' files stay in {}", folder.keep().display());
        }
    }
}
