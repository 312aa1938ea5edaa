//! HTTP as this API speaks it: one error body, one JSON content type, query strings and bodies that
//! are checked in full, the bearer token, limits of rates, and the server with its limits and TLS. Knows no
//! resource.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod head;
mod origin;
pub(crate) mod page;
pub(crate) mod parameters;
pub(crate) mod rate;
pub(crate) mod reply;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod server;
mod stall;
pub(crate) mod tls;
pub(crate) mod whole;
