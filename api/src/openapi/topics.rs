//! The rules of MQTT for topics as regular expressions (ECMA-262), as far as these can say them: at most
//! 65,535 bytes and 128 levels they cannot.

/// A topic name.
pub(crate) const TOPIC_NAME: &str = r"^[^+#\u0000]+$";

/// A topic filter, which may begin with `$share/<group>/`.
pub(crate) const TOPIC_FILTER: &str = concat!(
    r"^(#|/#",
    r"|([^+#/\u0000]+|\+)(/([^+#/\u0000]*|\+))*(/#)?",
    r"|(/([^+#/\u0000]*|\+))+(/#)?)$"
);

/// Topic filters with commas between; empty ones do not count.
pub(crate) const TOPIC_FILTERS: &str = concat!(
    r"^(#|([^+#/,\u0000]*|\+)(/([^+#/,\u0000]*|\+))*(/#)?)",
    r"(,(#|([^+#/,\u0000]*|\+)(/([^+#/,\u0000]*|\+))*(/#)?))*$"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raftmq_mqtt::topic::{validate_filter, validate_name};
    use regex::Regex;

    use super::*;

    /// Rust's notation of the null character.
    fn regex(pattern: &str) -> Regex {
        Regex::new(&pattern.replace(r"\u0000", r"\x00")).unwrap()
    }

    proptest! {
        #[test]
        fn the_expressions_say_what_the_rules_say(text in "[ab/+#, \\x00]{0,9}") {
            prop_assert_eq!(regex(TOPIC_NAME).is_match(&text), validate_name(&text).is_ok());
            prop_assert_eq!(regex(TOPIC_FILTER).is_match(&text), validate_filter(&text).is_ok());
            let parts = text.split(',').filter(|part| !part.is_empty());
            let all_valid = parts.clone().all(|part| validate_filter(part).is_ok());
            prop_assert_eq!(regex(TOPIC_FILTERS).is_match(&text), all_valid);
        }
    }
}
