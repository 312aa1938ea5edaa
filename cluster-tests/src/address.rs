//! Addresses of its own for every cluster.
//!
//! Tests run in parallel, in several processes, so free ports that are looked for and let go
//! again would be taken by another test in between. All of 127.0.0.0/8 is this machine, so each
//! cluster gets a whole address to itself and may use fixed ports on it. The address is owned by
//! whoever has bound its guard port: the kernel decides between two, and gives it back whatever
//! way the owner ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Bound for as long as the address is owned. Below the ephemeral ports, as all fixed ports here.
const GUARD_PORT: u16 = 20_999;

/// A loopback address that no other test uses.
pub struct Loopback {
    ip: Ipv4Addr,
    _guard: TcpListener,
}

impl Loopback {
    /// Takes an address that is free now and keeps it until dropped.
    ///
    /// # Panics
    /// When no address could be bound, for example because the machine has no 127.0.0.0/8.
    #[must_use]
    pub fn reserve() -> Self {
        for _ in 0..1_000 {
            let ip = candidate(rand::random());
            if let Ok(guard) = TcpListener::bind((ip, GUARD_PORT)) {
                return Self { ip, _guard: guard };
            }
        }
        panic!("no free address in 127.0.0.0/8");
    }

    /// The address with the port.
    #[must_use]
    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.ip), port)
    }
}

/// Neither 127.0.x.x, where other programs listen, nor the first or last address of a /24.
fn candidate([second, third, fourth]: [u8; 3]) -> Ipv4Addr {
    Ipv4Addr::new(127, second % 254 + 1, third, fourth % 254 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_are_two_addresses() {
        let (one, other) = (Loopback::reserve(), Loopback::reserve());
        assert_ne!(one.port(1), other.port(1));
    }
}
