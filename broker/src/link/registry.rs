//! All links of a node, by place.
//!
//! A place is for good: shards count what they send by it. A link is made for every member, at the latest
//! when somebody has something for it; one to a node that is not a member any more stays in its place and
//! rests, in case the node comes back.

use super::{Link, sender};
use crate::{engine::Engine, shard::mailbox::Mailbox};
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};

/// Time between two checks of a peer's connection, and how long its answer may take.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the answer to such a check may take.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// HTTP/2 windows between nodes, in bytes: of a stream.
pub const STREAM_WINDOW: u32 = 4 << 20;
/// And of a connection.
pub const CONNECTION_WINDOW: u32 = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked who the members are.
const MEMBERS_POLL: Duration = Duration::from_millis(200);

/// The links at one moment.
pub type LinkList = Arc<Vec<Arc<Link>>>;

/// Makes and keeps links.
pub struct Links {
    list: RwLock<LinkList>,
    /// Length of the list, for those who only want to know whether it has grown.
    count: AtomicUsize,
    window_bytes: usize,
    mailboxes: Vec<Arc<Mailbox>>,
    /// Addresses of the own list of peers, for the time before there is a membership.
    configured: BTreeMap<u64, String>,
    /// Where the tasks of links run, once they may.
    tasks: OnceLock<(Handle, Weak<Engine>)>,
}

impl Links {
    /// One to each configured peer; each link will hold at most about `window_bytes`.
    pub fn new(
        configured: BTreeMap<u64, String>,
        window_bytes: usize,
        mailboxes: Vec<Arc<Mailbox>>,
    ) -> Links {
        let links = Links {
            list: RwLock::default(),
            count: AtomicUsize::new(0),
            window_bytes,
            mailboxes,
            configured,
            tasks: OnceLock::new(),
        };
        for peer in links.configured.keys() {
            links.place_of(*peer);
        }
        links
    }

    /// From now on links have their streams.
    pub fn run(&self, engine: &Arc<Engine>) {
        // Under the lock, so that no link is made in between and started by nobody.
        let list = self.list.write();
        let tasks = (Handle::current(), Arc::downgrade(engine));
        if self.tasks.set(tasks).is_ok() {
            list.iter().for_each(|link| self.start(link));
        }
    }

    /// All of them.
    pub fn list(&self) -> LinkList {
        Arc::clone(&self.list.read())
    }

    /// Those to members.
    pub fn at_work(&self) -> Vec<Arc<Link>> {
        let list = self.list();
        let at_work = list.iter().filter(|link| !link.rests());
        at_work.cloned().collect()
    }

    /// How many there are; it only grows.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Place of the link to a node, made when there is none.
    pub fn place_of(&self, node: u64) -> usize {
        let place = |list: &LinkList| list.iter().position(|link| link.peer() == node);
        if let Some(place) = place(&self.list.read()) {
            return place;
        }
        let mut list = self.list.write();
        if let Some(place) = place(&list) {
            return place;
        }
        let link = Link::new(node, self.window_bytes, self.mailboxes.clone());
        let link = Arc::new(link);
        self.start(&link);
        Arc::make_mut(&mut *list).push(link);
        self.count.store(list.len(), Ordering::Release);
        list.len() - 1
    }

    /// The link to a node that has one.
    pub fn find(&self, node: u64) -> Option<Arc<Link>> {
        let list = self.list.read();
        list.iter().find(|link| link.peer() == node).cloned()
    }

    /// The connection to the node at the other end, where it is now; `None`: it is no member.
    pub fn channel(&self, engine: &Engine, link: &Link) -> Option<Channel> {
        let members = engine.store.members();
        let known = match members.is_empty() {
            true => self.configured.get(&link.peer()),
            false => members.get(&link.peer()),
        };
        link.set_rests(known.is_none());
        let (runtime, _) = self.tasks.get()?;
        // The connection belongs to the node, not to the shard that happens to need it first.
        let _entered = runtime.enter();
        link.channel_to(known?, channel)
    }

    fn start(&self, link: &Arc<Link>) {
        if let Some((runtime, engine)) = self.tasks.get()
            && let Some(engine) = engine.upgrade()
        {
            runtime.spawn(sender::run(engine, Arc::clone(link)));
        }
    }
}

/// Sees to it that there is a link to every member, for as long as the node runs.
pub async fn follow_members(engine: Arc<Engine>) {
    let mut ended = engine.ended.clone();
    while !*ended.borrow_and_update() {
        let members = engine.store.members();
        let others = members.keys().filter(|id| **id != engine.node_id);
        for other in others {
            engine.links.place_of(*other);
        }
        let _ = tokio::time::timeout(MEMBERS_POLL, ended.changed()).await;
    }
}

/// A connection that is made when it is first used.
///
/// # Errors
/// It is no address.
pub fn channel(address: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_for_good_and_there_is_one_for_each_node() {
        let links = Links::new(BTreeMap::from([(7, "seven:1".into())]), 100, Vec::new());
        assert_eq!((links.place_of(7), links.place_of(3)), (0, 1));
        assert_eq!((links.place_of(7), links.count()), (0, 2));
        assert!(links.find(9).is_none(), "looking makes none");
        let before = links.list();
        links.place_of(9);
        assert_eq!((before.len(), links.list().len()), (2, 3));
    }
}
