//! Which path is answered by which handler. Path, handler and description are declared in one call, so
//! that what is listed and documented cannot differ from what is served.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Extension, Router};

use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Declared;
use crate::http::{auth, head, rate, server};
use crate::openapi::Operation;
use crate::resources;

/// Before all paths but those for load balancers.
const BASE: &str = "/api/v1";

/// An endpoint and its description.
pub(crate) struct Endpoint {
    base: &'static str,
    /// Behind the base.
    pub(crate) path: &'static str,
    pub(crate) method: Method,
    pub(crate) operation: Operation,
}

impl Endpoint {
    pub(crate) fn full_path(&self) -> String {
        format!("{}{}", self.base, self.path)
    }

    /// Whether it is below `/api/v1`, and not that path itself.
    pub(crate) fn is_listed(&self) -> bool {
        self.base == BASE && !self.path.is_empty()
    }
}

/// Endpoints, served and described.
#[derive(Default)]
pub(crate) struct Endpoints {
    router: Router<Api>,
    list: Vec<Endpoint>,
}

macro_rules! methods {
    ($($name:ident $method:ident)*) => {$(
        #[doc = concat!("Answers ", stringify!($method), " of a path below `/api/v1`.")]
        pub(crate) fn $name<H, T>(self, path: &'static str, handler: H, operation: Operation) -> Self
        where
            H: Handler<T, Api>,
            T: 'static,
        {
            let endpoint = Endpoint { base: BASE, path, method: Method::$method, operation };
            self.add(MethodFilter::$method, endpoint, handler)
        }
    )*};
}

impl Endpoints {
    methods! {
        get GET
        post POST
        put PUT
        delete DELETE
    }

    /// Answers GET of a path without `/api/v1` before it.
    pub(crate) fn get_at_root<H, T>(
        self,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let endpoint = Endpoint {
            base: "",
            path,
            method: Method::GET,
            operation,
        };
        self.add(MethodFilter::GET, endpoint, handler)
    }

    fn add<H, T>(mut self, method: MethodFilter, mut endpoint: Endpoint, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        endpoint.operation = endpoint.operation.at(endpoint.path);
        let mut route = on(method, handler);
        // While we develop, reading a parameter that is not in the description is a fault.
        if cfg!(debug_assertions) {
            let declared = Declared::from(endpoint.operation.query_names());
            route = route.route_layer(Extension(declared));
        }
        self.router = self.router.route(&endpoint.full_path(), route);
        self.list.push(endpoint);
        self
    }
}

/// Everything that is served.
pub(crate) fn router(api: Api) -> Router {
    let catalogue = Arc::<resources::Catalogue>::default();
    let endpoints = resources::endpoints(Endpoints::default(), &catalogue);
    let with_slash = resources::Catalogue::index_handler(&catalogue);
    catalogue.fill(endpoints.list);
    endpoints
        .router
        // The index once more, for who types a slash behind it.
        .route("/api/v1/", on(MethodFilter::GET, with_slash))
        .merge(crate::dashboard::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(api.clone(), server::limit_time))
        .layer(from_fn_with_state(api.clone(), auth::check))
        .layer(from_fn_with_state(api.clone(), rate::limit))
        .layer(from_fn(head::limit))
        .layer(map_response(no_foreign_errors))
        .with_state(api)
}

async fn unknown_path() -> ApiError {
    ApiError::new(
        Code::UnknownPath,
        "There is no such path; GET /api/v1 lists all of them.",
    )
}

async fn method_not_allowed(method: Method) -> ApiError {
    let message =
        format!("This path does not answer {method}; the Allow header names what it does.");
    ApiError::new(Code::MethodNotAllowed, message)
}

/// An error that did not come from a handler gets our body, too.
async fn no_foreign_errors(response: Response) -> Response {
    let status = response.status();
    let ours = response
        .headers()
        .contains_key(axum::http::header::CONTENT_TYPE);
    if !(status.is_client_error() || status.is_server_error()) || ours {
        return response;
    }
    ApiError::foreign(status).into_response()
}
