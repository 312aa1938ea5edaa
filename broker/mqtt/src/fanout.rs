//! One publication on its way to many subscribers: encoded once for each form that is needed, then
//! copied and patched.
//!
//! The copies of one publication differ in the version of MQTT, in whether there is a packet
//! identifier, and in a few bits of the first byte; so four templates serve every subscriber. Only a
//! copy with subscription identifiers, or for a client that takes topic aliases, is encoded on its own.

use crate::{
    codec::{OutgoingPublish, PacketId, QoS, Version},
    publication::{Publication, Stored},
    session::{Delivery, Wire},
    topic_alias::{ALIAS_BYTES_MAX, OutboundAliases},
};

/// Buffers that one publication after the other uses; no allocation once they have grown.
#[derive(Debug, Default)]
pub struct Scratch {
    templates: [Template; 4],
    /// Where a publication is laid out before it is kept.
    frame: Vec<u8>,
}

#[derive(Debug, Default)]
struct Template {
    bytes: Vec<u8>,
    /// Where the packet identifier is.
    packet_id_at: usize,
}

/// Which of the four templates.
#[derive(Clone, Copy)]
struct Form {
    version: Version,
    has_packet_id: bool,
}

impl Form {
    fn index(self) -> usize {
        usize::from(self.version == Version::V5) * 2 + usize::from(self.has_packet_id)
    }
}

/// A publication being delivered.
#[derive(Debug)]
pub struct Fanout<'p, 's> {
    publication: Publication<'p>,
    /// Message Expiry Interval to be sent: what is left of it [MQTT-3.3.2-6].
    expiry_seconds: Option<u32>,
    now_ms: u64,
    scratch: &'s mut Scratch,
    /// Bit per template that holds this publication.
    encoded: u8,
    stored: Option<Stored>,
}

impl<'p, 's> Fanout<'p, 's> {
    /// Begins with a publication at `now_ms`, Unix milliseconds.
    pub fn new(
        publication: Publication<'p>,
        now_ms: u64,
        scratch: &'s mut Scratch,
    ) -> Fanout<'p, 's> {
        let expiry_seconds = publication
            .expiry
            .map(|e| e.remaining_seconds(now_ms).unwrap_or(0));
        Fanout {
            publication,
            expiry_seconds,
            now_ms,
            scratch,
            encoded: 0,
            stored: None,
        }
    }

    /// What is being delivered.
    pub fn publication(&self) -> &Publication<'p> {
        &self.publication
    }

    /// The publication kept in memory, shared by all who ask for it.
    pub fn stored(&mut self) -> Stored {
        let (publication, frame) = (&self.publication, &mut self.scratch.frame);
        let stored = self.stored.get_or_insert_with(|| {
            if frame.capacity() > TEMPLATE_KEPT_BYTES {
                *frame = Vec::new();
            }
            Stored::laid_out_in(frame, publication, self.now_ms)
        });
        stored.clone()
    }

    /// Whether the packet respects the client's Maximum Packet Size [MQTT-3.1.2-24].
    pub fn fits(&self, wire: &Wire<'_>, delivery: Delivery<'_>) -> bool {
        wire.max_packet_size >= crate::codec::PACKET_SIZE_MAX
            || self.packet(delivery).encoded_len(wire.version) <= wire.max_packet_size as usize
    }

    /// Appends the PUBLISH, which [`Fanout::fits`], and returns where it begins. `packet_id` is 0
    /// with QoS 0.
    pub fn append_to(
        &mut self,
        wire: &mut Wire<'_>,
        delivery: Delivery<'_>,
        packet_id: u16,
    ) -> usize {
        let at = wire.out.len();
        let form = Form {
            version: if wire.version == Version::V5 {
                Version::V5
            } else {
                Version::V4
            },
            has_packet_id: delivery.qos != QoS::AtMostOnce,
        };
        let is_own = !delivery.subscription_ids.is_empty() || wire.aliases.is_some();
        if form.version == Version::V5 && is_own {
            self.append_own(wire, delivery, packet_id);
            return at;
        }
        let template = self.template(form, delivery);
        wire.out.extend_from_slice(&template.bytes);
        wire.out[at] = FIRST_BYTE | (delivery.qos.number() << 1) | u8::from(delivery.retain);
        if form.has_packet_id {
            let id_at = at + template.packet_id_at;
            wire.out[id_at..id_at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        at
    }

    /// A copy that no other subscriber can share.
    fn append_own(&self, wire: &mut Wire<'_>, delivery: Delivery<'_>, packet_id: u16) {
        let mut packet = self.packet(delivery);
        packet.packet_id = PacketId::new(packet_id);
        if let Some(aliases) = wire.aliases.as_deref_mut() {
            alias(&mut packet, aliases, wire.max_packet_size);
        }
        encode(&packet, Version::V5, wire.out);
    }

    fn template(&mut self, form: Form, delivery: Delivery<'_>) -> &Template {
        let index = form.index();
        if self.encoded & (1 << index) == 0 {
            self.encoded |= 1 << index;
            let mut packet = self.packet(Delivery {
                subscription_ids: &[],
                ..delivery
            });
            packet.packet_id = PacketId::new(1);
            let template = &mut self.scratch.templates[index];
            template.bytes.clear();
            if template.bytes.capacity() > TEMPLATE_KEPT_BYTES {
                template.bytes = Vec::new();
            }
            encode(&packet, form.version, &mut template.bytes);
            // Behind the fixed header: two bytes of length, the topic name, the identifier.
            let fixed_header = 1
                + template.bytes[1..]
                    .iter()
                    .take_while(|b| **b & 0x80 != 0)
                    .count()
                + 1;
            template.packet_id_at = fixed_header + 2 + self.publication.topic.len();
        }
        &self.scratch.templates[index]
    }

    fn packet<'a>(&self, delivery: Delivery<'a>) -> OutgoingPublish<'a>
    where
        'p: 'a,
    {
        let mut packet = OutgoingPublish::new(self.publication.topic, self.publication.payload);
        packet.qos = delivery.qos;
        packet.retain = delivery.retain;
        packet.forwardable = self.publication.properties;
        packet.message_expiry_interval = self.expiry_seconds;
        packet.subscription_identifiers = delivery.subscription_ids;
        packet
    }
}

/// Puts an alias in the place of the topic name, or beside it for the first time; then the packet grows,
/// and has to respect the client's Maximum Packet Size all the same [MQTT-3.1.2-24].
fn alias(packet: &mut OutgoingPublish<'_>, aliases: &mut OutboundAliases, max_packet_size: u32) {
    if !OutboundAliases::shortens(packet.topic) {
        return;
    }
    if let Some(known) = aliases.known(packet.topic) {
        packet.topic_alias = Some(known);
        packet.topic = "";
    } else if packet.encoded_len(Version::V5) + ALIAS_BYTES_MAX <= max_packet_size as usize {
        packet.topic_alias = aliases.assign(packet.topic);
    }
}

const FIRST_BYTE: u8 = 0x30;
/// A buffer larger than this gives its memory back.
const TEMPLATE_KEPT_BYTES: usize = 64 * 1024;

fn encode(packet: &OutgoingPublish<'_>, version: Version, out: &mut Vec<u8>) {
    let written = packet.encode(version, u32::MAX, out);
    debug_assert!(
        written.is_ok(),
        "a publication that came in as a packet goes out as one: {written:?}"
    );
}
