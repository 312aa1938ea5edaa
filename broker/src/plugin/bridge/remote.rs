//! The remote broker of a bridge: where it is, how it is trusted, and what it is told in CONNECT.

use super::{checks::qos, settings::Direction};
use crate::plugin::file;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use raftmq_api::{TlsFiles, client::tls_config};
use raftmq_mqtt::{
    codec::{QoS, Version},
    topic,
};
use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Messages under way in an entry when the file does not say.
const RECEIVE_MAXIMUM: u16 = 100;
/// The most that may be.
const RECEIVE_MAXIMUM_MAX: u16 = 10_000;
/// Longest packet when the file does not say, as RMQTT writes it.
const PACKET_SIZE: &str = "1M";
/// How long the remote broker keeps the session of an ingress entry when the file does not say.
const SESSION_EXPIRY: &str = "2h";

/// How the file writes it.
pub(super) struct Link<'a> {
    pub client_id_prefix: &'a Option<String>,
    pub server: &'a str,
    pub root_cert: &'a Option<PathBuf>,
    pub client_cert: &'a Option<PathBuf>,
    pub client_key: &'a Option<PathBuf>,
    pub username: &'a Option<String>,
    pub password: &'a Option<String>,
    pub connect_timeout: &'a str,
    pub keepalive: &'a str,
    pub reconnect_interval: &'a str,
    pub mqtt_ver: Spoken,
    pub v4: &'a V4,
    pub v5: &'a V5,
}

