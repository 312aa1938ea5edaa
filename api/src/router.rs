//! Which path is answered by which handler. Paths and their descriptions are declared in one call,
//! so that the list of endpoints cannot differ from what is served.

use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use serde::Serialize;

use crate::api::Api;
use crate::http::error::ApiError;
use crate::http::{auth, rate, server};
use crate::resources;

/// One line of `GET /api/v1`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Endpoint {
    path: &'static str,
    name: &'static str,
    method: &'static str,
    descr: &'static str,
}

/// Endpoints below `/api/v1`, served and described.
#[derive(Default)]
pub(crate) struct Endpoints {
    router: Router<Api>,
    list: Vec<Endpoint>,
}

impl Endpoints {
    pub(crate) fn get<H, T>(
        self,
        path: &'static str,
        handler: H,
        name: &'static str,
        descr: &'static str,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(
            MethodFilter::GET,
            Endpoint {
                path,
                name,
                method: "GET",
                descr,
            },
            handler,
        )
    }

    pub(crate) fn post<H, T>(
        self,
        path: &'static str,
        handler: H,
        name: &'static str,
        descr: &'static str,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(
            MethodFilter::POST,
            Endpoint {
                path,
                name,
                method: "POST",
                descr,
            },
            handler,
        )
    }

    pub(crate) fn put<H, T>(
        self,
        path: &'static str,
        handler: H,
        name: &'static str,
        descr: &'static str,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(
            MethodFilter::PUT,
            Endpoint {
                path,
                name,
                method: "PUT",
                descr,
            },
            handler,
        )
    }

    pub(crate) fn delete<H, T>(
        self,
        path: &'static str,
        handler: H,
        name: &'static str,
        descr: &'static str,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(
            MethodFilter::DELETE,
            Endpoint {
                path,
                name,
                method: "DELETE",
                descr,
            },
            handler,
        )
    }

    fn add<H, T>(mut self, method: MethodFilter, endpoint: Endpoint, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let path = format!("/api/v1{}", endpoint.path);
        self.router = self.router.route(&path, on(method, handler));
        self.list.push(endpoint);
        self
    }
}

/// Everything that is served.
pub(crate) fn router(api: Api) -> Router {
    let endpoints = resources::endpoints(Endpoints::default());
    let list = endpoints.list;
    let index = move || async move { crate::http::reply::json(&list) };
    endpoints
        .router
        .route("/api/v1", on(MethodFilter::GET, index.clone()))
        .route("/api/v1/", on(MethodFilter::GET, index))
        .merge(resources::health::routes())
        .merge(crate::dashboard::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(api.clone(), server::limit_time))
        .layer(from_fn_with_state(api.clone(), auth::check))
        .layer(from_fn_with_state(api.clone(), rate::limit))
        .layer(map_response(no_foreign_errors))
        .with_state(api)
}

async fn unknown_path() -> ApiError {
    ApiError::not_found(
        "unknown_path",
        "There is no such path; GET /api/v1 lists all of them.",
    )
}

async fn method_not_allowed(method: Method) -> ApiError {
    let message =
        format!("This path does not answer {method}; the Allow header names what it does.");
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
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
    ApiError::new(status, "refused", status.to_string()).into_response()
}
