//! Exact answers to what breaks a rule, and to what is at the edge of one: bytes in, reason out, for each
//! version.

mod edges;
mod malformed;
mod old_versions;
