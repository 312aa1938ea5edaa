//! Settings that take one word of a few.

use super::{Input, Value, quoted};
use crate::config::origin::Problem;
use crate::config::settings::Range;
use crate::config::suggest::hint;
use crate::config::types::{
    CertificateName, CertificateUse, ClientCertificates, Durability, LogFormat, PartitionPolicy,
    ProxyProtocol, QueueDrop, TransportKind,
};

/// A setting whose values are words.
trait Choice: Copy + PartialEq + 'static {
    /// The words and what they mean; the first is the default.
    const WORDS: &'static [(&'static str, Self)];

    /// Why a word that somebody may well try is not among them.
    fn why_not(_word: &str) -> Option<&'static str> {
        None
    }
}

impl Choice for ProxyProtocol {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("v1", Self::V1),
        ("v2", Self::V2),
        ("any", Self::Any),
    ];
}

impl Choice for TransportKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Tcp.word(), Self::Tcp),
        (Self::Tls.word(), Self::Tls),
        (Self::WebSocket.word(), Self::WebSocket),
        (Self::SecureWebSocket.word(), Self::SecureWebSocket),
        (Self::Unix.word(), Self::Unix),
        (Self::Quic.word(), Self::Quic),
    ];
}

impl Choice for ClientCertificates {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("optional", Self::Optional),
        ("required", Self::Required),
    ];
}

impl Choice for CertificateName {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("cn", Self::CommonName),
        ("san", Self::AlternativeName),
    ];
}

impl Choice for CertificateUse {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("user_name", Self::UserName),
        ("client_id", Self::ClientId),
        ("both", Self::Both),
    ];
}

impl Choice for QueueDrop {
    const WORDS: &'static [(&'static str, Self)] =
        &[("newest", Self::Newest), ("oldest", Self::Oldest)];
}

impl Choice for PartitionPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("pause", Self::Pause)];

    fn why_not(word: &str) -> Option<&'static str> {
        (word == "serve-local").then_some(
            "\"serve-local\" is not offered yet: a node that is cut off from the majority can only \"pause\"",
        )
    }
}

impl Choice for Durability {
    const WORDS: &'static [(&'static str, Self)] =
        &[("durable", Self::Disk), ("memory", Self::Memory)];
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

macro_rules! choices {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn read(&mut self, input: &Input, _range: Option<Range>) -> Result<(), Vec<Problem>> {
                *self = chosen(input).map_err(|problem| vec![problem])?;
                Ok(())
            }

            fn show(&self) -> Option<String> {
                let mut words = Self::WORDS.iter();
                words.find(|(_, value)| value == self).map(|(word, _)| quoted(word))
            }

            fn kind(&self) -> String {
                words::<Self>()
            }
        }
    )+};
}

choices!(
    Durability,
    ProxyProtocol,
    QueueDrop,
    PartitionPolicy,
    LogFormat,
    TransportKind,
    ClientCertificates,
    CertificateName,
    CertificateUse
);

fn words<C: Choice>() -> String {
    let words: Vec<_> = C::WORDS.iter().map(|(word, _)| quoted(word)).collect();
    words.join(" or ")
}

fn chosen<C: Choice>(input: &Input) -> Result<C, Problem> {
    let Some(text) = input.text() else {
        return Err(input.expected(&words::<C>()));
    };
    if let Some((_, value)) = C::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    Err(input.problem(match C::why_not(text) {
        Some(reason) => reason.to_owned(),
        None => {
            let hint = hint(text, C::WORDS.iter().map(|(word, _)| *word));
            format!("expected {}, found {text:?}{hint}", words::<C>())
        }
    }))
}
