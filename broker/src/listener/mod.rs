//! The listeners of a node: where clients come in, what they speak, and what they may do.
//!
//! | room | concern |
//! | --- | --- |
//! | [`open`] | sockets that are listened on, before anything else of the node exists |
//! | [`connect_rate`] | how many connections are accepted in a second |
//! | [`client_rate`] | how much one client may send in a second |

pub mod client_rate;
mod connect_rate;
pub mod open;

use crate::{
    admission::{Admission, Ticket},
    config::{
        CertificateName, CertificateUse, Config, ListenerConfig, MQTT_LISTENER, TransportKind,
    },
    settings::Settings,
    transport::tls::TlsSource,
};
use client_rate::RateLimits;
use connect_rate::ConnectRate;
use raftmq_api::TlsError;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// TLS handshakes of a listener that may be under way; more wait for their turn.
const TLS_HANDSHAKES_MAX: usize = 1024;
/// How often it is looked whether files of certificates have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// One listener; all shards share it.
pub struct Listener {
    /// As in the configuration; `mqtt` for the one at `mqtt.addr`.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: String,
    /// What its clients speak.
    pub transport: TransportKind,
    /// What its clients go by.
    pub settings: Settings,
    /// What one client may send.
    pub rate_limits: Option<RateLimits>,
    /// Certificates, if it has some.
    pub tls: Option<Arc<TlsSource>>,
    /// Turns of TLS handshakes.
    pub tls_handshakes: Semaphore,
    /// Path of WebSocket's URL.
    pub http_path: String,
    /// The name in a client's certificate that says who it is.
    pub certificate_name: CertificateName,
    /// What that name is to MQTT.
    pub certificate_use: CertificateUse,
    /// See `mqtt.tcp_keepalive`; `None`: never.
    pub tcp_keepalive: Option<Duration>,
    /// Whether its clients are parts of this process: they are not asked who they are, and nobody else may
    /// take their names.
    pub is_internal: bool,
    admission: Option<Admission>,
    connect_rate: Option<ConnectRate>,
}

impl Listener {
    /// The one at `mqtt.addr`.
    ///
    /// # Errors
    /// None: it has no files.
    fn at_mqtt_addr(config: &Config) -> Result<Listener, TlsError> {
        let own = ListenerConfig {
            addr: Some(config.mqtt.addr),
            ..ListenerConfig::default()
        };
        Listener::new(MQTT_LISTENER, &own, config)
    }

    fn new(name: &str, own: &ListenerConfig, config: &Config) -> Result<Listener, TlsError> {
        let mqtt = &config.mqtt;
        let keepalive = own.tcp_keepalive.unwrap_or(mqtt.tcp_keepalive);
        // QUIC demands a protocol's name, and clients of MQTT over TLS give many or none.
        let alpn: &[&str] = match own.transport {
            TransportKind::Quic => &["mqtt"],
            _ => &[],
        };
        Ok(Listener {
            name: name.into(),
            address: own.place(),
            transport: own.transport,
            settings: Settings::new(config).limited_by(own),
            rate_limits: RateLimits::new(
                own.max_messages_per_second
                    .unwrap_or(mqtt.max_messages_per_second),
                own.max_bytes_per_second
                    .unwrap_or(mqtt.max_bytes_per_second)
                    .get(),
            ),
            tls: TlsSource::open(name, own, alpn)?.map(Arc::new),
            tls_handshakes: Semaphore::new(TLS_HANDSHAKES_MAX),
            http_path: own.http_path.clone(),
            certificate_name: own.certificate_name,
            certificate_use: own.certificate_use,
            tcp_keepalive: (!keepalive.is_zero()).then_some(keepalive),
            is_internal: false,
            admission: (own.max_connections > 0).then(|| Admission::new(own.max_connections)),
            connect_rate: ConnectRate::new(own.max_connects_per_second),
        })
    }

    /// One without a socket, for clients that are parts of this process.
    pub fn internal(name: &str, settings: Settings) -> Listener {
        Listener {
            name: name.into(),
            address: name.to_owned(),
            transport: TransportKind::Unix,
            settings,
            rate_limits: None,
            tls: None,
            tls_handshakes: Semaphore::new(0),
            http_path: String::new(),
            certificate_name: CertificateName::Off,
            certificate_use: CertificateUse::UserName,
            tcp_keepalive: None,
            is_internal: true,
            admission: None,
            connect_rate: None,
        }
    }

    /// A place among this listener's connections; `None`: there is none left.
    pub fn enter(&self, node: Ticket) -> Option<Tickets> {
        let listener = match &self.admission {
            Some(admission) => Some(admission.enter()?),
            None => None,
        };
        Some(Tickets {
            _node: node,
            _listener: listener,
        })
    }

    /// How long the next connection has to wait; its turn is taken.
    pub fn connect_wait(&self) -> Duration {
        let rate = self.connect_rate.as_ref();
        rate.map_or(Duration::ZERO, ConnectRate::take)
    }
}

/// The right to hold one socket of a listener; given back when dropped.
#[derive(Debug)]
pub struct Tickets {
    _node: Ticket,
    _listener: Option<Ticket>,
}

/// All listeners of a configuration, the one at `mqtt.addr` first.
///
/// # Errors
/// [`TlsError`]: which file, and what is wrong with it.
pub fn all(config: &Config) -> Result<Vec<Arc<Listener>>, TlsError> {
    let mut all = vec![Arc::new(Listener::at_mqtt_addr(config)?)];
    for (name, own) in &config.listeners {
        all.push(Arc::new(Listener::new(name, own, config)?));
    }
    Ok(all)
}

/// Looks at the files of certificates now and then, until the node ends.
pub async fn follow_certificates(
    listeners: Vec<Arc<Listener>>,
    mut ended: tokio::sync::watch::Receiver<bool>,
) {
    let sources = listeners.iter().filter_map(|listener| {
        // QUIC's own thread follows its files, because it has to tell its endpoint.
        let is_quic = listener.transport == TransportKind::Quic;
        listener.tls.clone().filter(|_| !is_quic)
    });
    let sources: Vec<Arc<TlsSource>> = sources.collect();
    if sources.is_empty() {
        return;
    }
    loop {
        let end = ended.wait_for(|end| *end);
        if tokio::time::timeout(LOOK_INTERVAL, end).await.is_ok() {
            return;
        }
        for source in &sources {
            let source = source.clone();
            let _ = tokio::task::spawn_blocking(move || source.follow()).await;
        }
    }
}
