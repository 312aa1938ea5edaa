//! Settings that stand for another one's value while nobody gives them.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Input, Value};
use crate::config::origin::Problem;
use crate::config::settings::Range;
use crate::config::types::{ByteCount, Durability, ProxyProtocol};

macro_rules! optional {
    ($($type:ty = $start:expr),+ $(,)?) => {$(
        impl Value for Option<$type> {
            fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
                let mut value = $start;
                value.read(input, range)?;
                *self = Some(value);
                Ok(())
            }

            fn show(&self) -> Option<String> {
                self.as_ref().and_then(Value::show)
            }

            fn kind(&self) -> String {
                $start.kind()
            }

            fn bound(&self, bound: u64) -> String {
                $start.bound(bound)
            }
        }
    )+};
}

// Where reading starts from does not matter: it is written over, or not taken.
optional! {
    u16 = 0_u16,
    u32 = 0_u32,
    usize = 0_usize,
    ByteCount = ByteCount(0),
    Duration = Duration::ZERO,
    ProxyProtocol = ProxyProtocol::Off,
    Durability = Durability::Disk,
    SocketAddr = SocketAddr::from(([0, 0, 0, 0], 0)),
}
