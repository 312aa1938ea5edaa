//! The payload of SUBSCRIBE: topic filters with their options (§3.8.3).

use super::SubscriptionOptions;
use crate::codec::read::Reader;
use crate::codec::{DecodeError, EncodeError, Version, write};

/// One entry of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The topic filter; the rules of §4.7 and §4.8 are not checked here.
    pub filter: &'a str,
    /// What the client asks for.
    pub options: SubscriptionOptions,
}

/// The entries of a SUBSCRIBE, in their order: those of a decoded packet, checked when it was decoded,
/// or the caller's to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeFilters<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Decoded {
        version: Version,
        payload: Reader<'a>,
        len: usize,
    },
    List(&'a [SubscribeFilter<'a>]),
}

/// How a shared subscription's filter begins `[MQTT-4.8.2-1]`.
const SHARED: &str = "$share/";

impl<'a> SubscribeFilters<'a> {
    /// Entries to encode.
    pub const fn new(list: &'a [SubscribeFilter<'a>]) -> Self {
        SubscribeFilters(Source::List(list))
    }

    pub(super) fn decode(version: Version, payload: Reader<'a>) -> Result<Self, DecodeError> {
        let mut reader = payload;
        let mut len = 0;
        while !reader.is_empty() {
            let entry = read(version, &mut reader)?;
            if entry.options.no_local && entry.filter.starts_with(SHARED) {
                return Err(DecodeError::NoLocalOnSharedSubscription);
            }
            len += 1;
        }
        if len == 0 {
            return Err(DecodeError::NoTopicFilter);
        }
        Ok(SubscribeFilters(Source::Decoded {
            version,
            payload,
            len,
        }))
    }

    /// The entries in their order, which is that of SUBACK's reason codes `[MQTT-3.9.3-1]`.
    pub fn iter(&self) -> SubscribeFiltersIter<'a> {
        SubscribeFiltersIter(self.0)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Decoded { len, .. } => len,
            Source::List(list) => list.len(),
        }
    }

    /// Whether there is no entry; never so after decoding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.is_empty() {
            return Err(EncodeError::NoEntry);
        }
        for entry in self {
            write::string(out, entry.filter)?;
            out.push(match version {
                Version::V5 => entry.options.byte(),
                _ => entry.options.qos.number(),
            });
        }
        Ok(())
    }
}

/// [MQTT-3.8.3-1]
fn read<'a>(version: Version, reader: &mut Reader<'a>) -> Result<SubscribeFilter<'a>, DecodeError> {
    Ok(SubscribeFilter {
        filter: reader.string()?,
        options: SubscriptionOptions::from_byte(version, reader.u8()?)?,
    })
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeFilters<'_> {}

impl<'a> IntoIterator for &SubscribeFilters<'a> {
    type Item = SubscribeFilter<'a>;
    type IntoIter = SubscribeFiltersIter<'a>;

    fn into_iter(self) -> SubscribeFiltersIter<'a> {
        self.iter()
    }
}

/// Iterates over the entries of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct SubscribeFiltersIter<'a>(Source<'a>);

impl<'a> Iterator for SubscribeFiltersIter<'a> {
    type Item = SubscribeFilter<'a>;

    fn next(&mut self) -> Option<SubscribeFilter<'a>> {
        match &mut self.0 {
            Source::Decoded { payload, .. } if payload.is_empty() => None,
            Source::Decoded {
                version, payload, ..
            } => {
                let entry = read(*version, payload);
                debug_assert!(entry.is_ok(), "the payload has been checked");
                entry.ok()
            }
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}
