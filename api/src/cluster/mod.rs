//! The cluster as a whole: what every node says of itself, whether their tables are equal, and what an
//! operator has to know of it.
//!
//! | room | concern |
//! | --- | --- |
//! | [`evidence`] | asking all nodes at the same time |
//! | [`comparison`] | the tables of all nodes at one log entry |
//! | [`doctor`] | rules: evidence in, findings out |

pub(crate) mod comparison;
pub(crate) mod doctor;
pub(crate) mod evidence;
