//! The two parts of a shared subscription's topic filter, `$share/<group>/<filter>` (MQTT 5 §4.8.2).

use super::{TopicError, validate_filter};

const PREFIX: &str = "$share/";

/// A topic filter as SUBSCRIBE and UNSUBSCRIBE carry it, split and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedFilter<'a> {
    /// The share group; `None`: an ordinary subscription.
    pub share: Option<&'a str>,
    /// The topic filter without `$share/<group>/`, valid.
    pub filter: &'a str,
}

impl<'a> SharedFilter<'a> {
    /// Splits and checks a topic filter. `$share` without a slash after it is an ordinary filter.
    ///
    /// # Errors
    /// The rule that it breaks [MQTT-4.8.2-1] [MQTT-4.8.2-2].
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            validate_filter(text)?;
            return Ok(Self {
                share: None,
                filter: text,
            });
        };
        let (share, filter) = rest.split_once('/').ok_or_else(|| without_filter(rest))?;
        validate_share_name(share)?;
        if filter.is_empty() {
            return Err(TopicError::ShareFilterMissing);
        }
        validate_filter(filter)?;
        Ok(Self {
            share: Some(share),
            filter,
        })
    }
}

fn without_filter(share: &str) -> TopicError {
    validate_share_name(share)
        .err()
        .unwrap_or(TopicError::ShareFilterMissing)
}

/// Checks the name of a share group, the part between `$share/` and the next `/`.
///
/// # Errors
/// The rule that it breaks [MQTT-4.8.2-1] [MQTT-4.8.2-2].
pub fn validate_share_name(share: &str) -> Result<(), TopicError> {
    if share.is_empty() {
        return Err(TopicError::ShareNameEmpty);
    }
    if share.len() > super::TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: share.len() });
    }
    for byte in share.bytes() {
        match byte {
            0 => return Err(TopicError::NullCharacter),
            b'/' | b'+' | b'#' => return Err(TopicError::ShareNameReserved),
            _ => {}
        }
    }
    Ok(())
}
