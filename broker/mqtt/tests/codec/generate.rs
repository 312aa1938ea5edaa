//! Arbitrary packets.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use raftmq_mqtt::codec::*;

use super::model::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/$é€😀\u{1}\u{feff} ]{0,24}"
}

/// A topic name or a response topic.
fn topic() -> impl Strategy<Value = String> {
    "[a-z/é]{1,40}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

/// Now and then longer than one byte of length, or two, can say.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 16_000usize..40_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((text(), text()), 0..4)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).expect("not zero"))
}

fn non_zero_u32() -> impl Strategy<Value = NonZeroU32> {
    (1..=u32::MAX).prop_map(|number| NonZeroU32::new(number).expect("not zero"))
}

fn subscription_identifier() -> impl Strategy<Value = SubscriptionIdentifier> {
    let number = prop_oneof![1..200u32, 1..=SubscriptionIdentifier::MAX];
    number.prop_map(|number| SubscriptionIdentifier::new(number).expect("in range"))
}

fn reason_code(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let all = (0..=u8::MAX).filter_map(ReasonCode::from_byte);
    select(
        all.filter(|code| code.is_allowed_in(packet_type))
            .collect::<Vec<_>>(),
    )
}

fn diagnostics() -> impl Strategy<Value = DiagnosticsModel> {
    (of(text()), pairs()).prop_map(|(reason_string, user_properties)| DiagnosticsModel {
        reason_string,
        user_properties,
    })
}

fn encoded(property: Property<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    property.encode(&mut out).expect("encodes");
    out
}

fn some_of(parts: Vec<Option<Vec<u8>>>) -> Vec<Vec<u8>> {
    parts.into_iter().flatten().collect()
}

/// The properties that a PUBLISH and a Will have in common, and `more`, in any order.
fn message_properties(
    more: impl Strategy<Value = Vec<Vec<u8>>>,
) -> impl Strategy<Value = MessageProperties> {
    let format = select(&[PayloadFormat::Unspecified, PayloadFormat::Utf8]);
    let common = (
        of(format.prop_map(|v| encoded(Property::PayloadFormatIndicator(v)))),
        of(any::<u32>().prop_map(|v| encoded(Property::MessageExpiryInterval(v)))),
        of(text().prop_map(|v| encoded(Property::ContentType(&v)))),
        of(topic().prop_map(|v| encoded(Property::ResponseTopic(&v)))),
        of(bytes().prop_map(|v| encoded(Property::CorrelationData(&v)))),
    )
        .prop_map(|(a, b, c, d, e)| some_of(vec![a, b, c, d, e]));
    let user = pairs().prop_map(|pairs| {
        let each = pairs
            .iter()
            .map(|(n, v)| encoded(Property::UserProperty(n, v)));
        each.collect::<Vec<_>>()
    });
    (common, user, more)
        .prop_map(|(common, user, more)| [common, user, more].concat())
        .prop_shuffle()
        .prop_map(|parts| MessageProperties {
            block: parts.concat(),
        })
}

fn publish_properties() -> impl Strategy<Value = MessageProperties> {
    let alias = of(packet_id().prop_map(|v| encoded(Property::TopicAlias(v))));
    let identifier =
        subscription_identifier().prop_map(|v| encoded(Property::SubscriptionIdentifier(v)));
    let more = (alias, vec(identifier, 0..3)).prop_map(|(alias, mut all)| {
        all.extend(alias);
        all
    });
    message_properties(more)
}

fn will() -> impl Strategy<Value = WillModel> {
    let delay = of(any::<u32>().prop_map(|v| encoded(Property::WillDelayInterval(v))));
    let properties = message_properties(delay.prop_map(|delay| some_of(vec![delay])));
    (qos(), any::<bool>(), topic(), bytes(), properties).prop_map(
        |(qos, retain, topic, payload, properties)| WillModel {
            qos,
            retain,
            topic,
            payload,
            properties,
        },
    )
}

fn authentication() -> impl Strategy<Value = Option<(String, Option<Vec<u8>>)>> {
    of((text(), of(bytes())))
}

fn connect() -> impl Strategy<Value = Model> {
    let properties = (
        (
            of(any::<u32>()),
            of(packet_id()),
            of(non_zero_u32()),
            of(any::<u16>()),
        ),
        (of(any::<bool>()), of(any::<bool>())),
        pairs(),
        authentication(),
    )
        .prop_map(
            |(numbers, flags, user_properties, authentication)| ConnectPropertiesModel {
                session_expiry_interval: numbers.0,
                receive_maximum: numbers.1,
                maximum_packet_size: numbers.2,
                topic_alias_maximum: numbers.3,
                request_response_information: flags.0,
                request_problem_information: flags.1,
                user_properties,
                authentication,
            },
        );
    let login = (
        of(text()),
        of(prop_oneof![bytes(), text().prop_map(String::into_bytes)]),
    );
    (
        any::<bool>(),
        any::<u16>(),
        text(),
        of(will()),
        login,
        properties,
    )
        .prop_map(
            |(clean_start, keep_alive, client_id, will, (user_name, password), properties)| {
                Model::Connect(ConnectModel {
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    user_name,
                    password,
                    properties,
                })
            },
        )
}

