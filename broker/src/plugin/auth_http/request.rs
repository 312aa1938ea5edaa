//! The request that asks about a client.

use crate::plugin::{Credentials, placeholder};
use reqwest::{
    Client, RequestBuilder, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Connections that are kept open without a request.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// How long they are kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// `http_auth_req`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestSettings {
    url: String,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    Get,
    #[default]
    Post,
    Put,
}

/// Where the parameters are.
#[derive(Clone, Copy)]
enum Parameters {
    Query,
    Form,
    Json,
}

/// Builds requests, and keeps connections.
pub(super) struct Asker {
    client: Client,
    method: reqwest::Method,
    url: Url,
    parameters: Parameters,
    values: BTreeMap<String, String>,
}

impl RequestSettings {
    /// Without what may be a secret: the headers' values, and what is in the URL beside host and path.
    pub fn shown(&self) -> Value {
        json!({
            "url": shown_url(&self.url),
            "method": self.method,
            "headers": without_values(&self.headers),
            "params": self.params.keys().collect::<Vec<_>>(),
        })
    }

    fn parameters(&self) -> Result<Parameters, String> {
        let is_content_type =
            |(name, _): &(&String, &String)| name.eq_ignore_ascii_case("content-type");
        let content_type = self.headers.iter().find(is_content_type);
        let essence = content_type.and_then(|(_, value)| value.split(';').next());
        match (self.method, essence.map(str::trim)) {
            (Method::Get, _) => Ok(Parameters::Query),
            (_, None | Some("application/x-www-form-urlencoded")) => Ok(Parameters::Form),
            (_, Some("application/json")) => Ok(Parameters::Json),
            _ => Err(
                "the content type is neither application/x-www-form-urlencoded nor application/json"
                    .into(),
            ),
        }
    }
}

/// Reads the URL of a server.
///
/// # Errors
/// It is none, or of another kind.
pub(in crate::plugin) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    match url.scheme() {
        "http" => Ok(url),
        "https" => Err(
            "https is not offered; let a proxy on this machine do it, and give its http address"
                .into(),
        ),
        other => Err(format!("{other:?} is not http")),
    }
}

/// A URL without what may be a secret: only host and path. `None`: it is none.
pub(in crate::plugin) fn shown_url(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    Some(url.into())
}

/// Names of headers, in the place of their values that nobody is shown.
pub(in crate::plugin) fn without_values(headers: &BTreeMap<String, String>) -> Value {
    headers.keys().map(|name| (name, "hidden")).collect()
}

impl Asker {
    /// By these settings, with more headers for every request, and a deadline.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn new(
        settings: &RequestSettings,
        more: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<Asker, String> {
        let mut headers = read_headers(more).map_err(|p| format!("http_headers.{p}"))?;
        let own = read_headers(&settings.headers);
        headers.extend(own.map_err(|p| format!("http_auth_req.headers.{p}"))?);
        // The body decides.
        headers.remove(CONTENT_TYPE);
        let client = Client::builder()
            .default_headers(headers)
            .timeout(timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            // Credentials go to the server that the operator has named and to no other one.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        let wrong = |problem| format!("http_auth_req: {problem}");
        Ok(Asker {
            client,
            method: match settings.method {
                Method::Get => reqwest::Method::GET,
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
            },
            url: http_url(&settings.url).map_err(|p| wrong(format!("url: {p}")))?,
            parameters: settings.parameters().map_err(wrong)?,
            values: settings.params.clone(),
        })
    }

    /// The question about this client.
    pub fn request(&self, about: &Credentials) -> RequestBuilder {
        let values = self.filled(about);
        let request = self.client.request(self.method.clone(), self.url.clone());
        match self.parameters {
            Parameters::Query => request.query(&values),
            Parameters::Form => request.form(&values),
            Parameters::Json => request.json(&values),
        }
    }

    fn filled(&self, about: &Credentials) -> BTreeMap<&str, String> {
        let ip = about.peer.ip().to_canonical().to_string();
        let port = about.peer.port().to_string();
        let protocol = about.protocol_version.to_string();
        let password = about.password.as_deref().unwrap_or_default();
        let password = String::from_utf8_lossy(password);
        // What a client does not give is empty.
        let values = [
            ("%c", Some(&*about.client_id)),
            ("%u", Some(about.user_name.as_deref().unwrap_or_default())),
            ("%P", Some(&*password)),
            ("%a", Some(&*ip)),
            ("%p", Some(&*port)),
            ("%r", Some(&*protocol)),
        ];
        let fill = |text: &str| placeholder::filled(text, &values).unwrap_or_default();
        let all = self.values.iter();
        all.map(|(name, text)| (&**name, fill(text))).collect()
    }
}

/// Reads headers; their values are hidden from logs.
///
/// # Errors
/// Which one is wrong.
pub(in crate::plugin) fn read_headers(
    settings: &BTreeMap<String, String>,
) -> Result<HeaderMap, String> {
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
