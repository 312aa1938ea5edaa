//! Whole numbers in JSON bodies. JSON does not tell 2 from 2.0 (RFC 8259 §6), nor does JSON Schema, and
//! some programs write the latter.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Numbers from here on do not all exist as floating point numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number of the range of `T`, or nothing.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    deserializer.deserialize_any(Whole(PhantomData))
}

struct Whole<T>(PhantomData<T>);

impl<'de, T: TryFrom<u64>> Visitor<'de> for Whole<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number of at most {} bits", size_of::<T>() * 8)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        let outside = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
        T::try_from(number).map(Some).map_err(outside)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<T>, E> {
        if number.fract() == 0.0 && (0.0..EXACT_MAX).contains(&number) {
            return self.visit_u64(number as u64);
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "super::optional")]
        n: Option<u8>,
    }

    #[test]
    fn a_whole_number_is_read_however_it_is_written() {
        for (json, n) in [
            ("{}", None),
            ("{\"n\": null}", None),
            ("{\"n\": 2}", Some(2)),
            ("{\"n\": 2.0}", Some(2)),
            ("{\"n\": 2e0}", Some(2)),
        ] {
            assert_eq!(serde_json::from_str::<Body>(json).unwrap().n, n, "{json}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_the_range_is_refused() {
        for n in ["-1", "2.5", "256", "1e300", "\"2\"", "true", "[]"] {
            let json = format!("{{\"n\": {n}}}");
            assert!(serde_json::from_str::<Body>(&json).is_err(), "{json}");
        }
    }
}
