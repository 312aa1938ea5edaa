//! The body of `POST /mqtt/publish`, and all that can be wrong with it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::mqtt::qos;
use super::topics::{topic_name, united};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::whole;
use crate::node::{AdminPublication, PublishProperties, UserProperty};
use crate::openapi::TOPIC_NAME;

/// Strings and binary data of MQTT have at most this many bytes (§1.5.4, §1.5.6).
const STRING_BYTES_MAX: usize = 65_535;

/// Shown as the publisher when the request names none.
const DEFAULT_PUBLISHER: &str = "system";

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(
    rename = "Publication",
    extend("anyOf" = one_topic()),
    extend("if" = is_base64(), "then" = {"properties": {"payload": {"pattern": BASE64}}})
)]
pub(super) struct PublishBody {
    /// Topic name. Spaces around it do not count.
    #[schemars(regex(pattern = NO_WILDCARD))]
    topic: Option<String>,
    /// Topic names with commas between, beside `topic` or instead of it.
    #[schemars(regex(pattern = NO_WILDCARD))]
    topics: Option<String>,
    /// Client identifier shown as the publisher's; `system` if left out.
    clientid: Option<String>,
    payload: String,
    /// Of the payload: `plain` (if left out) or `base64`.
    #[schemars(extend("enum" = ["plain", "base64", null]))]
    encoding: Option<String>,
    /// 0 if left out.
    #[schemars(range(max = 2))]
    #[serde(default, deserialize_with = "whole::optional")]
    qos: Option<u64>,
    /// Whether it is to be retained; it is not if left out.
    retain: Option<bool>,
    /// For subscribers of MQTT 5.
    properties: Option<Properties>,
}

/// MQTT 5 §3.3.2.3, those that a publisher may set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "PublicationProperties")]
struct Properties {
    /// 1: the payload is UTF-8.
    #[schemars(range(max = 1))]
    #[serde(default, deserialize_with = "whole::optional")]
    payload_format_indicator: Option<u8>,
    /// RMQTT's name for the one before.
    is_utf8_payload: Option<bool>,
    /// Seconds.
    #[serde(default, deserialize_with = "whole::optional")]
    message_expiry_interval: Option<u32>,
    #[schemars(regex(pattern = NO_NULL), length(max = STRING_BYTES_MAX))]
    content_type: Option<String>,
    /// Topic name.
    #[schemars(regex(pattern = TOPIC_NAME))]
    response_topic: Option<String>,
    /// Base64, of at most 65,535 bytes.
    #[schemars(regex(pattern = BASE64))]
    correlation_data: Option<String>,
    user_properties: Option<UserProperties>,
}

/// `[["name", "value"], ...]` (names may repeat, order is kept) or `{"name": "value", ...}`.
#[derive(Debug)]
struct UserProperties(Vec<(String, String)>);

/// RFC 4648 §4, with padding and without bits that do not count.
const BASE64: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// A string of MQTT [MQTT-1.5.4-2].
const NO_NULL: &str = r"^[^\u0000]*$";

/// Topic names; whether one is there is said by [`one_topic`].
const NO_WILDCARD: &str = r"^[^+#\u0000]*$";

/// At least one topic is named in `topic` or `topics`.
pub(super) fn one_topic() -> Value {
    let named = |field: &str, pattern: &str| {
        let schema = json!({"type": "string", "pattern": pattern});
        json!({"required": [field], "properties": {field: schema}})
    };
    json!([named("topic", r"\S"), named("topics", r"[^\s,]")])
}

fn is_base64() -> Value {
    json!({"required": ["encoding"], "properties": {"encoding": {"const": "base64"}}})
}

