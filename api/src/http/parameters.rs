//! Query strings. Every value is checked; a parameter given twice is refused rather than one of its
//! values chosen; parameters that an endpoint does not know are ignored, as RMQTT does.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::code::Code;
use super::error::ApiError;
use super::page::{Consistency, decode_cursor};
use crate::api::Api;
use crate::time;

/// The parameters that the description of an endpoint names.
#[derive(Debug, Clone)]
pub(crate) struct Declared(Arc<[&'static str]>);

impl From<Vec<&'static str>> for Declared {
    fn from(names: Vec<&'static str>) -> Self {
        Self(names.into())
    }
}

/// The parameters of one request, decoded (`application/x-www-form-urlencoded`: `+` is a space).
#[derive(Debug)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
    max_row_limit: u32,
    declared: Option<Declared>,
}

impl FromRequestParts<Api> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let parameters = Self::parse(query, api.config().max_row_limit)?;
        Ok(Self {
            declared: parts.extensions.get().cloned(),
            ..parameters
        })
    }
}

impl Parameters {
    pub(crate) fn parse(query: &str, max_row_limit: u32) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if values.contains_key(&name) {
                let message = format!("The parameter '{name}' is given twice.");
                return Err(ApiError::new(Code::DuplicateParameter, message));
            }
            values.insert(name, value);
        }
        Ok(Self {
            values,
            max_row_limit,
            declared: None,
        })
    }

    fn value(&self, name: &str) -> Option<&String> {
        debug_assert!(
            self.declared
                .as_ref()
                .is_none_or(|all| all.0.contains(&name)),
            "the parameter '{name}' is read, but the endpoint's description does not name it"
        );
        self.values.get(name)
    }

    /// A text, as it is.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name).cloned()
    }

    /// A whole number of the range of `T`.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let range = size_of::<T>() * 8;
        self.read(
            name,
            |v| v.parse().ok(),
            &format!("a whole number of at most {range} bits"),
        )
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, |v| v.parse().ok(), "true or false")
    }

    /// A time as the first millisecond of its second.
    pub(crate) fn lower_ms(&self, name: &str) -> Result<Option<u64>, ApiError> {
        Ok(self.seconds(name)?.map(|s| s.saturating_mul(1_000)))
    }

    /// A time as the last millisecond of its second: what is shown with that second is included.
    pub(crate) fn upper_ms(&self, name: &str) -> Result<Option<u64>, ApiError> {
        Ok(self
            .seconds(name)?
            .map(|s| s.saturating_mul(1_000).saturating_add(999)))
    }

    fn seconds(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.read(
            name,
            time::parse_seconds,
            "Unix seconds or YYYY-MM-DD HH:MM:SS",
        )
    }

    /// 0, 1 or 2.
    pub(crate) fn qos(&self, name: &str) -> Result<Option<u8>, ApiError> {
        self.read(name, |v| v.parse().ok().filter(|q| *q <= 2), "0, 1 or 2")
    }

    /// `_limit`: how many rows, at least 1. Absent, 0 and everything above `max_row_limit` mean
    /// `max_row_limit`.
    pub(crate) fn limit(&self) -> Result<u32, ApiError> {
        self.bounded("_limit")
    }

    /// The same under another name.
    pub(crate) fn bounded(&self, name: &str) -> Result<u32, ApiError> {
        let parse = |v: &str| match v.parse::<u32>() {
            Ok(n) => Some(n),
            Err(e) if *e.kind() == std::num::IntErrorKind::PosOverflow => Some(u32::MAX),
            Err(_) => None,
        };
        let limit = self.read(name, parse, "a number of rows")?;
        let max = self.max_row_limit;
        Ok(limit
            .filter(|limit| (1..=max).contains(limit))
            .unwrap_or(max))
    }

    /// `_cursor`: the key behind which the page begins.
    pub(crate) fn cursor<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, ApiError> {
        self.read(
            "_cursor",
            decode_cursor,
            "the X-Next-Cursor of the page before",
        )
    }

    /// `_consistency`: `leader`, or absent.
    pub(crate) fn consistency(&self) -> Result<Consistency, ApiError> {
        let parse = |v: &str| (v == "leader").then_some(Consistency::Leader);
        Ok(self
            .read("_consistency", parse, "leader, or left out")?
            .unwrap_or(Consistency::Local))
    }

    fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let wrong = || format!("The parameter '{name}' is '{value}'; it has to be {expected}.");
        parse(value)
            .map(Some)
            .ok_or_else(|| ApiError::new(Code::InvalidParameter, wrong()))
    }
}

fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let not_utf8 = |_| ApiError::new(Code::InvalidQuery, "The query string is not UTF-8.");
    decoded.map(|text| text.into_owned()).map_err(not_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Parameters {
        Parameters::parse(query, 10_000).unwrap()
    }

    #[test]
    fn absent_zero_and_too_large_limits_mean_the_maximum() {
        for (query, limit) in [
            ("", 10_000),
            ("_limit=0", 10_000),
            ("_limit=1", 1),
            ("_limit=10000", 10_000),
            ("_limit=10001", 10_000),
            ("_limit=99999999999999999999", 10_000),
        ] {
            assert_eq!(parse(query).limit(), Ok(limit), "{query}");
        }
    }

    #[test]
    fn limits_that_are_no_numbers_of_rows_are_refused() {
        for query in ["_limit=-1", "_limit=", "_limit=ten", "_limit=1.5", "_limit"] {
            assert_eq!(
                parse(query).limit().unwrap_err().code,
                "invalid_parameter",
                "{query}"
            );
        }
    }

    #[test]
    fn texts_are_decoded() {
        for (query, text) in [
            ("t=foo%2F1", "foo/1"),
            ("t=a+b%2Bc", "a b+c"),
            ("&&t=x&", "x"),
            ("t", ""),
            ("t=a=b", "a=b"),
            ("t=%zz", "%zz"),
            ("%74=x", "x"),
        ] {
            assert_eq!(parse(query).text("t").as_deref(), Some(text), "{query}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let error = Parameters::parse("a=1&b=2&a=1", 1).unwrap_err();
        assert_eq!(error.code, "duplicate_parameter");
    }

    #[test]
    fn a_query_that_is_not_utf8_is_refused() {
        assert_eq!(
            Parameters::parse("a=%ff", 1).unwrap_err().code,
            "invalid_query"
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        let p = parse("n=-1&b=yes&t=noon&q=3&_cursor=!&_consistency=all&e=");
        assert!(p.number::<u64>("n").is_err());
        assert!(p.number::<u32>("e").is_err());
        assert!(p.boolean("b").is_err());
        assert!(p.boolean("e").is_err());
        assert!(p.lower_ms("t").is_err());
        assert!(p.qos("q").is_err());
        assert!(p.cursor::<String>().is_err());
        assert!(p.consistency().is_err());
    }

    #[test]
    fn a_bound_in_seconds_includes_the_whole_second() {
        let p = parse("a=5");
        assert_eq!(p.lower_ms("a"), Ok(Some(5_000)));
        assert_eq!(p.upper_ms("a"), Ok(Some(5_999)));
    }
}
