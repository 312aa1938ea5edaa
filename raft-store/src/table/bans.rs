//! Who is kept out: client identifiers, user names, addresses and networks, each for a while or for good.
//!
//! A CONNECT is looked up here, also by those who decide nothing, so a look-up costs a few searches: one
//! for the client, one for the user, and one for each length of prefix that a banned network has.

// Addresses as values; what std has beside them are sockets.
use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use ipnet::IpNet;
use raftmq_proto::v1;

use super::{Refusal, Table};

/// Bans at a time; what would be one more is refused.
pub const BANS_MAX: usize = 100_000;
/// Bytes of who is banned: that of the longest client identifier.
const WHO_BYTES_MAX: usize = 65_535;
/// Bytes of a reason, and of the name of who ordered it.
const TEXT_BYTES_MAX: usize = 1_024;

/// What a ban names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanOf {
    /// A client identifier.
    Client,
    /// A user name.
    User,
    /// An IP address or network.
    Address,
}

impl BanOf {
    const ALL: [BanOf; 3] = [BanOf::Client, BanOf::User, BanOf::Address];

    fn read(number: i32) -> Option<BanOf> {
        match v1::BanOf::try_from(number).ok()? {
            v1::BanOf::Unspecified => None,
            v1::BanOf::Client => Some(BanOf::Client),
            v1::BanOf::User => Some(BanOf::User),
            v1::BanOf::Address => Some(BanOf::Address),
        }
    }

    /// As the log and snapshots have it.
    pub fn stored(self) -> v1::BanOf {
        match self {
            BanOf::Client => v1::BanOf::Client,
            BanOf::User => v1::BanOf::User,
            BanOf::Address => v1::BanOf::Address,
        }
    }

    /// The one form in which `who` is known: addresses as they are usually written, networks without the
    /// bits behind their prefix. `None`: it names nobody.
    pub fn canonical(self, who: &str) -> Option<String> {
        match self {
            _ if who.is_empty() || who.len() > WHO_BYTES_MAX => None,
            BanOf::Client | BanOf::User => Some(who.to_owned()),
            BanOf::Address => network(who).map(shown),
        }
    }
}

/// An address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let one = |ip: IpAddr| IpNet::from(ip.to_canonical());
    let network = text.parse::<IpNet>().ok().map(|network| network.trunc());
    network.or_else(|| text.parse().ok().map(one))
}

fn shown(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// What it names.
    pub of: BanOf,
    /// Whom, in the canonical form.
    pub who: Arc<str>,
    /// Who ordered it.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// When it was ordered, Unix milliseconds.
    pub at_ms: u64,
    /// When it ends, Unix milliseconds; `None`: never.
    pub until_ms: Option<u64>,
}

impl Ban {
    pub(super) fn read(stored: &v1::Ban) -> Option<Ban> {
        let is_short = |text: &str| text.len() <= TEXT_BYTES_MAX;
        let of = BanOf::read(stored.of)?;
        let texts_are_short = is_short(&stored.by) && is_short(&stored.reason);
        let who = of.canonical(&stored.who).filter(|_| texts_are_short)?;
        Some(Ban {
            of,
            who: who.into(),
            by: stored.by.as_str().into(),
            reason: stored.reason.as_str().into(),
            at_ms: stored.at_ms,
            until_ms: stored.until_ms,
        })
    }

    pub(super) fn stored(&self) -> v1::Ban {
        v1::Ban {
            of: self.of.stored().into(),
            who: self.who.to_string(),
            by: self.by.to_string(),
            reason: self.reason.to_string(),
            at_ms: self.at_ms,
            until_ms: self.until_ms,
        }
    }

    /// The command that sets it.
    pub fn order(&self) -> v1::Op {
        let ban = Some(self.stored());
        v1::Op {
            kind: Some(v1::op::Kind::SetBan(v1::SetBan { ban })),
        }
    }

    /// Whether it holds at that time.
    pub fn holds(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| until > now_ms)
    }

    /// Whether it names this client.
    pub(super) fn names(&self, suspect: &Suspect<'_>) -> bool {
        match self.of {
            BanOf::Client => *self.who == *suspect.client_id,
            BanOf::User => !suspect.user_name.is_empty() && *self.who == *suspect.user_name,
            BanOf::Address => network(&self.who)
                .zip(suspect.ip)
                .is_some_and(|(network, ip)| network.contains(&ip)),
        }
    }
}

/// A client that may be banned.
#[derive(Clone, Copy, Debug)]
pub struct Suspect<'a> {
    /// Client identifier.
    pub client_id: &'a str,
    /// User name; empty: none given.
    pub user_name: &'a str,
    /// Its address; `None`: it has none.
    pub ip: Option<IpAddr>,
}

impl<'a> Suspect<'a> {
    /// As the table knows clients: `peer_address` is "ip:port".
    pub fn new(client_id: &'a str, user_name: &'a str, peer_address: &str) -> Suspect<'a> {
        let address = peer_address.parse::<SocketAddr>().ok();
        Suspect {
            client_id,
            user_name,
            ip: address.map(|address| address.ip().to_canonical()),
        }
    }
}

