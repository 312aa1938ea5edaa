//! A property block that has been checked.

use super::Property;
use crate::codec::read::Reader;

/// The properties of one packet as they are on the wire, checked when the packet was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    block: &'a [u8],
}

impl<'a> Properties<'a> {
    /// The caller has run [`Checked`](super::check::Checked) over all of `block`.
    pub(in crate::codec) fn checked(block: &'a [u8]) -> Self {
        Properties { block }
    }

    /// The properties in their order.
    pub fn iter(&self) -> PropertiesIter<'a> {
        PropertiesIter {
            reader: Reader::new(self.block),
        }
    }

    /// The block without its length.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.block
    }

    /// Whether there is no property.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

impl<'a> IntoIterator for &Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertiesIter<'a>;

    fn into_iter(self) -> PropertiesIter<'a> {
        self.iter()
    }
}

/// Iterates over checked properties.
#[derive(Clone, Debug)]
pub struct PropertiesIter<'a> {
    reader: Reader<'a>,
}

impl<'a> PropertiesIter<'a> {
    /// Bytes of the block that have not been read yet.
    pub(in crate::codec) fn unread(&self) -> &'a [u8] {
        self.reader.rest()
    }
}

impl<'a> Iterator for PropertiesIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        let property = Property::read(&mut self.reader);
        debug_assert!(property.is_ok(), "the block has been checked");
        property.ok()
    }
}
