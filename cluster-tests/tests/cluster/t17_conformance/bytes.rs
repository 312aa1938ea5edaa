//! Packets as bytes, with all that a test may want to say, right or wrong.

use raftmq_cluster_tests::packet::{framed, remaining_length, string};

/// A CONNECT in the making: MQTT 3.1.1 (`level` 4) or 5, clean, keep alive 30 s, nothing else.
#[derive(Clone)]
pub struct Connect {
    level: u8,
    id: String,
    flags: u8,
    properties: Vec<u8>,
    will: Vec<u8>,
    credentials: Vec<u8>,
}

/// What of a Will goes into the connect flags.
#[derive(Clone, Copy)]
pub enum WillRetain {
    No,
    Yes,
}

impl Connect {
    pub fn new(level: u8, id: &str) -> Self {
        Self {
            level,
            id: id.into(),
            flags: 0b10,
            properties: Vec::new(),
            will: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// Clean Start or Clean Session 0, and with MQTT 5 a session that outlives its connection for an hour.
    pub fn kept(mut self) -> Self {
        self.flags &= !0b10;
        if self.level == 5 {
            self.properties.extend([0x11, 0, 0, 0x0E, 0x10]);
        }
        self
    }

    /// Clean Start or Clean Session 0, and nothing else.
    pub fn not_clean(mut self) -> Self {
        self.flags &= !0b10;
        self
    }

    /// Appends an encoded property; MQTT 5 only.
    pub fn property(mut self, bytes: &[u8]) -> Self {
        self.properties.extend(bytes);
        self
    }

    /// A Will; `properties` are MQTT 5's.
    pub fn will(mut self, topic: &str, qos: u8, retain: WillRetain, properties: &[u8]) -> Self {
        self.flags |= 0b100
            | (qos << 3)
            | if matches!(retain, WillRetain::Yes) {
                1 << 5
            } else {
                0
            };
        if self.level == 5 {
            self.will.extend(remaining_length(properties.len()));
            self.will.extend(properties);
        }
        self.will.extend(string(topic));
        self.will.extend(string("will"));
        self
    }

    /// The same with other connect flags.
    pub fn flags(mut self, change: impl FnOnce(u8) -> u8) -> Self {
        self.flags = change(self.flags);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = string("MQTT");
        body.extend([self.level, self.flags, 0, 30]);
        if self.level == 5 {
            body.extend(remaining_length(self.properties.len()));
            body.extend(&self.properties);
        }
        body.extend(string(&self.id));
        body.extend(&self.will);
        body.extend(&self.credentials);
        framed(0x10, &body)
    }
}

/// A PUBLISH in the making.
#[derive(Clone)]
pub struct Publish {
    level: u8,
    first: u8,
    topic: String,
    packet_id: u16,
    properties: Vec<u8>,
    payload: Vec<u8>,
}

impl Publish {
    pub fn new(level: u8, topic: &str, qos: u8, packet_id: u16, payload: &str) -> Self {
        Self {
            level,
            first: 0x30 | (qos << 1),
            topic: topic.into(),
            packet_id,
            properties: Vec::new(),
            payload: payload.into(),
        }
    }

    pub fn retain(mut self) -> Self {
        self.first |= 1;
        self
    }

    pub fn dup(mut self) -> Self {
        self.first |= 8;
        self
    }

    pub fn properties(mut self, bytes: &[u8]) -> Self {
        self.properties.extend(bytes);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = string(&self.topic);
        if self.first & 0b110 != 0 {
            body.extend(self.packet_id.to_be_bytes());
        }
        if self.level == 5 {
            body.extend(remaining_length(self.properties.len()));
            body.extend(&self.properties);
        }
        body.extend(&self.payload);
        framed(self.first, &body)
    }
}

/// SUBSCRIBE to filters with their options.
pub fn subscribe(level: u8, packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if level == 5 {
        body.push(0);
    }
    for (filter, options) in filters {
        body.extend(string(filter));
        body.push(*options);
    }
    framed(0x82, &body)
}

/// UNSUBSCRIBE from filters.
pub fn unsubscribe(level: u8, packet_id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if level == 5 {
        body.push(0);
    }
    filters
        .iter()
        .for_each(|filter| body.extend(string(filter)));
    framed(0xA2, &body)
}

/// A PUBLISH as it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    pub packet_id: u16,
    /// MQTT 5's, without their length.
    pub properties: Vec<u8>,
    pub payload: String,
}

impl Received {
    /// Reads a frame that is a PUBLISH with less than 128 bytes of properties.
    pub fn read(level: u8, first: u8, body: &[u8]) -> Received {
        assert_eq!(first >> 4, 3, "PUBLISH expected: {first:#04x} {body:02x?}");
        let qos = first >> 1 & 3;
        let (topic, mut rest) =
            body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
        let mut packet_id = 0;
        if qos > 0 {
            packet_id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let mut properties = Vec::new();
        if level == 5 {
            let length = usize::from(rest[0]);
            assert!(length < 128, "one byte of length");
            properties = rest[1..=length].to_vec();
            rest = &rest[1 + length..];
        }
        Received {
            dup: first & 8 != 0,
            qos,
            retain: first & 1 != 0,
            topic: String::from_utf8(topic.to_vec()).expect("UTF-8"),
            packet_id,
            properties,
            payload: String::from_utf8(rest.to_vec()).expect("the tests send UTF-8"),
        }
    }
}