impl JsonSchema for UserProperties {
    fn schema_name() -> Cow<'static, str> {
        "UserProperties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": "string", "pattern": NO_NULL, "maxLength": STRING_BYTES_MAX});
        let pair = json!({"type": "array", "minItems": 2, "maxItems": 2, "items": text});
        json_schema!({
            "description": "Pairs of name and value, whose names may repeat, or an object.",
            "anyOf": [
                {"type": "array", "items": pair},
                {"type": "object", "propertyNames": text, "additionalProperties": text},
                {"type": "null"},
            ],
        })
    }
}

impl PublishBody {
    /// The publication, or the first thing that is wrong with it (400).
    pub(super) fn check(self) -> Result<AdminPublication, ApiError> {
        let topics = united(self.topic.as_deref(), self.topics.as_deref())?;
        topics
            .iter()
            .try_for_each(|topic| topic_name(topic).map(drop))?;
        let payload = decode(self.payload, self.encoding.as_deref())?;
        let properties = self.properties.map(|properties| properties.check(&payload));
        Ok(AdminPublication {
            topics,
            client_id: self
                .clientid
                .unwrap_or_else(|| DEFAULT_PUBLISHER.to_owned()),
            payload,
            qos: qos(self.qos)?.into(),
            retain: self.retain.unwrap_or(false),
            properties: properties.transpose()?,
        })
    }
}

fn decode(payload: String, encoding: Option<&str>) -> Result<Bytes, ApiError> {
    match encoding.unwrap_or("plain") {
        "plain" => Ok(payload.into()),
        "base64" => base64("payload", &payload),
        other => {
            let message = format!("'encoding' is '{other}'; it has to be plain or base64.");
            Err(ApiError::new(Code::UnknownEncoding, message))
        }
    }
}

fn base64(field: &str, text: &str) -> Result<Bytes, ApiError> {
    let wrong = |e| ApiError::new(Code::InvalidBase64, format!("'{field}': {e}"));
    STANDARD.decode(text).map(Bytes::from).map_err(wrong)
}

impl Properties {
    fn check(self, payload: &[u8]) -> Result<PublishProperties, ApiError> {
        let payload_is_utf8 = match self.payload_format_indicator {
            None => self.is_utf8_payload,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return Err(invalid("payload_format_indicator has to be 0 or 1")),
        };
        // [MQTT-3.3.2-4] with §3.3.2.3.2: what is announced as UTF-8 has to be UTF-8.
        if payload_is_utf8 == Some(true) && std::str::from_utf8(payload).is_err() {
            return Err(invalid("the payload is announced as UTF-8 and is not"));
        }
        if let Some(topic) = &self.response_topic {
            topic_name(topic)?; // [MQTT-3.3.2-14]
        }
        let correlation_data = self
            .correlation_data
            .map(|text| base64("correlation_data", &text));
        let correlation_data = correlation_data.transpose()?;
        if correlation_data
            .as_ref()
            .is_some_and(|bytes| bytes.len() > STRING_BYTES_MAX)
        {
            return Err(invalid("correlation_data has more than 65535 bytes"));
        }
        Ok(PublishProperties {
            payload_is_utf8,
            expiry_seconds: self.message_expiry_interval,
            content_type: self.content_type.map(string).transpose()?,
            response_topic: self.response_topic,
            correlation_data,
            user_properties: self
                .user_properties
                .map_or(Ok(Vec::new()), UserProperties::check)?,
        })
    }
}

impl UserProperties {
    fn check(self) -> Result<Vec<UserProperty>, ApiError> {
        let check = |(name, value)| {
            Ok(UserProperty {
                name: string(name)?,
                value: string(value)?,
            })
        };
        self.0.into_iter().map(check).collect()
    }
}

/// A UTF-8 string that MQTT can carry [MQTT-1.5.4-2].
fn string(text: String) -> Result<String, ApiError> {
    if text.len() > STRING_BYTES_MAX || text.contains('\0') {
        return Err(invalid(
            "strings have at most 65535 bytes and no null character",
        ));
    }
    Ok(text)
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(Code::InvalidProperties, format!("'properties': {message}."))
}

