//! Packets that own their fields, because the codec's borrow theirs.

use std::num::{NonZeroU16, NonZeroU32};

use raftmq_mqtt::codec::*;

pub type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub struct DiagnosticsModel {
    pub reason_string: Option<String>,
    pub user_properties: Pairs,
}

#[derive(Clone, Debug)]
pub struct MessageProperties {
    /// Properties in any order.
    pub block: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct WillModel {
    pub qos: QoS,
    pub retain: bool,
    pub topic: String,
    pub payload: Vec<u8>,
    pub properties: MessageProperties,
}

#[derive(Clone, Debug)]
pub struct ConnectPropertiesModel {
    pub session_expiry_interval: Option<u32>,
    pub receive_maximum: Option<NonZeroU16>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub topic_alias_maximum: Option<u16>,
    pub request_response_information: Option<bool>,
    pub request_problem_information: Option<bool>,
    pub user_properties: Pairs,
    pub authentication: Option<(String, Option<Vec<u8>>)>,
}

#[derive(Clone, Debug)]
pub struct ConnectModel {
    pub clean_start: bool,
    pub keep_alive: u16,
    pub client_id: String,
    pub will: Option<WillModel>,
    pub user_name: Option<String>,
    pub password: Option<Vec<u8>>,
    pub properties: ConnectPropertiesModel,
}

type ConnAckNumbers = (
    Option<u32>,
    Option<NonZeroU16>,
    Option<NonZeroU32>,
    Option<u16>,
    Option<u16>,
);

#[derive(Clone, Debug)]
pub struct ConnAckModel {
    pub session_present: bool,
    pub reason_code: ReasonCode,
    pub numbers: ConnAckNumbers,
    pub flags: [Option<bool>; 5],
    pub texts: (Option<String>, Option<String>, Option<String>),
    pub authentication: Option<(String, Option<Vec<u8>>)>,
    pub diagnostics: DiagnosticsModel,
}

#[derive(Clone, Debug)]
pub struct PublishModel {
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    pub topic: String,
    pub packet_id: PacketId,
    pub properties: MessageProperties,
    pub payload: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct DisconnectModel {
    pub reason_code: ReasonCode,
    pub session_expiry_interval: Option<u32>,
    pub server_reference: Option<String>,
    pub diagnostics: DiagnosticsModel,
}

#[derive(Clone, Debug)]
pub enum Model {
    Connect(ConnectModel),
    ConnAck(ConnAckModel),
    Publish(PublishModel),
    Ack(AckType, PacketId, ReasonCode, DiagnosticsModel),
    Subscribe(
        PacketId,
        Option<SubscriptionIdentifier>,
        Pairs,
        Vec<(String, SubscriptionOptions)>,
    ),
    SubAck(PacketId, DiagnosticsModel, Vec<ReasonCode>),
    Unsubscribe(PacketId, Pairs, Vec<String>),
    UnsubAck(PacketId, DiagnosticsModel, Vec<ReasonCode>),
    PingReq,
    PingResp,
    Disconnect(DisconnectModel),
    Auth(ReasonCode, String, Option<Vec<u8>>, DiagnosticsModel),
}

impl Model {
    /// Lends the packet as it can be said in a version: MQTT 5 says everything.
    pub fn with<R>(&self, version: Version, f: impl FnOnce(&Packet<'_>) -> R) -> R {
        let is_v5 = version == Version::V5;
        match self {
            Model::Connect(model) => model.with(version, f),
            Model::ConnAck(model) => model.with(version, f),
            Model::Publish(model) => f(&Packet::Publish(model.lend(is_v5))),
            Model::Ack(ack_type, packet_id, reason_code, diagnostics) => {
                diagnostics.with(is_v5, |diagnostics| {
                    let mut ack = Ack::new(*packet_id, ReasonCode::Success);
                    if is_v5 {
                        (ack.reason_code, ack.diagnostics) = (*reason_code, diagnostics);
                    }
                    f(&match ack_type {
                        AckType::PubAck => Packet::PubAck(ack),
                        AckType::PubRec => Packet::PubRec(ack),
                        AckType::PubRel => Packet::PubRel(ack),
                        AckType::PubComp => Packet::PubComp(ack),
                    })
                })
            }
            Model::Subscribe(packet_id, identifier, pairs, filters) => {
                let filters: Vec<_> = filters
                    .iter()
                    .map(|entry| lend_filter(is_v5, entry))
                    .collect();
                with_pairs(is_v5, pairs, |user_properties| {
                    f(&Packet::Subscribe(Subscribe {
                        packet_id: *packet_id,
                        subscription_identifier: identifier.filter(|_| is_v5),
                        user_properties,
                        filters: SubscribeFilters::new(&filters),
                    }))
                })
            }
            Model::SubAck(packet_id, diagnostics, codes) => {
                diagnostics.with(is_v5, |diagnostics| {
                    let codes: Vec<_> =
                        codes.iter().map(|code| lend_code(version, *code)).collect();
                    f(&Packet::SubAck(SubAck {
                        packet_id: *packet_id,
                        diagnostics,
                        reason_codes: ReasonCodes::new(&codes),
                    }))
                })
            }
            Model::Unsubscribe(packet_id, pairs, filters) => {
                let filters: Vec<_> = filters.iter().map(String::as_str).collect();
                with_pairs(is_v5, pairs, |user_properties| {
                    f(&Packet::Unsubscribe(Unsubscribe {
                        packet_id: *packet_id,
                        user_properties,
                        filters: UnsubscribeFilters::new(&filters),
                    }))
                })
            }
            Model::UnsubAck(packet_id, diagnostics, codes) => {
                diagnostics.with(is_v5, |diagnostics| {
                    f(&Packet::UnsubAck(UnsubAck {
                        packet_id: *packet_id,
                        diagnostics,
                        reason_codes: ReasonCodes::new(if is_v5 { codes } else { &[] }),
                    }))
                })
            }
            Model::PingReq => f(&Packet::PingReq),
            Model::PingResp => f(&Packet::PingResp),
            Model::Disconnect(_) if !is_v5 => f(&Packet::Disconnect(Disconnect::default())),
            Model::Disconnect(model) => model.diagnostics.with(true, |diagnostics| {
                f(&Packet::Disconnect(Disconnect {
                    reason_code: model.reason_code,
                    session_expiry_interval: model.session_expiry_interval,
                    server_reference: model.server_reference.as_deref(),
                    diagnostics,
                }))
            }),
            Model::Auth(reason_code, method, data, diagnostics) => {
                diagnostics.with(true, |diagnostics| {
                    f(&Packet::Auth(Auth {
                        reason_code: *reason_code,
                        authentication_method: Some(method),
                        authentication_data: data.as_deref(),
                        diagnostics,
                    }))
                })
            }
        }
    }

    /// The packet's bytes.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        self.with(version, |packet| {
            let mut out = Vec::new();
            packet.encode(version, u32::MAX, &mut out).expect("encodes");
            out
        })
    }
}

