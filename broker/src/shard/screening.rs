//! Whether a CONNECT is let in at all: the rules of the standard, the plugins that know clients, and what
//! its will may do. Nothing has been claimed yet.

use super::{
    ShardRef, banning,
    exchange::{self, Authentication, Line},
    permission::ClientIdentity,
};
use crate::{
    connect::{self, ConnectRequest},
    plugin::{self, Credentials, Decision, Denial, Grant},
    settings::Settings,
};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{ReasonCode, Version},
    topic,
};
use std::net::SocketAddr;

/// Why a CONNECT is refused.
pub(super) struct Refusal {
    pub reason: ReasonCode,
    pub why: String,
    /// Where to go instead; MQTT 5 only.
    pub server_reference: Option<String>,
    /// The client has gone already: nobody is there to be told.
    pub is_gone: bool,
}

impl Refusal {
    pub fn new(reason: ReasonCode, why: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            why: why.into(),
            server_reference: None,
            is_gone: false,
        }
    }

    /// The client went away before it was answered.
    pub fn hung_up() -> Refusal {
        Refusal {
            is_gone: true,
            ..Refusal::new(ReasonCode::UnspecifiedError, "the client has gone")
        }
    }

    /// The node is draining. Versions before MQTT 5 have no word for that.
    fn use_another_server(version: Version, server_reference: Option<String>) -> Refusal {
        let reason = match version {
            Version::V5 => ReasonCode::UseAnotherServer,
            _ => ReasonCode::ServerUnavailable,
        };
        Refusal {
            server_reference: server_reference.filter(|_| version == Version::V5),
            ..Refusal::new(reason, "this node is draining")
        }
    }
}

/// A client that is let in.
pub(super) struct Screened {
    /// Who it is.
    pub identity: ClientIdentity,
    /// How it has authenticated itself, with the last data of that, which CONNACK carries.
    pub authentication: Option<(Box<Authentication>, Proof)>,
}

/// The server's last word in an enhanced authentication.
pub(super) struct Proof {
    pub method: &'static str,
    pub data: Vec<u8>,
}

/// Who the client is, when it is let in. The user name that it has proved takes the place of the one that
/// CONNECT says.
pub(super) async fn screen(
    shard: &ShardRef,
    request: &mut ConnectRequest,
    peer: SocketAddr,
    line: Line<'_>,
) -> Result<Screened, Refusal> {
    let listener = line.listener;
    check(shard, request, &listener.settings)?;
    check_reserved(request, listener.is_internal)?;
    banning::check(shard, request, peer)?;
    if listener.is_internal {
        return Ok(Screened {
            identity: ClientIdentity::new(request.user_name.as_deref(), peer, own_client()),
            authentication: None,
        });
    }
    let (grant, authentication) = match request.authentication_method.take() {
        None => (authenticate(shard, request, peer).await?, None),
        Some(name) => {
            let outcome = exchange::authenticate(shard, request, &name, line).await?;
            request.user_name = Some(outcome.proven.user_name);
            let (method, data) = (outcome.method, outcome.proven.data);
            let authentication = Box::new(Authentication::new(method));
            let proof = Proof { method, data };
            (outcome.proven.grant, Some((authentication, proof)))
        }
    };
    let identity = ClientIdentity::new(request.user_name.as_deref(), peer, grant);
    check_will_access(shard, request, &identity)?;
    Ok(Screened {
        identity,
        authentication,
    })
}

/// [MQTT-3.1.3-5], [MQTT-3.1.4-2], 3.1.1 [MQTT-3.1.3-8], 3.1.1 [MQTT-3.1.3-9]
fn check(shard: &ShardRef, request: &ConnectRequest, settings: &Settings) -> Result<(), Refusal> {
    let shard = shard.borrow();
    if shard.stopping {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "this node stops",
        ));
    }
    let engine = &shard.engine;
    if engine.draining.order().is_some() {
        let own = engine.node_id.into();
        let reference = engine.draining.next_server(&engine.store, own);
        return Err(Refusal::use_another_server(request.version, reference));
    }
    if request.is_assigned && request.version != Version::V5 && !request.clean_start {
        let why = "an empty client identifier needs clean session: 3.1.1 [MQTT-3.1.3-8]";
        return Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, why));
    }
    if request.version == Version::V3 && !is_client_id_of_3_1(request, settings) {
        let why =
            "a client identifier of MQTT 3.1 has 1 to 23 characters, or mqtt.max_client_id_3_1";
        return Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, why));
    }
    shard.counters.add(Metric::ClientAuthenticate, 1);
    check_will(request, settings, shard.retain_available())
}

