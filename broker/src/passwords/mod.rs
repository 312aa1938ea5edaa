//! Files of user names and hashed passwords, one `user:hash` a line, as `raftmq passwd` and mosquitto_passwd
//! write them.
//!
//! | room | concern |
//! | --- | --- |
//! | `hash` | one password and its hash: Argon2id (RFC 9106), or PBKDF2 as mosquitto has it |
//! | `file` | reading a whole file, and finding a user in it |
//! | `edit` | changing one line of it |
//! | `command` | `raftmq passwd` |
//! | `prompt` | asking for a password, also for `raftmq scram` |
//!
//! It knows nothing of clients: that a user who is not there takes as long as one who is, is offered here
//! (`file::Passwords::candidate`) and used by the plugin `rmqtt-auth-file`.

mod command;
mod edit;
pub(crate) mod file;
pub(crate) mod hash;
pub(crate) mod prompt;

pub use command::{Change, PasswdError, Wish, change};
