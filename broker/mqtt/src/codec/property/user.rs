//! User properties (§2.2.2.2): the only property of every packet, and the only list.

use super::{Properties, PropertiesIter, Property, write};
use crate::codec::EncodeError;

/// The user properties of a packet, in their order: those of a decoded packet, or pairs of the
/// caller's to be encoded.
#[derive(Clone, Copy, Debug)]
pub enum UserProperties<'a> {
    /// Those among the properties of a decoded packet.
    Decoded(Properties<'a>),
    /// (name, value) pairs.
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> UserProperties<'a> {
    /// (name, value) pairs in their order.
    /// [MQTT-1.5.7-1]
    pub fn iter(&self) -> UserPropertiesIter<'a> {
        UserPropertiesIter(match self {
            UserProperties::Decoded(properties) => Source::Decoded(properties.iter()),
            UserProperties::Pairs(pairs) => Source::Pairs(pairs.iter()),
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(in crate::codec) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|(name, value)| {
            write::optional(out, Some(Property::UserProperty(name, value)))
        })
    }
}

impl Default for UserProperties<'_> {
    fn default() -> Self {
        UserProperties::Pairs(&[])
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl<'a> IntoIterator for &UserProperties<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = UserPropertiesIter<'a>;

    fn into_iter(self) -> UserPropertiesIter<'a> {
        self.iter()
    }
}

/// Iterates over (name, value) pairs.
#[derive(Clone, Debug)]
pub struct UserPropertiesIter<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Decoded(PropertiesIter<'a>),
    Pairs(std::slice::Iter<'a, (&'a str, &'a str)>),
}

impl<'a> Iterator for UserPropertiesIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Decoded(properties) => properties.find_map(|property| match property {
                Property::UserProperty(name, value) => Some((name, value)),
                _ => None,
            }),
            Source::Pairs(pairs) => pairs.next().copied(),
        }
    }
}
