//! `rmqtt-http-api`: address, token and row limit of the HTTP API, changed while it runs.
//!
//! ```toml
//! http_laddr = "0.0.0.0:6060"
//! max_row_limit = 10000
//! http_bearer_token = "secret"
//! ```
//!
//! A setting that the node's own configuration gives a value other than the default wins over this
//! file. A new address is opened before the old one is given up; requests under way are finished. Reading
//! the file again reads the certificate and its key again, too.

use super::{Extensions, Plugin, Prepared, file};
use crate::config::HttpConfig;
use parking_lot::Mutex;
use raftmq_api::{Api, Tls, TlsIdentity};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
};
use tokio::sync::mpsc;

/// Settings of RMQTT's file that mean nothing here: accepted, so that the file needs no change.
const WITHOUT_MEANING: [&str; 9] = [
    "http_request_log",
    "http_reuseaddr",
    "http_reuseport",
    "message_expiry_interval",
    "message_retain_available",
    "message_storage_available",
    "message_type",
    "metrics_sample_interval",
    "workers",
];

/// Listeners on their way to the server; the server takes each at once.
const LISTENERS_WAITING_MAX: usize = 4;

/// What the plugin's file and the node's configuration together say.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    pub address: SocketAddr,
    pub token: Option<String>,
    pub max_row_limit: usize,
}

/// The running HTTP API, as far as it can be changed.
pub(crate) struct HttpControl {
    own: HttpConfig,
    tls: Option<Arc<Tls>>,
    api: OnceLock<Api>,
    listeners: mpsc::Sender<tokio::net::TcpListener>,
    state: Mutex<State>,
}

struct State {
    /// What has been read last.
    settings: HttpSettings,
    /// Where the server listens; absent before it does.
    listening: Option<SocketAddr>,
}

impl HttpControl {
    /// Before the API runs. The receiver gets every later listener.
    pub fn new(
        own: &HttpConfig,
        tls: Option<Arc<Tls>>,
    ) -> (Arc<HttpControl>, mpsc::Receiver<tokio::net::TcpListener>) {
        let (listeners, receiver) = mpsc::channel(LISTENERS_WAITING_MAX);
        let control = HttpControl {
            own: own.clone(),
            tls,
            api: OnceLock::new(),
            listeners,
            state: Mutex::new(State {
                settings: settings(own, &File::default()),
                listening: None,
            }),
        };
        (Arc::new(control), receiver)
    }

    /// The settings in force.
    pub fn settings(&self) -> HttpSettings {
        self.state.lock().settings.clone()
    }

    /// What connections are encrypted with, if they are.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// The API runs, and listens where it was told.
    pub fn runs(&self, api: Api) {
        let mut state = self.state.lock();
        state.listening = Some(state.settings.address);
        let _ = self.api.set(api);
    }

    fn take_over(&self, settings: &HttpSettings, listener: Option<TcpListener>) {
        let mut state = self.state.lock();
        state.settings = settings.clone();
        if let Some(api) = self.api.get() {
            let rows = u32::try_from(settings.max_row_limit).unwrap_or(u32::MAX);
            api.reconfigure(settings.token.clone(), rows);
        }
        let Some(listener) = listener else { return };
        let listener = tokio::net::TcpListener::from_std(listener);
        match listener.map(|listener| self.listeners.try_send(listener)) {
            Ok(Ok(())) => state.listening = Some(settings.address),
            // The server is gone: the node stops.
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "the HTTP API stays at its old address"),
        }
    }
}

/// The plugin.
pub(super) struct HttpApi(pub Arc<HttpControl>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    http_laddr: Option<SocketAddr>,
    max_row_limit: Option<usize>,
    http_bearer_token: Option<String>,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, toml::Value>,
}