/// All bans.
#[derive(Clone, Default)]
pub(super) struct Bans {
    clients: BTreeMap<Arc<str>, Arc<Ban>>,
    users: BTreeMap<Arc<str>, Arc<Ban>>,
    addresses: BTreeMap<Arc<str>, Arc<Ban>>,
    networks: BTreeMap<IpNet, Arc<Ban>>,
    /// How many of the networks have a prefix of so many bits.
    prefixes: BTreeMap<u8, usize>,
    expiring: BTreeSet<(u64, BanOf, Arc<str>)>,
}

impl Bans {
    /// Sets a ban in the place of an earlier one of the same.
    pub fn set(&mut self, ban: Ban) -> Result<(), Refusal> {
        let is_new = !self.of(ban.of).contains_key(&ban.who);
        if is_new && self.len() >= BANS_MAX {
            return Err(Refusal::TooMany);
        }
        self.lift(ban.of, &ban.who.clone());
        let ban = Arc::new(ban);
        if let Some(until_ms) = ban.until_ms {
            self.expiring.insert((until_ms, ban.of, ban.who.clone()));
        }
        if let (BanOf::Address, Some(network)) = (ban.of, network(&ban.who)) {
            *self.prefixes.entry(network.prefix_len()).or_default() += 1;
            self.networks.insert(network, ban.clone());
        }
        self.of_mut(ban.of).insert(ban.who.clone(), ban);
        Ok(())
    }

    /// A ban of a snapshot.
    pub fn restore(&mut self, stored: &v1::Ban) -> Result<(), Refusal> {
        self.set(Ban::read(stored).ok_or(Refusal::Malformed)?)
    }

    /// Whether there was one.
    pub fn lift(&mut self, of: BanOf, who: &str) -> bool {
        let Some(ban) = self.of_mut(of).remove(who) else {
            return false;
        };
        if let Some(until_ms) = ban.until_ms {
            self.expiring.remove(&(until_ms, of, ban.who.clone()));
        }
        if let (BanOf::Address, Some(network)) = (of, network(who)) {
            self.networks.remove(&network);
            if let Some(count) = self.prefixes.get_mut(&network.prefix_len()) {
                *count -= 1;
            }
            self.prefixes.retain(|_, count| *count > 0);
        }
        true
    }

    /// Whether a ban has ended at `now_ms`.
    pub fn any_is_due(&self, now_ms: u64) -> bool {
        self.first_due_ms().is_some_and(|due| due <= now_ms)
    }

    /// Removes those that have ended at `now_ms`.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some((until_ms, of, who)) = self.expiring.first().cloned() {
            if until_ms > now_ms {
                return;
            }
            self.lift(of, &who);
        }
    }

    pub fn first_due_ms(&self) -> Option<u64> {
        self.expiring.first().map(|(until_ms, ..)| *until_ms)
    }

    /// The first that names the client and holds.
    pub fn holding(&self, suspect: &Suspect<'_>, now_ms: u64) -> Option<&Arc<Ban>> {
        if self.is_empty() {
            return None;
        }
        let client = self.clients.get(suspect.client_id);
        let user = self.users.get(suspect.user_name);
        let of_address = self.of_address(suspect.ip);
        let mut found = client.into_iter().chain(user).chain(of_address);
        found.find(|ban| ban.holds(now_ms))
    }

    /// Those of the address and of networks around it.
    fn of_address(&self, ip: Option<IpAddr>) -> impl Iterator<Item = &Arc<Ban>> {
        let around = self.prefixes.keys().filter_map(move |length| {
            let network = IpNet::new(ip?.to_canonical(), *length).ok()?;
            self.networks.get(&network.trunc())
        });
        around.into_iter()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.clients.len() + self.users.len() + self.addresses.len()
    }

    /// In order of what they name and of whom.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Ban>> {
        BanOf::ALL.into_iter().flat_map(|of| self.of(of).values())
    }

    fn behind<'a>(&'a self, after: Option<(BanOf, &'a str)>) -> impl Iterator<Item = &'a Arc<Ban>> {
        BanOf::ALL.into_iter().flat_map(move |of| {
            let from = match after {
                Some((last, _)) if of < last => None,
                Some((last, who)) if of == last => Some(Bound::Excluded(who)),
                _ => Some(Bound::Unbounded),
            };
            let range = move |from| self.of(of).range::<str, _>((from, Bound::Unbounded));
            from.map(range).into_iter().flatten().map(|(_, ban)| ban)
        })
    }

    fn of(&self, of: BanOf) -> &BTreeMap<Arc<str>, Arc<Ban>> {
        match of {
            BanOf::Client => &self.clients,
            BanOf::User => &self.users,
            BanOf::Address => &self.addresses,
        }
    }

    fn of_mut(&mut self, of: BanOf) -> &mut BTreeMap<Arc<str>, Arc<Ban>> {
        match of {
            BanOf::Client => &mut self.clients,
            BanOf::User => &mut self.users,
            BanOf::Address => &mut self.addresses,
        }
    }
}

impl Table {
    /// The ban that keeps a client out at that time; `None`: it is welcome.
    pub fn ban_of(&self, suspect: &Suspect<'_>, now_ms: u64) -> Option<&Arc<Ban>> {
        self.bans.holding(suspect, now_ms)
    }

    /// Bans in order of what they name and of whom, behind `after`.
    pub fn bans_behind<'a>(
        &'a self,
        after: Option<(BanOf, &'a str)>,
    ) -> impl Iterator<Item = &'a Arc<Ban>> {
        self.bans.behind(after)
    }
}
