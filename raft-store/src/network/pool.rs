//! Connections to the peers: opened when first used, kept, and opened anew when they break.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use raftmq_proto::v1::raft_client::RaftClient;
use tonic::transport::{Channel, Endpoint};

use super::MESSAGE_BYTES_MAX;
use crate::config::Peer;
use crate::raft_types::Member;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Small requests that must not wait.
    Raft,
    /// Snapshots.
    Snapshot,
}

/// All connections of this node, by address and purpose.
#[derive(Debug)]
pub(crate) struct PeerPool {
    /// The configured address of each node.
    configured: BTreeMap<u64, String>,
    channels: Mutex<HashMap<(String, Purpose), Channel>>,
}

impl PeerPool {
    pub(crate) fn new(peers: &[Peer]) -> Self {
        let configured = peers.iter().map(|peer| (peer.id, peer.address.clone()));
        Self {
            configured: configured.collect(),
            channels: Mutex::default(),
        }
    }

    /// Where this node reaches a member: at the address that an operator gave at run time, or else at the
    /// one of this node's own list of peers, or else at the one of the day when the cluster was formed.
    pub(crate) fn address_of<'a>(&'a self, member: &'a Member) -> &'a str {
        match self.configured.get(&member.node_id) {
            Some(configured) if !member.address_is_fixed => configured,
            _ => &member.address,
        }
    }

    /// A client for a member.
    pub(crate) fn client_of(
        &self,
        member: &Member,
        purpose: Purpose,
    ) -> Result<RaftClient<Channel>, tonic::Status> {
        self.client(self.address_of(member), purpose)
    }

    /// A client for "host:port". Connecting happens with the first request, and the name is looked up
    /// anew with each attempt. Errors only for what is no address at all.
    pub(crate) fn client(
        &self,
        address: &str,
        purpose: Purpose,
    ) -> Result<RaftClient<Channel>, tonic::Status> {
        let mut channels = self.channels.lock();
        let key = (address.to_owned(), purpose);
        let channel = match channels.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = endpoint(address)?.connect_lazy();
                channels.insert(key, channel.clone());
                channel
            }
        };
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }
}

fn endpoint(address: &str) -> Result<Endpoint, tonic::Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        tonic::Status::invalid_argument(format!("{address} is no address: {error}"))
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}
