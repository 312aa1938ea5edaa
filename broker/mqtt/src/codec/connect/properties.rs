//! The properties of CONNECT (§3.1.2.11).

use std::num::{NonZeroU16, NonZeroU32};

use crate::codec::property::check::{self, Checked};
use crate::codec::read::Reader;
use crate::codec::write::optional;
use crate::codec::{DecodeError, EncodeError, Properties, Property, UserProperties};

/// What a client asks for and is able to take. `None`: the property is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds that the session outlives the connection; absent means 0, `u32::MAX` for ever
    /// (§3.1.2.11.2).
    pub session_expiry_interval: Option<u32>,
    /// QoS 1 and 2 messages that the client takes at a time; absent means 65,535 (§3.1.2.11.3).
    pub receive_maximum: Option<NonZeroU16>,
    /// Largest packet that the client takes, in bytes; absent means no limit (§3.1.2.11.4).
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Highest topic alias that the client takes; absent means 0, none (§3.1.2.11.5).
    pub topic_alias_maximum: Option<u16>,
    /// Whether the client wants Response Information; absent means no (§3.1.2.11.6).
    pub request_response_information: Option<bool>,
    /// Whether the client wants reason strings and user properties with failures; absent means yes
    /// (§3.1.2.11.7).
    pub request_problem_information: Option<bool>,
    /// User properties (§3.1.2.11.8).
    pub user_properties: UserProperties<'a>,
    /// Name of the extended authentication to use (§3.1.2.11.9).
    pub authentication_method: Option<&'a str>,
    /// Its data; never without a method (§3.1.2.11.10).
    pub authentication_data: Option<&'a [u8]>,
}

impl<'a> ConnectProperties<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let block = reader.property_block()?;
        let mut all = ConnectProperties::default();
        for property in Checked::new(block, check::CONNECT) {
            all.set(property?);
        }
        if all.authentication_data.is_some() && all.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationDataWithoutMethod);
        }
        all.user_properties = UserProperties::Decoded(Properties::checked(block));
        Ok(all)
    }

    fn set(&mut self, property: Property<'a>) {
        match property {
            Property::SessionExpiryInterval(v) => self.session_expiry_interval = Some(v),
            Property::ReceiveMaximum(v) => self.receive_maximum = Some(v),
            Property::MaximumPacketSize(v) => self.maximum_packet_size = Some(v),
            Property::TopicAliasMaximum(v) => self.topic_alias_maximum = Some(v),
            Property::RequestResponseInformation(v) => self.request_response_information = Some(v),
            Property::RequestProblemInformation(v) => self.request_problem_information = Some(v),
            Property::AuthenticationMethod(v) => self.authentication_method = Some(v),
            Property::AuthenticationData(v) => self.authentication_data = Some(v),
            // User properties stay in the block; nothing else is in the set of CONNECT.
            _ => {}
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        use Property::*;
        for property in [
            self.session_expiry_interval.map(SessionExpiryInterval),
            self.receive_maximum.map(ReceiveMaximum),
            self.maximum_packet_size.map(MaximumPacketSize),
            self.topic_alias_maximum.map(TopicAliasMaximum),
            self.request_response_information
                .map(RequestResponseInformation),
            self.request_problem_information
                .map(RequestProblemInformation),
            self.authentication_method.map(AuthenticationMethod),
            self.authentication_data.map(AuthenticationData),
        ] {
            optional(out, property)?;
        }
        self.user_properties.encode(out)
    }
}
