//! Enhanced authentication (MQTT 5 §4.12): methods whose client and server exchange more than one message.
//!
//! A method is found by its name; of each exchange it keeps the state, and nobody else does. It is asked
//! on the runtime of a shard, so a step has to be short work.

use super::{Denial, Grant};

/// A method that plugins offer.
pub(crate) trait AuthenticationMethod: Send + Sync {
    /// The Authentication Method of CONNECT and AUTH.
    fn name(&self) -> &'static str;

    /// Begins an exchange with one client.
    fn begin(&self) -> Box<dyn Exchange>;
}

/// One exchange under way.
pub(crate) trait Exchange: Send {
    /// Takes the client's Authentication Data, `None` when it sent none.
    fn step(&mut self, data: Option<&[u8]>) -> Step;
}

/// What comes next.
pub(crate) enum Step {
    /// The client is sent this, if it is anything, and has to answer.
    Continue(Option<Vec<u8>>),
    /// The client is who it says.
    Done(Proven),
    /// It is not, or breaks the rules of the method.
    Failed(Denial),
}

/// Who a client has proved to be.
pub(crate) struct Proven {
    /// Its user name.
    pub user_name: String,
    /// What it may do.
    pub grant: Grant,
    /// The last data for the client: the server's own proof.
    pub data: Vec<u8>,
}
