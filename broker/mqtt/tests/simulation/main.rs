//! The pure core against simulated clients, and against arbitrary input: no socket, no clock, one seed.
//!
//! Each run is made by one number, so a failure is repeated with `RAFTMQ_SEED=<number>`. Tests run a fixed number
//! of seeds; `RAFTMQ_FUZZ_SECONDS=<seconds>` runs fresh seeds for that long. `docs/fuzzing.md` says what was found.

mod connection;
mod decoder;
mod delivering;
mod dice;
mod engine;
mod network;
mod publishing;
mod runs;