impl<'de> Deserialize<'de> for UserProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairVisitor)
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = UserProperties;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of [name, value] or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<UserProperties, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = seq.next_element()? {
            pairs.push(pair);
        }
        Ok(UserProperties(pairs))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UserProperties, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(UserProperties(pairs))
    }

    fn visit_unit<E: de::Error>(self) -> Result<UserProperties, E> {
        Ok(UserProperties(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<AdminPublication, ApiError> {
        serde_json::from_str::<PublishBody>(json).unwrap().check()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let publication = check(r#"{"topic": "a/b", "payload": "hi"}"#).unwrap();
        let expected = AdminPublication {
            topics: vec!["a/b".into()],
            client_id: "system".into(),
            payload: "hi".into(),
            ..Default::default()
        };
        assert_eq!(publication, expected);
    }

    #[test]
    fn a_base64_payload_is_decoded() {
        let json = r#"{"topics": "a,b", "payload": "AP8=", "encoding": "base64", "qos": 2, "retain": true}"#;
        let publication = check(json).unwrap();
        assert_eq!(publication.payload.as_ref(), [0, 255]);
        assert_eq!((publication.qos, publication.retain), (2, true));
    }

    #[test]
    fn properties_are_taken_in_both_notations() {
        let json = r#"{"topic": "a", "payload": "p", "properties": {"payload_format_indicator": 1,
            "message_expiry_interval": 9, "content_type": "text/plain", "response_topic": "r",
            "correlation_data": "AA==", "user_properties": [["k", "1"], ["k", "2"]]}}"#;
        let properties = check(json).unwrap().properties.unwrap();
        let pair = |name: &str, value: &str| UserProperty {
            name: name.into(),
            value: value.into(),
        };
        assert_eq!(properties.user_properties, [pair("k", "1"), pair("k", "2")]);
        assert_eq!(properties.payload_is_utf8, Some(true));
        assert_eq!(properties.expiry_seconds, Some(9));
        let json =
            r#"{"topic": "a", "payload": "p", "properties": {"user_properties": {"k": "v"}}}"#;
        assert_eq!(
            check(json).unwrap().properties.unwrap().user_properties,
            [pair("k", "v")]
        );
    }

    #[test]
    fn each_wrong_value_is_named() {
        for (json, code) in [
            (r#"{"payload": "p"}"#, "missing_topic"),
            (r#"{"topic": "a/+", "payload": "p"}"#, "invalid_topic"),
            (r#"{"topics": "a,b/#", "payload": "p"}"#, "invalid_topic"),
            (r#"{"topic": "a", "payload": "p", "qos": 3}"#, "invalid_qos"),
            (
                r#"{"topic": "a", "payload": "p", "qos": 300}"#,
                "invalid_qos",
            ),
            (
                r#"{"topic": "a", "payload": "p", "encoding": "hex"}"#,
                "unknown_encoding",
            ),
            (
                r#"{"topic": "a", "payload": "?", "encoding": "base64"}"#,
                "invalid_base64",
            ),
            (
                r#"{"topic": "a", "payload": "/w==", "encoding": "base64", "properties": {"is_utf8_payload": true}}"#,
                "invalid_properties",
            ),
            (
                r#"{"topic": "a", "payload": "p", "properties": {"response_topic": "+"}}"#,
                "invalid_topic",
            ),
            (
                r#"{"topic": "a", "payload": "p", "properties": {"content_type": "\u0000"}}"#,
                "invalid_properties",
            ),
            (
                r#"{"topic": "a", "payload": "p", "properties": {"correlation_data": "?"}}"#,
                "invalid_base64",
            ),
            (
                r#"{"topic": "a", "payload": "p", "properties": {"payload_format_indicator": 2}}"#,
                "invalid_properties",
            ),
        ] {
            assert_eq!(check(json).unwrap_err().code, code, "{json}");
        }
    }
}
