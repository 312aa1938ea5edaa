//! Every counter and every gauge, against what is known to have happened.

mod book;
mod counters;
mod gauges;
mod traffic;
