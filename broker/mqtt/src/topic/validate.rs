//! Which topic names and topic filters are valid (MQTT 5 §4.7.1, §4.7.3).
//!
//! Topic names are not normalised and no character is replaced [MQTT-4.7.3-4]; that the text is
//! UTF-8 is the type's promise.

use super::TopicError;

/// Longest topic name or topic filter in bytes of UTF-8 [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Most levels in a topic name or topic filter. The standard has no limit; without one a filter of
/// 32,768 slashes costs the broker as many tree nodes, and a walk as deep.
pub const LEVELS_MAX: usize = 128;

/// Checks a topic name, as in PUBLISH or a will.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate_name(name: &str) -> Result<(), TopicError> {
    validate_text(name)?;
    if name.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return Err(TopicError::WildcardInName);
    }
    Ok(())
}

/// Checks a topic filter, without the `$share/<group>/` of a shared subscription
/// ([`super::SharedFilter::parse`] splits that off).
///
/// # Errors
/// The first rule that it breaks.
pub fn validate_filter(filter: &str) -> Result<(), TopicError> {
    validate_text(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        validate_filter_level(level, levels.peek().is_none())?;
    }
    Ok(())
}

fn validate_filter_level(level: &str, last: bool) -> Result<(), TopicError> {
    let alone = level.len() == 1;
    for byte in level.bytes() {
        match byte {
            b'#' if !alone || !last => return Err(TopicError::MultiLevelNotLast),
            b'+' if !alone => return Err(TopicError::SingleLevelInsideLevel),
            _ => {}
        }
    }
    Ok(())
}

/// The rules that names and filters share.
fn validate_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: text.len() });
    }
    let mut levels = 1;
    for byte in text.bytes() {
        match byte {
            0 => return Err(TopicError::NullCharacter),
            b'/' => levels += 1,
            _ => {}
        }
    }
    if levels > LEVELS_MAX {
        return Err(TopicError::TooManyLevels);
    }
    Ok(())
}
