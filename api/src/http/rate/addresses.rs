//! A bucket for each client address, in a table of bounded size.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::bucket::Bucket;

/// Whose requests are counted together: an IPv4 address, or the /64 in which an IPv6 host can choose
/// its address as it likes (RFC 4291 §2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => (v6 & std::net::Ipv6Addr::from(u128::MAX << 64)).into(),
        })
    }
}

/// Buckets of those that asked last. In two halves: when the younger is full, the older one is forgotten
/// and the younger takes its place; who asks moves into the younger. So what is forgotten has not asked for
/// as long as it took that many others to come, and nothing has to be sorted.
#[derive(Debug)]
pub(crate) struct Addresses {
    young: HashMap<Network, Bucket>,
    old: HashMap<Network, Bucket>,
    half: usize,
}

impl Addresses {
    /// At most `count` buckets, at least 2.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (count / 2).max(1),
        }
    }

    /// The bucket of a network that is known.
    pub(crate) fn known(&self, network: Network) -> Option<Bucket> {
        let young = self.young.get(&network);
        young.or_else(|| self.old.get(&network)).copied()
    }

    /// The bucket of a network; one that is not known gets a full one.
    pub(crate) fn bucket(&mut self, network: Network, now: Instant) -> &mut Bucket {
        if !self.young.contains_key(&network) && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young
            .entry(network)
            .or_insert_with(|| old.remove(&network).unwrap_or_else(|| Bucket::full(now)))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::*;
    use std::time::Duration;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn hosts_of_one_ipv6_network_count_as_one_and_mapped_addresses_as_ipv4() {
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }

    #[test]
    fn the_table_never_grows_beyond_its_bound_and_forgets_the_oldest() {
        let rate = Rate::new(1, Duration::from_secs(60), 5).unwrap();
        let now = Instant::now();
        let mut table = Addresses::new(100);
        let (busy, quiet) = (network("10.0.0.1"), network("10.0.0.2"));
        table.bucket(quiet, now).take(rate, now);
        for host in 0..10_000_u32 {
            table.bucket(Network::of(IpAddr::V4(host.into())), now);
            table.bucket(busy, now);
            if host == 0 {
                table.bucket(busy, now).take(rate, now);
            }
            assert!(table.len() <= 100);
        }
        assert_ne!(table.known(busy), Some(Bucket::full(now)));
        assert!(table.known(busy).is_some());
        assert_eq!(table.known(quiet), None);
    }
}
