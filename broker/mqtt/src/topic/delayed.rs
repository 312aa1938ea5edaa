//! The two parts of a topic name that asks for a later publication, `$delayed/<seconds>/<topic>`. An
//! extension of this broker's (RMQTT and EMQX have it, too); MQTT leaves such names to the server (§4.7.2).

use super::{TopicError, validate_name};

const PREFIX: &str = "$delayed/";

/// The longest delay in seconds: 49 days.
pub const DELAY_SECONDS_MAX: u32 = 4_294_967;

/// A topic name with its delay, split and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayedName<'a> {
    /// Time until it is published, 0 to [`DELAY_SECONDS_MAX`]; 0: at once.
    pub seconds: u32,
    /// The topic name that it is published to, valid and without a delay of its own.
    pub topic: &'a str,
}

/// Why a topic name that begins with `$delayed/` is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelayedNameError {
    /// The delay is no decimal number, or too long.
    #[error("the delay is no number of seconds up to 4294967")]
    Delay,
    /// The topic name behind the delay is missing, or asks for another delay.
    #[error("no topic name follows the delay")]
    NoTopic,
    /// The topic name behind the delay is not valid.
    #[error("the topic behind the delay is not valid: {0}")]
    Topic(TopicError),
}

impl<'a> DelayedName<'a> {
    /// Splits and checks a topic name; `None`: it asks for no delay.
    ///
    /// # Errors
    /// [`DelayedNameError`] when it begins with `$delayed/` and does not go on as it should.
    pub fn parse(name: &'a str) -> Option<Result<Self, DelayedNameError>> {
        Some(Self::parse_rest(name.strip_prefix(PREFIX)?))
    }

    fn parse_rest(rest: &'a str) -> Result<Self, DelayedNameError> {
        let (seconds, topic) = rest.split_once('/').unwrap_or((rest, ""));
        // A sign is no digit, though numbers may have one.
        let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = seconds.parse().ok().filter(|_| is_number);
        let seconds = seconds
            .filter(|seconds| *seconds <= DELAY_SECONDS_MAX)
            .ok_or(DelayedNameError::Delay)?;
        if topic.is_empty() || topic.starts_with(PREFIX) {
            return Err(DelayedNameError::NoTopic);
        }
        validate_name(topic).map_err(DelayedNameError::Topic)?;
        Ok(DelayedName { seconds, topic })
    }

    /// Whether a topic name asks for a delay, rightly or not.
    pub fn is_one(name: &str) -> bool {
        name.starts_with(PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Result<(u32, &str), DelayedNameError> {
        let parsed = DelayedName::parse(name).expect("it begins with the prefix");
        parsed.map(|name| (name.seconds, name.topic))
    }

    #[test]
    fn the_first_level_behind_the_prefix_is_the_delay_and_the_rest_the_topic() {
        assert_eq!(parsed("$delayed/5/a"), Ok((5, "a")));
        assert_eq!(parsed("$delayed/0/a/b"), Ok((0, "a/b")));
        assert_eq!(parsed("$delayed/007/$SYS/x"), Ok((7, "$SYS/x")));
        assert_eq!(parsed("$delayed/4294967//"), Ok((4_294_967, "/")));
    }

    #[test]
    fn other_names_ask_for_no_delay() {
        for name in [
            "a",
            "$delayed",
            "$delayedx/5/a",
            "x/$delayed/5/a",
            "$Delayed/5/a",
        ] {
            assert_eq!(DelayedName::parse(name), None, "{name}");
            assert!(!DelayedName::is_one(name), "{name}");
        }
    }

    #[test]
    fn a_delay_is_a_decimal_number_within_the_bound() {
        let wrong = [
            "",
            "x",
            "+5",
            "-5",
            "5.5",
            " 5",
            "4294968",
            "99999999999",
            "0x5",
            "٥",
        ];
        for delay in wrong {
            let name = format!("$delayed/{delay}/a");
            assert_eq!(parsed(&name), Err(DelayedNameError::Delay), "{name}");
        }
    }

    #[test]
    fn a_topic_has_to_follow_and_to_be_one() {
        for name in ["$delayed/5", "$delayed/5/", "$delayed/5/$delayed/5/a"] {
            assert_eq!(parsed(name), Err(DelayedNameError::NoTopic), "{name}");
        }
        for name in ["$delayed/5/a/#", "$delayed/5/+"] {
            let wildcard = DelayedNameError::Topic(TopicError::WildcardInName);
            assert_eq!(parsed(name), Err(wildcard), "{name}");
        }
    }
}
