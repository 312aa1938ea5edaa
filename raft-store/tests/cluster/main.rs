//! Clusters of three stores in one process, over real connections that a test can cut and slow down.

mod fence;
mod formation;
mod hand_over;
mod harness;
mod leases;
mod membership;
mod restart;
mod snapshots;
