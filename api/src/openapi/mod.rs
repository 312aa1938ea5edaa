//! The HTTP API described by itself: OpenAPI 3.1.
//!
//! Who registers an endpoint gives its [`Operation`] in the same call (see
//! [`Endpoints`](crate::router::Endpoints)), so none is served without a description, and none is
//! described without being served. Shapes come from the types that are read and written; whether a
//! handler answers with the type it names is checked by the tests, which hold every answer against the
//! document.
//!
//! This module knows no resource.

mod document;
mod operation;
mod parameter;
mod topics;

pub(crate) use document::document;
pub(crate) use operation::{Header, Operation, Text};
pub(crate) use parameter::{Parameter, query};
pub(crate) use topics::{TOPIC_FILTER, TOPIC_FILTERS, TOPIC_NAME};
