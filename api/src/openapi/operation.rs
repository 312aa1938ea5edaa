//! What one method of one path takes and answers.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::parameter::{Parameter, query};
use crate::http::code::Code;

/// The shape of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// Errors that every endpoint may answer with. What holds for all of them (a limit of rates, say) is
/// named here, once, and is in the document of all.
const EVERYWHERE: [Code; 4] = [
    Code::InternalError,
    Code::AnswerTimeout,
    Code::TargetTooLong,
    Code::HeaderTooLarge,
];

/// A header of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Header {
    /// `X-Applied-Index`
    AppliedIndex,
    /// `X-Next-Cursor`
    NextCursor,
    /// `X-Unreachable-Nodes`
    UnreachableNodes,
}

impl Header {
    pub(super) fn describe(self) -> (&'static str, Value) {
        match self {
            Self::AppliedIndex => (
                "X-Applied-Index",
                json!({
                    "description": "The log index up to which the node had applied the replicated log.",
                    "required": true, "schema": {"type": "integer", "minimum": 0},
                }),
            ),
            Self::NextCursor => (
                "X-Next-Cursor",
                json!({
                    "description": "The _cursor of the next page; absent on the last one.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                }),
            ),
            Self::UnreachableNodes => (
                "X-Unreachable-Nodes",
                json!({
                    "description": "Nodes that did not answer, ascending, with commas between; absent when \
                        all did.",
                    "schema": {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"},
                }),
            ),
        }
    }
}

/// An answer that is text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text {
    /// The word `ok`.
    Ok,
    /// Any line; what it is, in words.
    Line(&'static str),
    /// Prometheus' text format.
    Prometheus,
}

pub(super) enum Answer {
    Json(Shape),
    Text(Text),
    /// Server-sent events; each one's data.
    Events(Shape),
}

/// The description of an endpoint.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(super) detail: Option<&'static str>,
    pub(super) answer: Answer,
    pub(super) query: Vec<Parameter>,
    refused: Vec<&'static str>,
    pub(super) body: Option<Shape>,
    pub(super) headers: BTreeSet<Header>,
    pub(super) codes: BTreeSet<Code>,
    pub(super) needs_token: bool,
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    /// Answers with JSON of this type.
    pub(crate) fn json<T: JsonSchema>(id: &'static str, summary: &'static str) -> Self {
        Self::new(id, summary, Answer::Json(shape::<T>))
    }

    /// Answers with text.
    pub(crate) fn text(id: &'static str, summary: &'static str, text: Text) -> Self {
        Self::new(id, summary, Answer::Text(text))
    }

    /// Answers with an endless stream of events, each with data of this type.
    pub(crate) fn events<T: JsonSchema>(id: &'static str, summary: &'static str) -> Self {
        Self::new(id, summary, Answer::Events(shape::<T>))
    }

    fn new(id: &'static str, summary: &'static str, answer: Answer) -> Self {
        Self {
            id,
            summary,
            detail: None,
            answer,
            query: Vec::new(),
            refused: Vec::new(),
            body: None,
            headers: BTreeSet::new(),
            codes: EVERYWHERE.into(),
            needs_token: true,
        }
        .fails([Code::Unauthorized, Code::TooManyRequests])
    }

    /// What the summary has no room for.
    pub(crate) fn detail(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail);
        self
    }

    /// May answer with these errors, too.
    pub(crate) fn fails(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.codes.extend(codes);
        self
    }

    /// Needs no token.
    pub(crate) fn open(mut self) -> Self {
        self.needs_token = false;
        self.codes.remove(&Code::Unauthorized);
        self.codes.remove(&Code::TooManyRequests);
        self
    }

    /// Takes these parameters in its query string.
    pub(crate) fn query(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.query.extend(parameters);
        self.fails([
            Code::InvalidParameter,
            Code::DuplicateParameter,
            Code::InvalidQuery,
        ])
    }

    /// Knows these parameters, and refuses a request that has one.
    pub(crate) fn refuses(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.refused.extend(names);
        self
    }

    /// Rows, `_limit` of them, with a cursor to the next page.
    pub(crate) fn paged(self) -> Self {
        self.query([query::limit("_limit"), query::cursor()])
            .header(Header::NextCursor)
    }

    /// Takes `_consistency`.
    pub(crate) fn consistent(self) -> Self {
        self.query([query::consistency()]).fails([Code::NoLeader])
    }

    /// Takes a JSON body of this type.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(shape::<T>);
        self.fails([
            Code::InvalidJson,
            Code::IncompleteBody,
            Code::BodyTooLarge,
            Code::RequestTimeout,
        ])
    }

    /// Its good answer may carry this header.
    pub(crate) fn header(mut self, header: Header) -> Self {
        self.headers.insert(header);
        self
    }

    /// Asks one node, which may not answer.
    pub(crate) fn asks_a_node(self) -> Self {
        self.fails([Code::NodeUnreachable, Code::NotReady])
    }

    /// Completes it with what its path says: `{node}` may be no number or not known, and so on.
    pub(crate) fn at(self, path: &str) -> Self {
        let has = |segment| path.split('/').any(|part| part == segment);
        let (has_segment, of_node, of_plugin) =
            (path.contains('{'), has("{node}"), has("{plugin}"));
        let some = |is: bool, codes: &[Code]| match is {
            true => codes.to_vec(),
            false => Vec::new(),
        };
        let asked = match of_node {
            true => self.asks_a_node(),
            false => self,
        };
        asked
            .fails(some(has_segment, &[Code::InvalidPath]))
            .fails(some(of_node, &[Code::InvalidNode, Code::UnknownNode]))
            .fails(some(of_plugin, &[Code::UnknownPlugin]))
    }

    /// The names that it reads in its query string.
    pub(crate) fn query_names(&self) -> Vec<&'static str> {
        let taken = self.query.iter().map(|parameter| parameter.name);
        taken.chain(self.refused.iter().copied()).collect()
    }
}