/// Nobody else takes the place of one of the broker's own clients: it would get what was meant for them.
fn check_reserved(request: &ConnectRequest, is_internal: bool) -> Result<(), Refusal> {
    match connect::is_reserved(&request.client_id) == is_internal {
        true => Ok(()),
        false => Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            "identifiers that begin like this are the broker's own",
        )),
    }
}

/// What is configured on this node is the operator's own doing, so no rules hold for it.
fn own_client() -> Grant {
    Grant {
        superuser: true,
        ..Grant::default()
    }
}

/// Asks the plugins; a client that none of them knows is let in when `mqtt.allow_anonymous` says so, or
/// when there are none and it has a name.
async fn authenticate(
    shard: &ShardRef,
    request: &ConnectRequest,
    peer: SocketAddr,
) -> Result<Grant, Refusal> {
    let extensions = {
        let mut shard = shard.borrow_mut();
        shard.begin_turn();
        shard.extensions.get().clone()
    };
    if extensions.authenticators.is_empty() {
        return admit_unknown(shard, request.user_name.is_some() || request.is_certified);
    }
    let credentials = Credentials {
        client_id: request.client_id.clone(),
        user_name: request.user_name.clone(),
        password: request.password.as_ref().map(|password| password.0.clone()),
        peer,
        protocol_version: request.version.level(),
    };
    match plugin::decide(&extensions.authenticators, credentials).await {
        Decision::Pass => admit_unknown(shard, request.is_certified),
        Decision::Admit(grant) => Ok(grant),
        Decision::Deny(denial) => Err(refused_by_plugin(denial)),
    }
}

pub(super) fn refused_by_plugin(denial: Denial) -> Refusal {
    match denial {
        Denial::BadCredentials => Refusal::new(
            ReasonCode::BadUserNameOrPassword,
            "a plugin does not accept the credentials",
        ),
        Denial::NotAuthorized => {
            Refusal::new(ReasonCode::NotAuthorized, "a plugin does not let it in")
        }
        Denial::Busy => Refusal::new(
            ReasonCode::ServerBusy,
            "too many clients wait for a plugin's decision",
        ),
        Denial::Unavailable => Refusal::new(
            ReasonCode::ServerUnavailable,
            "nobody could be asked whether it may come in",
        ),
    }
}

/// MQTT 3.1 §3.1: one to 23 characters, so none is assigned.
fn is_client_id_of_3_1(request: &ConnectRequest, settings: &Settings) -> bool {
    let characters = request.client_id.chars().count();
    !request.is_assigned && characters <= settings.client_id_chars_max_3_1
}

fn admit_unknown(shard: &ShardRef, is_known: bool) -> Result<Grant, Refusal> {
    let shard = shard.borrow();
    if is_known {
        return Ok(Grant::default());
    }
    if shard.engine.settings.allow_anonymous {
        return Ok(Grant::default());
    }
    shard.counters.add(Metric::ClientAuthAnonymousError, 1);
    let why = "anonymous clients are not let in";
    Err(Refusal::new(ReasonCode::NotAuthorized, why))
}

/// The will is published in the client's name when it cannot be asked any more: what it may not
/// publish itself it may not leave, either.
fn check_will_access(
    shard: &ShardRef,
    request: &ConnectRequest,
    identity: &ClientIdentity,
) -> Result<(), Refusal> {
    let Some(message) = request.will.as_ref().and_then(|w| w.message.as_ref()) else {
        return Ok(());
    };
    let shard = shard.borrow();
    let access = shard.extensions.get().access.as_ref();
    if identity.may_publish(&request.client_id, access, &message.topic) {
        return Ok(());
    }
    let why = "the will's topic is not allowed to this client";
    Err(Refusal::new(ReasonCode::NotAuthorized, why))
}

fn check_will(
    request: &ConnectRequest,
    settings: &Settings,
    retain_available: bool,
) -> Result<(), Refusal> {
    let Some(message) = request.will.as_ref().and_then(|w| w.message.as_ref()) else {
        return Ok(());
    };
    if topic::validate_name(&message.topic).is_err() || !settings.allows_levels(&message.topic) {
        return Err(Refusal::new(
            ReasonCode::TopicNameInvalid,
            "the will topic is not a topic name",
        ));
    }
    if request.will_qos > settings.max_qos {
        return Err(Refusal::new(
            ReasonCode::QosNotSupported,
            "the will's QoS is above mqtt.max_qos [MQTT-3.2.2-12]",
        ));
    }
    if settings.check_payload_format && request.will_breaks_its_format {
        return Err(Refusal::new(
            ReasonCode::PayloadFormatInvalid,
            "the will's payload is not UTF-8, as it says (§3.1.3.2.3)",
        ));
    }
    if message.retain && !retain_available {
        return Err(Refusal::new(
            ReasonCode::RetainNotSupported,
            "retained wills are not offered [MQTT-3.2.2-13]",
        ));
    }
    Ok(())
}