/// The version of MQTT, as RMQTT names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spoken {
    V4,
    #[default]
    V5,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct V4 {
    clean_session: bool,
    last_will: Option<LastWill>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct V5 {
    clean_start: bool,
    session_expiry_interval: String,
    receive_maximum: u16,
    maximum_packet_size: String,
    topic_alias_maximum: u16,
    last_will: Option<LastWill>,
}

impl Default for V5 {
    fn default() -> Self {
        Self {
            clean_start: false,
            session_expiry_interval: SESSION_EXPIRY.into(),
            receive_maximum: RECEIVE_MAXIMUM,
            maximum_packet_size: PACKET_SIZE.into(),
            topic_alias_maximum: 0,
            last_will: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastWill {
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    topic: String,
    message: String,
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Plain,
    Base64,
}

/// What the remote broker publishes when this connection is lost.
pub(super) struct Testament {
    pub qos: QoS,
    pub retain: bool,
    pub topic: String,
    pub payload: Vec<u8>,
}

/// The remote broker, as connecting needs it.
pub(super) struct Remote {
    pub host: String,
    pub port: u16,
    /// `None`: plain TCP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub version: Version,
    pub client_id_prefix: Option<String>,
    pub user_name: Option<String>,
    pub password: Option<String>,
    pub clean_start: bool,
    pub session_expiry_seconds: u32,
    pub receive_maximum: u16,
    pub packet_bytes_max: u32,
    pub connect_timeout: Duration,
    pub keep_alive_seconds: u16,
    pub reconnect_interval: Duration,
    pub will: Option<Testament>,
    pub fingerprint: u64,
}

impl Remote {
    /// `host:port`: what stands for the remote broker when it does not tell its cluster.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Link<'_> {
    /// Reads the certificates, too.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(&self, direction: Direction) -> Result<Remote, String> {
        let address = Address::read(self.server)?;
        let (tls, seen) = self.tls(&address)?;
        let (clean_start, will) = match self.mqtt_ver {
            Spoken::V4 => (self.v4.clean_session, &self.v4.last_will),
            Spoken::V5 => (self.v5.clean_start, &self.v5.last_will),
        };
        if will.is_some() && direction == Direction::Ingress {
            return Err("last_will: only egress bridges have one".into());
        }
        let user_name = self.username.as_deref().map(of_environment).transpose()?;
        let password = self.password.as_deref().map(of_environment).transpose()?;
        let mut hasher = DefaultHasher::new();
        (self.client_id_prefix, &address.host, address.port).hash(&mut hasher);
        (&user_name, &password, &seen).hash(&mut hasher);
        (
            self.connect_timeout,
            self.keepalive,
            self.reconnect_interval,
        )
            .hash(&mut hasher);
        format!("{:?}{:?}{:?}", self.mqtt_ver, self.v4, self.v5).hash(&mut hasher);
        Ok(Remote {
            host: address.host,
            port: address.port,
            tls,
            version: match self.mqtt_ver {
                Spoken::V4 => Version::V4,
                Spoken::V5 => Version::V5,
            },
            client_id_prefix: self.client_id_prefix.clone(),
            user_name,
            password,
            clean_start,
            session_expiry_seconds: self.session_expiry_seconds()?,
            receive_maximum: self.receive_maximum()?,
            packet_bytes_max: self.packet_bytes_max()?,
            connect_timeout: within("connect_timeout", self.connect_timeout, "100ms", "5m")?,
            keep_alive_seconds: self.keep_alive_seconds()?,
            reconnect_interval: within(
                "reconnect_interval",
                self.reconnect_interval,
                "100ms",
                "1h",
            )?,
            will: will.as_ref().map(LastWill::read).transpose()?,
            fingerprint: hasher.finish(),
        })
    }

    /// What a server is trusted by, and the bytes of its files.
    #[expect(clippy::type_complexity, reason = "the pair is Remote's")]
    fn tls(
        &self,
        address: &Address,
    ) -> Result<
        (
            Option<(Arc<ClientConfig>, ServerName<'static>)>,
            Vec<Vec<u8>>,
        ),
        String,
    > {
        let files = [self.root_cert, self.client_cert, self.client_key];
        if !address.is_encrypted {
            if files.iter().any(|file| file.is_some()) {
                return Err("server: root_cert, client_cert and client_key need \"tls://\"".into());
            }
            return Ok((None, Vec::new()));
        }
        let mut config =
            tls_config(self.root_cert.as_deref()).map_err(|p| format!("root_cert: {p}"))?;
        // MQTT over TLS has no name there, and servers that look for one would refuse.
        config.alpn_protocols.clear();
        match (self.client_cert, self.client_key) {
            (Some(certificate), Some(key)) => {
                let identity = TlsFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                };
                let (chain, key) = identity.read().map_err(|error| error.to_string())?;
                let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
                    .map_err(|error| format!("client_key: {error}"))?;
                config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
            }
            (None, None) => {}
            _ => return Err("client_cert and client_key are given together".into()),
        }
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| "server: no certificate can be for this host".to_owned())?;
        let read = |file: &PathBuf| std::fs::read(file).unwrap_or_default();
        let seen = files.into_iter().flatten().map(read).collect();
        Ok((Some((Arc::new(config), name)), seen))
    }

    fn session_expiry_seconds(&self) -> Result<u32, String> {
        let text = &self.v5.session_expiry_interval;
        let interval = file::duration(text).map_err(|p| format!("session_expiry_interval: {p}"))?;
        Ok(u32::try_from(interval.as_secs()).unwrap_or(u32::MAX))
    }

    fn receive_maximum(&self) -> Result<u16, String> {
        if self.v5.topic_alias_maximum != 0 {
            return Err("v5.topic_alias_maximum: a bridge takes no aliases; write 0".into());
        }
        match self.v5.receive_maximum {
            found @ 1..=RECEIVE_MAXIMUM_MAX => Ok(found),
            _ => Err(format!(
                "v5.receive_maximum is out of range: 1 to {RECEIVE_MAXIMUM_MAX}"
            )),
        }
    }

    fn packet_bytes_max(&self) -> Result<u32, String> {
        let bytes = file::bytes(&self.v5.maximum_packet_size);
        let bytes = bytes.map_err(|problem| format!("v5.maximum_packet_size: {problem}"))?;
        match u32::try_from(bytes) {
            Ok(bytes @ 1_024..=268_435_460) => Ok(bytes),
            _ => Err("v5.maximum_packet_size is out of range: 1KB to 256MB".into()),
        }
    }

    fn keep_alive_seconds(&self) -> Result<u16, String> {
        let found = within("keepalive", self.keepalive, "1s", "18h")?;
        Ok(u16::try_from(found.as_secs()).unwrap_or(u16::MAX))
    }

    /// Without secrets.
    pub fn shown(&self) -> Value {
        let hidden = self.password.as_ref().map(|_| "hidden");
        let spoken = match self.mqtt_ver {
            Spoken::V4 => "v4",
            Spoken::V5 => "v5",
        };
        let will = |will: &Option<LastWill>| will.as_ref().map(LastWill::shown);
        json!({
            "client_id_prefix": self.client_id_prefix,
            "server": self.server,
            "root_cert": self.root_cert,
            "client_cert": self.client_cert,
            "client_key": self.client_key,
            "username": self.username,
            "password": hidden,
            "connect_timeout": self.connect_timeout,
            "keepalive": self.keepalive,
            "reconnect_interval": self.reconnect_interval,
            "mqtt_ver": spoken,
            "v4": { "clean_session": self.v4.clean_session, "last_will": will(&self.v4.last_will) },
            "v5": {
                "clean_start": self.v5.clean_start,
                "session_expiry_interval": self.v5.session_expiry_interval,
                "receive_maximum": self.v5.receive_maximum,
                "maximum_packet_size": self.v5.maximum_packet_size,
                "topic_alias_maximum": self.v5.topic_alias_maximum,
                "last_will": will(&self.v5.last_will),
            },
        })
    }
}

impl LastWill {
    fn read(&self) -> Result<Testament, String> {
        let wrong = |problem: String| format!("last_will: {problem}");
        topic::validate_name(&self.topic).map_err(|error| wrong(error.to_string()))?;
        let payload = match self.encoding {
            Encoding::Plain => self.message.clone().into_bytes(),
            Encoding::Base64 => STANDARD
                .decode(&self.message)
                .map_err(|error| wrong(error.to_string()))?,
        };
        if payload.len() > usize::from(u16::MAX) {
            return Err(wrong("its message has more than 65,535 bytes".into()));
        }
        Ok(Testament {
            qos: qos("last_will.qos", self.qos)?,
            retain: self.retain,
            topic: self.topic.clone(),
            payload,
        })
    }

    fn shown(&self) -> Value {
        json!({ "qos": self.qos, "retain": self.retain, "topic": self.topic })
    }
}

/// `[scheme://]host[:port]`.
struct Address {
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Address {
    fn read(text: &str) -> Result<Address, String> {
        let wrong = || {
            "server: write host:port, tcp://host:port or tls://host:port (mqtt:// and mqtts:// mean \
             the same)"
                .to_owned()
        };
        let (scheme, place) = text.split_once("://").unwrap_or(("tcp", text));
        let is_encrypted = match scheme {
            "tcp" | "mqtt" => false,
            "tls" | "ssl" | "mqtts" => true,
            _ => return Err(wrong()),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match (port.strip_prefix(':'), is_encrypted) {
            (Some(port), _) => port.parse().ok().filter(|port| *port > 0),
            (None, true) if port.is_empty() => Some(8_883),
            (None, false) if port.is_empty() => Some(1_883),
            _ => None,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
        match port {
            Some(port) if !host.is_empty() && host.chars().all(is_name) => Ok(Address {
                host: host.to_ascii_lowercase(),
                port,
                is_encrypted,
            }),
            _ => Err(wrong()),
        }
    }
}

fn within(name: &str, text: &str, min: &str, max: &str) -> Result<Duration, String> {
    let found = file::duration(text).map_err(|problem| format!("{name}: {problem}"))?;
    let bounds = (file::duration(min)?, file::duration(max)?);
    match (bounds.0..=bounds.1).contains(&found) {
        true => Ok(found),
        false => Err(format!("{name} is out of range: {min} to {max}")),
    }
}

/// `${ENV:NAME}` is what the environment has under that name.
fn of_environment(text: &str) -> Result<String, String> {
    let name = text
        .strip_prefix("${ENV:")
        .and_then(|rest| rest.strip_suffix('}'));
    match name {
        None => Ok(text.to_owned()),
        Some(name) => std::env::var(name).map_err(|_| format!("the environment has no {name:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<(String, u16, bool)> {
        let found = Address::read(text).ok()?;
        Some((found.host, found.port, found.is_encrypted))
    }

    #[test]
    fn a_server_is_a_host_with_or_without_scheme_and_port() {
        for (text, host, port, is_encrypted) in [
            ("127.0.0.1:1883", "127.0.0.1", 1883, false),
            ("tcp://Broker", "broker", 1883, false),
            ("tls://broker", "broker", 8883, true),
            ("mqtts://broker:1", "broker", 1, true),
            ("ssl://[::1]:2", "::1", 2, true),
        ] {
            assert_eq!(
                address(text),
                Some((host.into(), port, is_encrypted)),
                "{text}"
            );
        }
        for text in [
            "",
            "http://broker",
            "broker:x",
            "broker:0",
            "a b",
            "u@broker",
            "b/x",
            "[::1",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
