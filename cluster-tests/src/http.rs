//! The HTTP API as curl would use it.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// Longer than a node waits for its peers (5 s).
const TIMEOUT: Duration = Duration::from_secs(8);

/// A change of the membership may have to wait for a new leader.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// One node's HTTP API.
#[derive(Clone)]
pub struct Http {
    base: String,
    client: Client,
    token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        self.try_json()
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn try_json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|error| error.to_string())
    }
}

impl Http {
    /// The API at this address.
    ///
    /// # Panics
    /// When no HTTP client could be made.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        // No pool: a connection from before a node was killed says nothing of the node after it.
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT);
        Self {
            base: format!("http://{address}"),
            client: client.build().expect("an HTTP client"),
            token: None,
        }
    }

    /// Sends this bearer token with every GET, HEAD and PUT.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    ///
    /// # Errors
    /// No answer came.
    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        answer(self.authorized(self.client.get(format!("{}{path}", self.base)))).await
    }

    /// GET.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path)
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// GET of JSON with status 200.
    ///
    /// # Errors
    /// No answer, another status, or no JSON.
    pub async fn try_json(&self, path: &str) -> Result<Value, String> {
        let answer = self.try_get(path).await?;
        if answer.status != 200 {
            return Err(format!("GET {path}: {} {}", answer.status, answer.body));
        }
        answer.try_json()
    }

    /// GET of JSON with status 200.
    ///
    /// # Panics
    /// When there is no answer, another status, or no JSON.
    pub async fn json(&self, path: &str) -> Value {
        self.try_json(path)
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// POST of JSON.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    /// POST of text that claims to be JSON.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn post_text(&self, path: &str, body: &str) -> Answer {
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
        answer(request)
            .await
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// HEAD.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn head(&self, path: &str) -> Answer {
        let request = self.authorized(self.client.head(format!("{}{path}", self.base)));
        answer(request)
            .await
            .unwrap_or_else(|error| panic!("HEAD {path}: {error}"))
    }

    /// PUT without a body.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn put(&self, path: &str) -> Answer {
        let request = self.authorized(self.client.put(format!("{}{path}", self.base)));
        answer(request)
            .await
            .unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    /// PUT of JSON.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn put_json(&self, path: &str, body: &Value) -> Answer {
        let request = self.authorized(self.client.put(format!("{}{path}", self.base)));
        let request = request
            .timeout(CHANGE_TIMEOUT)
            .header("content-type", "application/json")
            .body(body.to_string());
        answer(request)
            .await
            .unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    /// DELETE.
    ///
    /// # Panics
    /// When no answer came.
    pub async fn delete(&self, path: &str) -> Answer {
        let request = self.client.delete(format!("{}{path}", self.base));
        answer(request)
            .await
            .unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }
}

async fn answer(request: RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let line = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    };
    let headers = response.headers().iter().map(line).collect();
    let body = response.text().await.map_err(|error| error.to_string())?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}