impl DiagnosticsModel {
    fn with<R>(&self, is_v5: bool, f: impl FnOnce(Diagnostics<'_>) -> R) -> R {
        with_pairs(is_v5, &self.user_properties, |user_properties| {
            f(Diagnostics {
                reason_string: self.reason_string.as_deref().filter(|_| is_v5),
                user_properties,
            })
        })
    }
}

fn with_pairs<R>(is_v5: bool, pairs: &Pairs, f: impl FnOnce(UserProperties<'_>) -> R) -> R {
    let pairs: Vec<_> = pairs
        .iter()
        .filter(|_| is_v5)
        .map(|(n, v)| (&n[..], &v[..]))
        .collect();
    f(UserProperties::Pairs(&pairs))
}

fn lend_filter(is_v5: bool, entry: &(String, SubscriptionOptions)) -> SubscribeFilter<'_> {
    let mut options = entry.1;
    if !is_v5 {
        options = SubscriptionOptions {
            qos: options.qos,
            ..SubscriptionOptions::default()
        };
    }
    SubscribeFilter {
        filter: &entry.0,
        options,
    }
}

fn lend_code(version: Version, code: ReasonCode) -> ReasonCode {
    match version {
        Version::V3 if code.is_failure() => ReasonCode::Success,
        Version::V4 if code.is_failure() => ReasonCode::UnspecifiedError,
        _ => code,
    }
}

impl ConnectModel {
    fn with<R>(&self, version: Version, f: impl FnOnce(&Packet<'_>) -> R) -> R {
        let is_v5 = version == Version::V5;
        let model = &self.properties;
        with_pairs(is_v5, &model.user_properties, |user_properties| {
            let properties = ConnectProperties {
                session_expiry_interval: model.session_expiry_interval,
                receive_maximum: model.receive_maximum,
                maximum_packet_size: model.maximum_packet_size,
                topic_alias_maximum: model.topic_alias_maximum,
                request_response_information: model.request_response_information,
                request_problem_information: model.request_problem_information,
                user_properties,
                authentication_method: model.authentication.as_ref().map(|(m, _)| &m[..]),
                authentication_data: model
                    .authentication
                    .as_ref()
                    .and_then(|(_, d)| d.as_deref()),
            };
            let has_password = is_v5 || self.user_name.is_some();
            f(&Packet::Connect(Connect {
                version,
                clean_start: self.clean_start,
                keep_alive: self.keep_alive,
                client_id: &self.client_id,
                will: self.will.as_ref().map(|will| will.lend(is_v5)),
                user_name: self.user_name.as_deref(),
                password: self.password.as_deref().filter(|_| has_password),
                properties: if is_v5 {
                    properties
                } else {
                    ConnectProperties::default()
                },
            }))
        })
    }
}

impl WillModel {
    fn lend(&self, is_v5: bool) -> Will<'_> {
        let block: &[u8] = if is_v5 { &self.properties.block } else { &[] };
        Will {
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            payload: &self.payload,
            properties: WillProperties::parse(block).expect("valid properties"),
        }
    }
}

impl PublishModel {
    fn lend(&self, is_v5: bool) -> Publish<'_> {
        let has_id = self.qos != QoS::AtMostOnce;
        let block: &[u8] = if is_v5 { &self.properties.block } else { &[] };
        Publish {
            dup: self.dup && has_id,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: Some(self.packet_id).filter(|_| has_id),
            properties: PublishProperties::parse(block).expect("valid properties"),
            payload: &self.payload,
        }
    }
}