fn settings(own: &HttpConfig, file: &File) -> HttpSettings {
    let default = HttpConfig::default();
    let given = |is_default: bool| (!is_default).then_some(());
    let token = own
        .bearer_token
        .as_ref()
        .map(|token| token.expose().to_owned());
    let from_file = || {
        file.http_bearer_token
            .clone()
            .filter(|token| !token.is_empty())
    };
    HttpSettings {
        address: given(own.addr == default.addr)
            .map_or(file.http_laddr.unwrap_or(own.addr), |()| own.addr),
        token: token.or_else(from_file),
        max_row_limit: given(own.max_row_limit == default.max_row_limit)
            .map_or(file.max_row_limit.unwrap_or(own.max_row_limit), |()| {
                own.max_row_limit
            }),
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        if self
            .max_row_limit
            .is_some_and(|rows| !(1..=1_000_000).contains(&rows))
        {
            return Err("max_row_limit is out of range: 1 to 1000000".into());
        }
        let unknown = self
            .others
            .keys()
            .find(|key| !WITHOUT_MEANING.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(format!("unknown setting {key:?}")),
            None => Ok(()),
        }
    }
}

struct PreparedApi {
    control: Arc<HttpControl>,
    settings: HttpSettings,
    /// Opened already, when the address is another one.
    listener: Mutex<Option<TcpListener>>,
    /// Certificate and key, read again.
    identity: Option<TlsIdentity>,
}

impl Plugin for HttpApi {
    fn name(&self) -> &'static str {
        "rmqtt-http-api"
    }

    fn description(&self) -> &'static str {
        "The HTTP API: its address, token and row limit"
    }

    fn needed_because(&self) -> Option<&'static str> {
        Some("the node could not be asked any more, and not told to load it again")
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let file: File = file::parse(text)?;
        file.check()?;
        let settings = settings(&self.0.own, &file);
        let tls = self.0.tls.as_ref().map(|tls| tls.read_again());
        let identity = tls.transpose().map_err(|error| format!("TLS: {error}"))?;
        let listening = self.0.state.lock().listening;
        let listener = listening.filter(|address| *address != settings.address);
        let listener = listener.map(|_| open(settings.address)).transpose()?;
        Ok(Box::new(PreparedApi {
            control: self.0.clone(),
            settings,
            listener: Mutex::new(listener),
            identity,
        }))
    }
}

fn open(address: SocketAddr) -> Result<TcpListener, String> {
    let wrong = |error: std::io::Error| format!("http_laddr: cannot listen on {address}: {error}");
    let listener = TcpListener::bind(address).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    Ok(listener)
}

impl Prepared for PreparedApi {
    fn config(&self) -> Value {
        json!({
            "http_laddr": self.settings.address,
            "max_row_limit": self.settings.max_row_limit,
            "http_bearer_token": self.settings.token.as_ref().map(|_| "hidden"),
        })
    }

    fn extend(&self, _: &mut Extensions) {}

    fn begin(&self) {
        if let (Some(tls), Some(identity)) = (&self.control.tls, &self.identity) {
            tls.put_in_force(identity);
        }
        self.control
            .take_over(&self.settings, self.listener.lock().take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> HttpConfig {
        HttpConfig::default()
    }

    #[test]
    fn the_file_fills_in_what_the_configuration_leaves_at_its_default() {
        let file: File = file::parse(
            "http_laddr = \"127.0.0.1:7070\"\nmax_row_limit = 5\nhttp_bearer_token = \"t\"\nworkers = 1",
        )
        .expect("good settings");
        file.check().expect("known settings");
        let both = settings(&own(), &file);
        assert_eq!(both.address.port(), 7070);
        assert_eq!((both.token.as_deref(), both.max_row_limit), (Some("t"), 5));
        let fixed = HttpConfig {
            addr: "127.0.0.1:8080".parse().expect("an address"),
            max_row_limit: 7,
            ..own()
        };
        let both = settings(&fixed, &file);
        assert_eq!((both.address.port(), both.max_row_limit), (8080, 7));
    }

    #[test]
    fn unknown_settings_and_impossible_limits_are_refused() {
        for wrong in ["max_row_limit = 0", "rows = 1", "http_laddr = \"nowhere\""] {
            let (control, _) = HttpControl::new(&own(), None);
            assert!(HttpApi(control).prepare(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_token_is_shown() {
        let (control, _) = HttpControl::new(&own(), None);
        let prepared = HttpApi(control).prepare("http_bearer_token = \"secret\"");
        let shown = prepared.expect("good settings").config().to_string();
        assert!(!shown.contains("secret"), "{shown}");
    }
}