fn connack() -> impl Strategy<Value = Model> {
    let flag = || of(any::<bool>());
    (
        any::<bool>(),
        reason_code(PacketType::ConnAck),
        (
            of(any::<u32>()),
            of(packet_id()),
            of(non_zero_u32()),
            of(any::<u16>()),
            of(any::<u16>()),
        ),
        [flag(), flag(), flag(), flag(), flag()],
        (of(text()), of(text()), of(text())),
        authentication(),
        diagnostics(),
    )
        .prop_map(
            |(session_present, reason_code, numbers, flags, texts, authentication, diagnostics)| {
                Model::ConnAck(ConnAckModel {
                    session_present: session_present && reason_code == ReasonCode::Success,
                    reason_code,
                    numbers,
                    flags,
                    texts,
                    authentication,
                    diagnostics,
                })
            },
        )
}

fn publish() -> impl Strategy<Value = Model> {
    let flags = (any::<bool>(), qos(), any::<bool>());
    (flags, topic(), packet_id(), publish_properties(), payload()).prop_map(
        |((dup, qos, retain), topic, packet_id, properties, payload)| {
            Model::Publish(PublishModel {
                dup,
                qos,
                retain,
                topic,
                packet_id,
                properties,
                payload,
            })
        },
    )
}

fn ack(ack_type: AckType) -> impl Strategy<Value = Model> {
    let code = reason_code(ack_type.packet_type());
    (packet_id(), code, diagnostics()).prop_map(move |(packet_id, code, diagnostics)| {
        Model::Ack(ack_type, packet_id, code, diagnostics)
    })
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    let handling = select(&[
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn subscribe() -> impl Strategy<Value = Model> {
    let filters = vec((text(), options()), 1..6);
    (packet_id(), of(subscription_identifier()), pairs(), filters).prop_map(
        |(id, identifier, pairs, filters)| Model::Subscribe(id, identifier, pairs, filters),
    )
}

fn unsubscribe() -> impl Strategy<Value = Model> {
    (packet_id(), pairs(), vec(text(), 1..6))
        .prop_map(|(id, pairs, filters)| Model::Unsubscribe(id, pairs, filters))
}

fn suback() -> impl Strategy<Value = Model> {
    (
        packet_id(),
        diagnostics(),
        vec(reason_code(PacketType::SubAck), 1..6),
    )
        .prop_map(|(id, diagnostics, codes)| Model::SubAck(id, diagnostics, codes))
}

fn unsuback() -> impl Strategy<Value = Model> {
    (
        packet_id(),
        diagnostics(),
        vec(reason_code(PacketType::UnsubAck), 1..6),
    )
        .prop_map(|(id, diagnostics, codes)| Model::UnsubAck(id, diagnostics, codes))
}

fn disconnect() -> impl Strategy<Value = Model> {
    let code = reason_code(PacketType::Disconnect);
    (code, of(any::<u32>()), of(text()), diagnostics()).prop_map(
        |(reason_code, session_expiry_interval, server_reference, diagnostics)| {
            Model::Disconnect(DisconnectModel {
                reason_code,
                session_expiry_interval,
                server_reference,
                diagnostics,
            })
        },
    )
}

fn auth() -> impl Strategy<Value = Model> {
    (
        reason_code(PacketType::Auth),
        text(),
        of(bytes()),
        diagnostics(),
    )
        .prop_map(|(code, method, data, diagnostics)| Model::Auth(code, method, data, diagnostics))
}

/// Any packet that a version has.
pub fn packet(version: Version) -> impl Strategy<Value = Model> {
    let of_all_versions = prop_oneof![
        2 => connect(),
        2 => connack(),
        4 => publish(),
        1 => ack(AckType::PubAck),
        1 => ack(AckType::PubRec),
        1 => ack(AckType::PubRel),
        1 => ack(AckType::PubComp),
        2 => subscribe(),
        1 => suback(),
        1 => unsubscribe(),
        1 => unsuback(),
        1 => Just(Model::PingReq),
        1 => Just(Model::PingResp),
        1 => disconnect(),
    ];
    if version == Version::V5 {
        prop_oneof![19 => of_all_versions, 1 => auth()].boxed()
    } else {
        of_all_versions.boxed()
    }
}

/// A version and a packet of it.
pub fn any_packet() -> impl Strategy<Value = (Version, Model)> {
    let version = select(&[Version::V3, Version::V4, Version::V5]);
    version.prop_flat_map(|version| (Just(version), packet(version)))
}