impl ConnAckModel {
    fn with<R>(&self, version: Version, f: impl FnOnce(&Packet<'_>) -> R) -> R {
        let is_v5 = version == Version::V5;
        let code = if is_v5 {
            Some(self.reason_code)
        } else {
            lend_return_code(self.reason_code)
        };
        let reason_code = code.unwrap_or_default();
        let is_success = reason_code == ReasonCode::Success;
        self.diagnostics.with(is_v5, |diagnostics| {
            f(&Packet::ConnAck(ConnAck {
                session_present: self.session_present && is_success && version != Version::V3,
                reason_code,
                properties: if is_v5 {
                    self.lend()
                } else {
                    ConnAckProperties::default()
                },
                diagnostics,
            }))
        })
    }

    fn lend(&self) -> ConnAckProperties<'_> {
        let maximum_qos = |one| {
            if one {
                QoS::AtLeastOnce
            } else {
                QoS::AtMostOnce
            }
        };
        ConnAckProperties {
            session_expiry_interval: self.numbers.0,
            receive_maximum: self.numbers.1,
            maximum_qos: self.flags[0].map(maximum_qos),
            retain_available: self.flags[1],
            maximum_packet_size: self.numbers.2,
            assigned_client_identifier: self.texts.0.as_deref(),
            topic_alias_maximum: self.numbers.3,
            wildcard_subscription_available: self.flags[2],
            subscription_identifier_available: self.flags[3],
            shared_subscription_available: self.flags[4],
            server_keep_alive: self.numbers.4,
            response_information: self.texts.1.as_deref(),
            server_reference: self.texts.2.as_deref(),
            authentication_method: self.authentication.as_ref().map(|(m, _)| &m[..]),
            authentication_data: self.authentication.as_ref().and_then(|(_, d)| d.as_deref()),
        }
    }
}

/// What a reason is after it went through a return code of MQTT 3.1.1.
fn lend_return_code(reason_code: ReasonCode) -> Option<ReasonCode> {
    ReasonCode::from_connect_return_code(reason_code.connect_return_code()?)
}
