//! `GET /api/v1` and `GET /api/v1/openapi.json`: the API described by itself.

use std::sync::{Arc, OnceLock};

use axum::response::Response;
use bytes::Bytes;
use futures::future::{Ready, ready};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::http::reply;
use crate::openapi::{Operation, document};
use crate::router::{Endpoint, Endpoints};

pub(super) fn endpoints(endpoints: Endpoints, catalogue: &Arc<Catalogue>) -> Endpoints {
    let document = catalogue.clone();
    endpoints
        .get(
            "",
            Catalogue::index_handler(catalogue),
            Operation::json::<Vec<Line>>("get_endpoints", "Return all endpoints below /api/v1"),
        )
        .get(
            "/openapi.json",
            move || ready(reply::json_body(document.document().into())),
            Operation::json::<serde_json::Map<String, Value>>(
                "get_openapi",
                "Return the OpenAPI 3.1 description of this API",
            ),
        )
}

/// One line of `GET /api/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
struct Line {
    /// Below `/api/v1`.
    path: &'static str,
    /// As `operationId` in the OpenAPI document.
    name: &'static str,
    method: String,
    descr: &'static str,
}

/// All endpoints, and what is written about them. The document is made when it is asked for first, once.
#[derive(Default)]
pub(crate) struct Catalogue {
    endpoints: OnceLock<Vec<Endpoint>>,
    document: OnceLock<Bytes>,
}

impl Catalogue {
    /// All that there are. Only the first call counts.
    pub(crate) fn fill(&self, endpoints: Vec<Endpoint>) {
        let _ = self.endpoints.set(endpoints);
    }

    fn all(&self) -> &[Endpoint] {
        self.endpoints.get().map_or(&[], Vec::as_slice)
    }

    /// Answers `GET /api/v1`.
    pub(crate) fn index_handler(
        catalogue: &Arc<Self>,
    ) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static {
        let catalogue = catalogue.clone();
        move || ready(reply::json(&catalogue.index()))
    }

    fn index(&self) -> Vec<Line> {
        let listed = self.all().iter().filter(|endpoint| endpoint.is_listed());
        let line = |endpoint: &Endpoint| Line {
            path: endpoint.path,
            name: endpoint.operation.id,
            method: endpoint.method.to_string(),
            descr: endpoint.operation.summary,
        };
        listed.map(line).collect()
    }

    fn document(&self) -> Bytes {
        let write = || document(self.all()).to_string().into();
        self.document.get_or_init(write).clone()
    }
}
