//! Very many sessions, made cheaply: each client connects, subscribes to all its filters with one
//! packet, and leaves; its session stays. So a hundred thousand sessions need few connections at once.

use futures::StreamExt;
use futures::stream;

use crate::cluster::Cluster;
use crate::raw::{RawClient, packet};
use crate::{SOON, START};

/// Connections at once.
const CONNECTIONS_MAX: usize = 32;

/// Clients `crowd-000000`, `crowd-000001`, …, spread over the nodes of a cluster, with as many
/// subscriptions each: to `all`, to `hundred/<number modulo 100>`, and to `own/<number>/<n>`.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Number of clients, up to a million.
    pub clients: u32,
    /// Subscriptions of each, at least 2.
    pub filters: u32,
}

impl Crowd {
    /// The client identifiers in their order.
    pub fn client_ids(self) -> impl Iterator<Item = String> {
        (0..self.clients).map(client_id)
    }

    /// Makes the sessions and waits until all are offline and known on every node.
    ///
    /// # Panics
    /// When a node refuses a client or a subscription.
    pub async fn gather(self, cluster: &Cluster) {
        let nodes = cluster.ids();
        let made = stream::iter(0..self.clients).map(|number| {
            let node = nodes[number as usize % nodes.len()];
            self.visit(cluster.node(node).mqtt(), number)
        });
        made.buffer_unordered(CONNECTIONS_MAX)
            .collect::<Vec<()>>()
            .await;
        for node in nodes {
            let path = "/api/v1/clients?connected=true&_limit=1";
            crate::eventually("everybody has left", START, async || {
                match cluster.node(node).http().try_json(path).await?.as_array() {
                    Some(rows) if rows.is_empty() => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
    }

    async fn visit(self, address: std::net::SocketAddr, number: u32) {
        let mut client = RawClient::open(address).await;
        let mut request = packet::connect(4, &client_id(number), false, 60);
        request.extend(self.subscribe(number));
        client.send(&request).await;
        let connack = client.next_frame(SOON).await.expect("a CONNACK");
        assert_eq!(connack.connack_code(), 0);
        let suback = client.next_frame(SOON).await.expect("a SUBACK");
        assert_eq!(suback.body.len(), 2 + self.filters as usize);
        client.send(&packet::DISCONNECT).await;
        client.frames_until_closed(SOON).await;
    }

    fn subscribe(self, number: u32) -> Vec<u8> {
        let own = (2..self.filters).map(|n| format!("own/{number}/{n}"));
        let shared = ["all".to_owned(), format!("hundred/{}", number % 100)];
        let mut body = 1_u16.to_be_bytes().to_vec();
        for filter in shared.into_iter().chain(own) {
            body.extend(packet::string(&filter));
            body.push(1);
        }
        packet::framed(0x82, &body)
    }
}

fn client_id(number: u32) -> String {
    format!("crowd-{number:06}")
}
