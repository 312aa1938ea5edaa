//! HTTP as this API speaks it: one error body, one JSON content type, query strings and bodies that
//! are checked in full, the bearer token, and the server with its limits. Knows no resource.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod code;
pub(crate) mod error;
pub(crate) mod page;
pub(crate) mod parameters;
pub(crate) mod reply;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod server;
