//! The closed list of what can be wrong. Scripts rely on a code's name and status, so both stand here and
//! nowhere else; the OpenAPI document is made from this list.

use axum::http::StatusCode;

macro_rules! codes {
    ($($status:ident { $($(#[doc = $meaning:literal])* $code:ident = $name:literal,)* })*) => {
        /// What is wrong, as the `code` of an error body says it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($($(#[doc = $meaning])* $code,)*)*
        }

        impl Code {
            /// All of them, by status.
            pub(crate) const ALL: &[Code] = &[$($(Code::$code,)*)*];

            /// As it is written: stable, in snake case.
            pub(crate) const fn name(self) -> &'static str {
                match self { $($(Code::$code => $name,)*)* }
            }

            /// The status that it comes with.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $($(Code::$code => StatusCode::$status,)*)* }
            }

            /// When it is answered, in words.
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $($(Code::$code => concat!($($meaning),*),)*)* }
            }
        }
    };
}

codes! {
    BAD_REQUEST {
        /// A query parameter has a wrong type or is out of its range.
        InvalidParameter = "invalid_parameter",
        /// A query parameter is given twice.
        DuplicateParameter = "duplicate_parameter",
        /// The query string is not UTF-8.
        InvalidQuery = "invalid_query",
        /// The path is not UTF-8.
        InvalidPath = "invalid_path",
        /// A node in the path is not a number.
        InvalidNode = "invalid_node",
        /// The body is not JSON, or a field is missing or has a wrong type.
        InvalidJson = "invalid_json",
        /// The body broke off.
        IncompleteBody = "incomplete_body",
        /// No topic is named.
        MissingTopic = "missing_topic",
        /// A topic name or topic filter breaks a rule of MQTT.
        InvalidTopic = "invalid_topic",
        /// QoS is not 0, 1 or 2.
        InvalidQos = "invalid_qos",
        /// The encoding is neither plain nor base64.
        UnknownEncoding = "unknown_encoding",
        /// Something that has to be base64 is not.
        InvalidBase64 = "invalid_base64",
        /// MQTT 5 properties that no PUBLISH can carry.
        InvalidProperties = "invalid_properties",
        /// There is no kind of event with this name.
        UnknownEvent = "unknown_event",
        /// It is no host:port.
        InvalidAddress = "invalid_address",
        /// A ban names nobody, has too long a text, or would have ended already.
        InvalidBan = "invalid_ban",
        /// The node does not do that; the message says why.
        Refused = "refused",
    }
    UNAUTHORIZED {
        /// The bearer token is missing or wrong.
        Unauthorized = "unauthorized",
    }
    NOT_FOUND {
        /// There is no such path.
        UnknownPath = "unknown_path",
        /// There is no session with this client identifier.
        UnknownClient = "unknown_client",
        /// The cluster has no such node.
        UnknownNode = "unknown_node",
        /// The node has no such plugin.
        UnknownPlugin = "unknown_plugin",
        /// There is no retained message on this topic.
        UnknownTopic = "unknown_topic",
        /// There is no such ban.
        UnknownBan = "unknown_ban",
    }
    METHOD_NOT_ALLOWED {
        /// The path does not answer this method; the header Allow names those that it does.
        MethodNotAllowed = "method_not_allowed",
    }
    CONFLICT {
        /// No other node is up and takes clients: the node cannot drain.
        NoOtherNode = "no_other_node",
        /// The address is that of another member.
        AddressTaken = "address_taken",
        /// Another node answers at the address.
        OtherNode = "other_node",
        /// The node is up, with another data directory or in spite of being asked to leave.
        NodeIsUp = "node_is_up",
        /// The data directory of the node is part of a cluster already; it has to be empty.
        PartOfACluster = "part_of_a_cluster",
        /// The data directory of the node was removed from the cluster and must not come back.
        WasRemoved = "was_removed",
        /// The node is the last one that votes.
        LastNode = "last_node",
        /// The voters that are up would be no majority.
        NoQuorum = "no_quorum",
        /// The change of the membership is refused; the message says why.
        ChangeRefused = "change_refused",
        /// There are as many bans as there may be (100,000).
        TooManyBans = "too_many_bans",
    }
    REQUEST_TIMEOUT {
        /// The body did not arrive in time.
        RequestTimeout = "request_timeout",
    }
    PAYLOAD_TOO_LARGE {
        /// The body has too many bytes.
        BodyTooLarge = "body_too_large",
    }
    URI_TOO_LONG {
        /// The path with its query has too many bytes.
        TargetTooLong = "target_too_long",
    }
    REQUEST_HEADER_FIELDS_TOO_LARGE {
        /// The header has too many fields or bytes.
        HeaderTooLarge = "header_too_large",
    }
    TOO_MANY_REQUESTS {
        /// More requests than are allowed, or too many without the right token; Retry-After says when to
        /// come back.
        TooManyRequests = "too_many_requests",
    }
    INTERNAL_SERVER_ERROR {
        /// The node failed: a fault of ours.
        InternalError = "internal_error",
    }
    SERVICE_UNAVAILABLE {
        /// The node does not serve: it starts, drains, holds no lease or has not caught up.
        NotReady = "not_ready",
        /// An operator has the node's clients sent to other nodes.
        Draining = "draining",
        /// No leader confirmed it in time. Whether a change happened is not known.
        NoLeader = "no_leader",
        /// The node concerned cannot be asked. Whether a change happened is not known.
        NodeUnreachable = "node_unreachable",
        /// The client has a session but is not connected.
        ClientOffline = "client_offline",
        /// The node has as many listeners as it may.
        TooManyListeners = "too_many_listeners",
        /// The answer took too long. What was asked may still have happened.
        AnswerTimeout = "answer_timeout",
        /// The node stops.
        Stopping = "stopping",
    }
}

impl Code {
    /// All names.
    pub(crate) fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|code| code.name()).collect()
    }
}

impl PartialEq<&str> for Code {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_in_snake_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            let is_snake = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(name.bytes().all(is_snake), "{name}");
        }
    }
}
