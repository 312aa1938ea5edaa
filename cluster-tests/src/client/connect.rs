//! How a client connects.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::events::{Events, Sinks, read};
use super::settle::Ledger;
use super::{Client, Requests, v4, v5};
use crate::wait::within;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.0.
    V5,
}

/// A will.
#[derive(Debug, Clone)]
pub struct Will {
    /// Will Topic.
    pub topic: String,
    /// Will Payload.
    pub payload: Bytes,
    /// Will QoS.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds (MQTT 5).
    pub delay_seconds: u32,
}

impl Will {
    /// A will with QoS 1, not retained, without delay.
    #[must_use]
    pub fn new(topic: &str, payload: &'static str) -> Self {
        let payload = Bytes::from_static(payload.as_bytes());
        Self {
            topic: topic.into(),
            payload,
            qos: 1,
            retain: false,
            delay_seconds: 0,
        }
    }
}

/// A CONNECT that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Return code (MQTT 3.1.1) or reason code (MQTT 5) of the CONNACK; absent when there was none.
    pub code: Option<u8>,
    /// What rumqttc said.
    pub reason: String,
}

/// A CONNECT in preparation.
#[derive(Debug, Clone)]
pub struct Connect {
    pub(super) address: SocketAddr,
    pub(super) id: String,
    pub(super) version: Version,
    pub(super) clean_start: bool,
    pub(super) expiry_seconds: u32,
    pub(super) keep_alive_seconds: u16,
    pub(super) inflight: u16,
    pub(super) will: Option<Will>,
    pub(super) username: Option<String>,
    pub(super) password: String,
}

impl Connect {
    /// MQTT 5, clean start, session ends with the connection, keep alive 30 s, inflight window 20.
    #[must_use]
    pub fn new(address: SocketAddr, id: &str) -> Self {
        Self {
            address,
            id: id.into(),
            version: Version::V5,
            clean_start: true,
            expiry_seconds: 0,
            keep_alive_seconds: 30,
            inflight: 20,
            will: None,
            username: None,
            password: "secret".into(),
        }
    }

    /// The same client at another node.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Whether it speaks MQTT 3.1.1.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.version == Version::V4
    }

    /// Speaks this version.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Speaks MQTT 3.1.1.
    #[must_use]
    pub fn v4(self) -> Self {
        self.version(Version::V4)
    }

    /// Continues a session, and lets it live on for an hour after the connection
    /// (MQTT 3.1.1: clean session 0).
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.clean_start = false;
        self.expiry_seconds = 3_600;
        self
    }

    /// Sets Session Expiry Interval (MQTT 5) alone.
    #[must_use]
    pub fn expiry_seconds(mut self, seconds: u32) -> Self {
        self.expiry_seconds = seconds;
        self
    }

    /// Sets Keep Alive, seconds, at least 5 (rumqttc).
    #[must_use]
    pub fn keep_alive_seconds(mut self, seconds: u16) -> Self {
        self.keep_alive_seconds = seconds;
        self
    }

    /// How many QoS 1/2 publishes may be under way to the broker.
    #[must_use]
    pub fn inflight(mut self, packets: u16) -> Self {
        self.inflight = packets;
        self
    }

    /// Leaves a will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// Sends a username.
    #[must_use]
    pub fn username(mut self, name: &str) -> Self {
        self.username = Some(name.into());
        self
    }

    /// Sends this password in the place of `secret`; only with a username.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = password.into();
        self
    }

    /// Connects and waits for CONNACK.
    ///
    /// # Errors
    /// The broker refused, closed the connection, or could not be reached.
    ///
    /// # Panics
    /// When there is neither a CONNACK nor an end of the connection within [`crate::SOON`].
    pub async fn try_open(self) -> Result<Client, Refused> {
        let what = format!("CONNACK for {}", self.id);
        within(&what, crate::SOON, Box::pin(self.opened())).await
    }

    /// Connects and waits for a CONNACK that accepts.
    ///
    /// # Panics
    /// When the broker does not accept.
    pub async fn open(self) -> Client {
        let id = self.id.clone();
        match self.try_open().await {
            Ok(client) => client,
            Err(refused) => panic!("CONNECT of {id}: {refused:?}"),
        }
    }

    async fn opened(self) -> Result<Client, Refused> {
        match self.version {
            Version::V4 => {
                let (requests, events, session_present) = v4::connect(&self).await?;
                Ok(self.client(Requests::V4(requests), events, session_present))
            }
            Version::V5 => {
                let (requests, events, session_present) = v5::connect(&self).await?;
                Ok(self.client(Requests::V5(requests), events, session_present))
            }
        }
    }

    fn client(self, requests: Requests, events: impl Events, session_present: bool) -> Client {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (closed_sender, closed) = watch::channel(None);
        let sinks = Sinks {
            ledger: ledger.clone(),
            messages: message_sender,
            closed: closed_sender,
        };
        let reader = tokio::spawn(read(events, sinks)).abort_handle();
        let submitting = tokio::sync::Mutex::new(());
        Client {
            id: self.id,
            session_present,
            requests,
            submitting,
            ledger,
            messages,
            closed,
            reader,
        }
    }
}
