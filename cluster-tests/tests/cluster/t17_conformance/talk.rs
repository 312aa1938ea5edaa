//! A client that speaks in bytes and waits for each answer.

use super::bytes::{Connect, Publish, Received, subscribe};
use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, packet};

/// Both versions of MQTT that most rules are the same in.
pub const LEVELS: [u8; 2] = [4, 5];

/// An established connection.
pub struct Talk {
    client: RawClient,
    pub level: u8,
}

impl Talk {
    /// Opens a connection to a node, sends CONNECT, and returns what came first.
    pub async fn try_open(
        cluster: &Cluster,
        node: u64,
        level: u8,
        connect: Connect,
    ) -> (Talk, Frame) {
        let mut client = RawClient::open(cluster.node(node).mqtt()).await;
        client.send(&connect.bytes()).await;
        let first = client.next_frame(SOON).await.expect("an answer to CONNECT");
        (Talk { client, level }, first)
    }

    /// The same, accepted.
    pub async fn open(cluster: &Cluster, node: u64, level: u8, connect: Connect) -> Talk {
        let (talk, connack) = Self::try_open(cluster, node, level, connect).await;
        assert_eq!(connack.connack_code(), 0, "{connack:?}");
        talk
    }

    /// A clean session.
    pub async fn clean(cluster: &Cluster, node: u64, level: u8, id: &str) -> Talk {
        Self::open(cluster, node, level, Connect::new(level, id)).await
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.client.send(bytes).await;
    }

    /// The next packet, of any kind.
    pub async fn frame(&mut self) -> Frame {
        self.client
            .next_frame(SOON)
            .await
            .expect("the connection stays")
    }

    /// The next packet, which is a PUBLISH.
    pub async fn message(&mut self) -> Received {
        let frame = self.frame().await;
        Received::read(self.level, frame.first, &frame.body)
    }

    /// The next packet, which is an acknowledgement: its first byte and packet identifier.
    pub async fn acknowledged(&mut self, first: u8, packet_id: u16) {
        let frame = self.frame().await;
        let id = packet_id.to_be_bytes();
        assert_eq!(
            (frame.first, &frame.body[..2]),
            (first, &id[..]),
            "{frame:?}"
        );
        let code = frame.body.get(2).copied().unwrap_or(0);
        assert!(first == 0x90 || first == 0xB0 || code < 0x80, "{frame:?}");
    }

    /// SUBSCRIBE and its SUBACK.
    pub async fn subscribed(&mut self, filter: &str, options: u8) {
        self.send(&subscribe(self.level, 999, &[(filter, options)]))
            .await;
        self.acknowledged(0x90, 999).await;
    }

    /// PUBLISH with QoS 1 and its PUBACK.
    pub async fn published(&mut self, topic: &str, payload: &str) {
        let publish = Publish::new(self.level, topic, 1, 900, payload);
        self.sent(publish, 900).await;
    }

    /// A PUBLISH of QoS 1 and its PUBACK.
    pub async fn sent(&mut self, publish: Publish, packet_id: u16) {
        self.send(&publish.bytes()).await;
        self.acknowledged(0x40, packet_id).await;
    }

    /// Answers a message: nothing if it was of QoS 0, which has no identifier.
    pub async fn puback(&mut self, packet_id: u16) {
        if packet_id == 0 {
            return;
        }
        self.send(&packet::acknowledgement(0x40, packet_id)).await;
    }

    /// Nothing has come before the answer to this PINGREQ.
    pub async fn silent(&mut self) {
        self.send(&packet::PINGREQ).await;
        let frame = self.frame().await;
        assert_eq!(frame.first, 0xD0, "nothing but PINGRESP: {frame:?}");
    }

    /// What a publisher sent before this has not come: its next message here, which is subscribed to, comes first.
    pub async fn nothing_before_fence(&mut self, publisher: &mut Talk) {
        publisher.published("fence", "fence").await;
        let message = self.message().await;
        assert_eq!(message.topic, "fence", "{message:?}");
        self.puback(message.packet_id).await;
    }

    /// Everything until the broker closes.
    pub async fn until_closed(&mut self) -> Vec<Frame> {
        self.client.frames_until_closed(SOON).await
    }

    /// The broker ends it: MQTT 5 clients are told one of these reasons, older ones nothing.
    pub async fn closed_with(&mut self, codes: &[u8]) {
        let frames = self.until_closed().await;
        if self.level == 5 {
            assert_eq!(
                frames.len(),
                1,
                "one DISCONNECT and nothing behind it: {frames:?}"
            );
            assert!(codes.contains(&frames[0].disconnect_code()), "{frames:?}");
        } else {
            assert_eq!(frames, []);
        }
    }

    /// DISCONNECT, and the end of the connection.
    pub async fn disconnect(mut self) {
        self.send(&packet::DISCONNECT).await;
        assert_eq!(self.until_closed().await, []);
    }
}
