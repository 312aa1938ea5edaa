//! The request that asks about a client.

use crate::plugin::{
    Credentials,
    outgoing::{self, Connections, Trust, read_headers, shown_url, without_values},
    placeholder,
};
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, time::Duration};

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

impl Asker {
    /// By these settings, with more headers for every request, a file of those who prove an https server,
    /// and a deadline.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn new(
        settings: &RequestSettings,
        more: &BTreeMap<String, String>,
        authorities: Option<&Path>,
        timeout: Duration,
    ) -> Result<Asker, String> {
        let mut headers = read_headers(more).map_err(|p| format!("http_headers.{p}"))?;
        let own = read_headers(&settings.headers);
        headers.extend(own.map_err(|p| format!("http_auth_req.headers.{p}"))?);
        // The body decides.
        headers.remove(CONTENT_TYPE);
        let url = outgoing::server_url(&settings.url);
        let url = url.map_err(|p| format!("http_auth_req: url: {p}"))?;
        let client = outgoing::client(&Connections {
            headers,
            timeout,
            idle_max: IDLE_CONNECTIONS_MAX,
            idle_time_max: IDLE_TIME_MAX,
            trust: Trust::of([&url], authorities)?,
        })?;
        let wrong = |problem| format!("http_auth_req: {problem}");
        Ok(Asker {
            client,
            method: match settings.method {
                Method::Get => reqwest::Method::GET,
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
            },
            url,
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
