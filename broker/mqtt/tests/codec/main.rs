//! The codec from outside: any packet comes back as it went, no input makes it panic, and it agrees
//! with rumqttc's codec.

mod differential_v4;
mod differential_v5;
mod generate;
mod model;
mod robustness;
mod round_trip;

use proptest::prelude::ProptestConfig;

/// So many cases; `RAFTMQ_FUZZ_FACTOR=<number>` multiplies them for a long run.
fn cases(normal: u32) -> ProptestConfig {
    let factor = std::env::var("RAFTMQ_FUZZ_FACTOR").ok();
    let factor = factor.map_or(1, |text| {
        text.parse().expect("RAFTMQ_FUZZ_FACTOR is a number")
    });
    ProptestConfig::with_cases(normal * factor)
}
