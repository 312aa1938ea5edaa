//! Requests to servers of the operator's own: with TLS or without, to nobody else, and secrets stay hidden.

use raftmq_api::client::tls_config;
use reqwest::{
    Client, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// How connections to servers are made and kept.
pub(super) struct Connections {
    /// Of every request.
    pub headers: HeaderMap,
    /// Of a whole request.
    pub timeout: Duration,
    /// Connections to one server that are kept open without a request.
    pub idle_max: usize,
    /// How long they are kept.
    pub idle_time_max: Duration,
    pub trust: Trust,
}

/// Which https servers are believed.
#[derive(Clone)]
pub(super) struct Trust(Option<rustls::ClientConfig>);

impl Trust {
    /// Those whose certificates come from the file's authorities, or from those of this machine. Nothing is
    /// read when no URL asks for TLS.
    ///
    /// # Errors
    /// The authorities cannot be read, or there are none.
    pub fn of<'u>(
        urls: impl IntoIterator<Item = &'u Url>,
        authorities: Option<&Path>,
    ) -> Result<Trust, String> {
        let is_wanted = urls.into_iter().any(|url| url.scheme() == "https");
        match is_wanted {
            false => Ok(Trust(None)),
            true => tls_config(authorities)
                .map(|config| Trust(Some(config)))
                .map_err(|problem| format!("tls_ca: {problem}")),
        }
    }
}

/// A client that asks the servers that the operator has named and no other ones.
///
/// # Errors
/// There is no HTTP client to be had.
pub(super) fn client(connections: &Connections) -> Result<Client, String> {
    let mut client = Client::builder()
        .default_headers(connections.headers.clone())
        .timeout(connections.timeout)
        .pool_max_idle_per_host(connections.idle_max)
        .pool_idle_timeout(connections.idle_time_max)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Trust(Some(config)) = &connections.trust {
        client = client.use_preconfigured_tls(config.clone());
    }
    client
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

/// Reads the URL of a server.
///
/// # Errors
/// It is none, or of another kind.
pub(super) fn server_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other:?} is neither http nor https")),
    }
}

/// A URL without what may be a secret: only host and path. `None`: it is none.
pub(super) fn shown_url(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    Some(url.into())
}

/// Names of headers, in the place of their values that nobody is shown.
pub(super) fn without_values(headers: &BTreeMap<String, String>) -> Value {
    headers.keys().map(|name| (name, "hidden")).collect()
}

/// Reads headers; their values are hidden from logs.
///
/// # Errors
/// Which one is wrong.
pub(super) fn read_headers(settings: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in settings {
        let wrong = |what: &str| format!("{name}: {what}");
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("this is no name of a header"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| wrong("its value cannot stand in a header"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}
