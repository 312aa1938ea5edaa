//! `/dashboard/`: a page for people, which shows the cluster by asking this node's HTTP API.
//!
//! The page is plain files, compiled into the program, so that every node serves it without anything
//! beside the binary. It holds nothing secret, so it needs no token; what it shows comes from
//! `/api/v1`, which does. Its Content-Security-Policy lets the browser take scripts, styles and data
//! from this node alone: a topic or a client identifier that looks like HTML can do nothing.

mod etag;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;

/// Where the page is. Without the slash at its end the page's own links would lead elsewhere.
const PLACE: &str = "/dashboard";

/// Everything from this node; nothing inline, nobody may frame the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; object-src 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal: $content_type:expr),* $(,)?) => {
        [$(File {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../dashboard/", $name)),
        }),*]
    };
}

/// All files; the first is the page itself.
const FILES: [File; 21] = files![
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "theme.js": JAVASCRIPT,
    "main.js": JAVASCRIPT,
    "api.js": JAVASCRIPT,
    "login.js": JAVASCRIPT,
    "live.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "format.js": JAVASCRIPT,
    "table.js": JAVASCRIPT,
    "map.js": JAVASCRIPT,
    "chart.js": JAVASCRIPT,
    "cluster.js": JAVASCRIPT,
    "rates.js": JAVASCRIPT,
    "clients.js": JAVASCRIPT,
    "subscriptions.js": JAVASCRIPT,
    "routes.js": JAVASCRIPT,
    "retained.js": JAVASCRIPT,
    "plugins.js": JAVASCRIPT,
    "doctor.js": JAVASCRIPT,
];

/// Whether a path is one of the page, which needs no token.
pub(crate) fn is_part(path: &str) -> bool {
    path.strip_prefix(PLACE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route(PLACE, on(MethodFilter::GET, to_the_page))
        .route("/dashboard/", on(MethodFilter::GET, page))
        .route("/dashboard/{file}", on(MethodFilter::GET, file))
}

/// Relative, so that it also holds behind a proxy with another host name.
async fn to_the_page(uri: Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}"));
    let target = format!("{PLACE}/{}", query.unwrap_or_default());
    (
        StatusCode::PERMANENT_REDIRECT,
        [(header::LOCATION, target)],
        Body::empty(),
    )
        .into_response()
}

async fn page(headers: HeaderMap) -> Response {
    answer(&FILES[0], &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let found = FILES.iter().find(|file| file.name == name);
    let missing = || ApiError::new(Code::UnknownPath, "The page has no such file.");
    found.map(|file| answer(file, &headers)).ok_or_else(missing)
}

/// The file, or 304 when the browser has it. `no-cache`: it may keep the file and has to ask each
/// time, so a page of an older version never stays behind an upgrade.
fn answer(file: &File, request: &HeaderMap) -> Response {
    let tag = etag::of(file.bytes);
    let known = etag::is_known(request, &tag);
    let headers: [(HeaderName, &str); 6] = [
        (header::ETAG, &tag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_TYPE, file.content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    if known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, Bytes::from_static(file.bytes)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_is_open() {
        for (path, expected) in [
            ("/dashboard", true),
            ("/dashboard/", true),
            ("/dashboard/main.js", true),
            ("/dashboards", false),
            ("/api/v1/dashboard", false),
            ("/", false),
        ] {
            assert_eq!(is_part(path), expected, "{path}");
        }
    }

    #[test]
    fn no_file_names_another_host_or_writes_html_from_text() {
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let foreign = text.replace("http://www.w3.org/", "");
            for word in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
                " style=",
                " onclick=",
            ] {
                assert!(!foreign.contains(word), "{}: {word}", file.name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let found = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap());
        let mut found: Vec<_> = found
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let mut served = FILES.map(|file| file.name.to_owned()).to_vec();
        found.sort();
        served.sort();
        assert_eq!(found, served);
    }
}
