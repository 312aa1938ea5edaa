//! The HTTP API of this process: what it is served with, and what it goes by.

use super::replicated::TableView;
use super::start::StartError;
use crate::{
    config::{Config, HttpConfig},
    engine::Engine,
    plugin::{EngineDesk, HttpControl, HttpSettings},
};
use raftmq_api::{Api, ApiConfig, ApiParts, Identity, PeerNode, Phase, Tls, TlsFiles};
use std::sync::Arc;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

/// How the HTTP API shows itself to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpFace {
    /// Whether it speaks TLS.
    pub encrypted: bool,
    /// Whether everybody may use it, from other machines, too.
    pub open: bool,
}

/// What the HTTP API is served with.
pub(super) struct Http {
    pub listener: TcpListener,
    /// Listeners that take its place while the node runs.
    pub later: mpsc::Receiver<TcpListener>,
    pub tls: Option<Arc<Tls>>,
    pub control: Arc<HttpControl>,
    /// Told when there is a node to be asked.
    pub desk: Arc<EngineDesk>,
}

impl Http {
    /// Tells on the way what should not stay as it is.
    pub fn face(&self) -> HttpFace {
        let settings = self.control.settings();
        let address = self.listener.local_addr().unwrap_or(settings.address);
        let face = HttpFace {
            encrypted: self.tls.is_some(),
            open: settings.token.is_none() && !address.ip().is_loopback(),
        };
        if face.open {
            tracing::warn!(%address, "the HTTP API asks for no token, and everybody who reaches this address can publish, disconnect clients and change plugins: set http.bearer_token, or listen on 127.0.0.1");
        }
        face
    }
}

/// Reads certificate and key, if there are any, before a port is opened.
pub(super) fn tls(http: &HttpConfig) -> Result<Option<Arc<Tls>>, StartError> {
    let (Some(certificate), Some(key)) = (&http.tls_certificate, &http.tls_key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
    };
    Ok(Some(Arc::new(Tls::open(files)?)))
}

pub(super) async fn serve(api: Api, http: Http, engine: Arc<Engine>) {
    let mut ended = engine.ended.clone();
    let shutdown = async move {
        let _ = ended.wait_for(|end| *end).await;
    };
    raftmq_api::serve(http.listener, http.later, http.tls, api, shutdown).await;
}

pub(super) fn api(
    config: &Config,
    http: &HttpSettings,
    engine: &Arc<Engine>,
    identity: Arc<Identity>,
    local: Arc<dyn raftmq_api::Node>,
    phase: watch::Receiver<Phase>,
) -> Result<Api, StartError> {
    let timeout = config.http.peer_timeout;
    let others = config.cluster.peers.iter();
    let others = others.filter(|peer| peer.id != config.node.id);
    let peers = others.map(|peer| {
        PeerNode::new(identity.clone(), peer.id, &peer.address, timeout)
            .map_err(|error| StartError::Peer(error.to_string()))
    });
    let parts = ApiParts {
        config: api_config(&config.http, http),
        replicated: Arc::new(TableView::new(engine.clone())),
        peers: peers.collect::<Result<_, _>>()?,
        identity,
        address: config.own_address(),
        local,
        phase,
    };
    Ok(Api::new(parts))
}

fn api_config(config: &HttpConfig, http: &HttpSettings) -> ApiConfig {
    ApiConfig {
        http_bearer_token: http.token.clone(),
        max_row_limit: u32::try_from(http.max_row_limit).unwrap_or(u32::MAX),
        peer_timeout: config.peer_timeout,
        max_connections: config.max_connections,
        header_timeout: config.header_timeout,
        request_timeout: config.request_timeout,
        max_requests_per_second_per_address: config.max_requests_per_second_per_address,
        max_requests_per_second: config.max_requests_per_second,
        max_wrong_tokens_per_minute: config.max_wrong_tokens_per_minute,
        proxy_trusted: config.proxy_trusted.clone(),
        ..ApiConfig::default()
    }
}
