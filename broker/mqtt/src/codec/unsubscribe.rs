//! UNSUBSCRIBE (§3.10).

use super::property::check::{self, Checked};
use super::read::Reader;
use super::{
    DecodeError, EncodeError, Frame, PacketId, PacketType, Properties, UserProperties, Version,
    write,
};

/// A request to end subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What UNSUBACK refers to.
    pub packet_id: PacketId,
    /// User properties, MQTT 5 only.
    pub user_properties: UserProperties<'a>,
    /// At least one `[MQTT-3.10.3-2]`.
    pub filters: UnsubscribeFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let packet_id = reader.packet_id()?;
        let mut user_properties = UserProperties::default();
        if version == Version::V5 {
            let block = reader.property_block()?;
            for property in Checked::new(block, check::UNSUBSCRIBE) {
                property?;
            }
            user_properties = UserProperties::Decoded(Properties::checked(block));
        }
        Ok(Unsubscribe {
            packet_id,
            user_properties,
            filters: UnsubscribeFilters::decode(reader)?,
        })
    }

    /// Appends the packet; before MQTT 5, without properties.
    ///
    /// # Errors
    ///
    /// No filter; a field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::NoEntry);
        }
        write::packet(out, PacketType::Unsubscribe, max_packet_size, |out| {
            out.extend_from_slice(&self.packet_id.get().to_be_bytes());
            if version == Version::V5 {
                write::property_block(out, |out| self.user_properties.encode(out))?;
            }
            self.filters
                .iter()
                .try_for_each(|filter| write::string(out, filter))
        })
    }
}

/// The topic filters of an UNSUBSCRIBE, in their order: those of a decoded packet, checked when it was
/// decoded, or the caller's to be encoded. The rules of §4.7 are not checked here.
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeFilters<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Decoded { payload: Reader<'a>, len: usize },
    List(&'a [&'a str]),
}

impl<'a> UnsubscribeFilters<'a> {
    /// Filters to encode.
    pub const fn new(list: &'a [&'a str]) -> Self {
        UnsubscribeFilters(Source::List(list))
    }

    /// [MQTT-3.10.3-1]
    fn decode(payload: Reader<'a>) -> Result<Self, DecodeError> {
        let mut reader = payload;
        let mut len = 0;
        while !reader.is_empty() {
            reader.string()?;
            len += 1;
        }
        if len == 0 {
            return Err(DecodeError::NoTopicFilter);
        }
        Ok(UnsubscribeFilters(Source::Decoded { payload, len }))
    }

    /// The filters in their order, which is that of UNSUBACK's reason codes `[MQTT-3.11.3-1]`.
    pub fn iter(&self) -> UnsubscribeFiltersIter<'a> {
        UnsubscribeFiltersIter(self.0)
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Decoded { len, .. } => len,
            Source::List(list) => list.len(),
        }
    }

    /// Whether there is no filter; never so after decoding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl<'a> IntoIterator for &UnsubscribeFilters<'a> {
    type Item = &'a str;
    type IntoIter = UnsubscribeFiltersIter<'a>;

    fn into_iter(self) -> UnsubscribeFiltersIter<'a> {
        self.iter()
    }
}

/// Iterates over the filters of an UNSUBSCRIBE.
#[derive(Clone, Debug)]
pub struct UnsubscribeFiltersIter<'a>(Source<'a>);

impl<'a> Iterator for UnsubscribeFiltersIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            Source::Decoded { payload, .. } if payload.is_empty() => None,
            Source::Decoded { payload, .. } => {
                let filter = payload.string();
                debug_assert!(filter.is_ok(), "the payload has been checked");
                filter.ok()
            }
            Source::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(*first)
            }
        }
    }
}

#[cfg(test)]
mod tests;
