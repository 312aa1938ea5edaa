//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: a client proves that it knows a password, which
//! neither goes over the wire nor lies on the server; and the server proves that it knows the client.
//!
//! Pure: messages in, messages out. The server's nonce comes in as an argument, users come from whoever
//! holds them. Of channel binding (RFC 5802 §6) there is none.
//!
//! - [`Verifier`]: what a server keeps of a password.
//! - [`ServerExchange`]: one exchange of four messages.
//! - [`Users`]: user names with their verifiers.

mod messages;
mod server;
mod users;
mod verifier;

pub use server::{Failure, ServerExchange};
pub use users::{Users, prepared};
pub use verifier::{ITERATIONS_DEFAULT, Verifier};

/// The name of the mechanism (RFC 7677 §1).
pub const NAME: &str = "SCRAM-SHA-256";
