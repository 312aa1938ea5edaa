//! One variant per rule that a topic name or topic filter can break.

/// Why a topic name, topic filter or share name is not valid. Each variant is one rule of the
/// standard, so that a test and a log line can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TopicError {
    /// No characters at all [MQTT-4.7.3-1].
    #[error("it is empty [MQTT-4.7.3-1]")]
    Empty,
    /// Longer than [`super::TOPIC_BYTES_MAX`] bytes [MQTT-4.7.3-3].
    #[error("it has {bytes} bytes, at most 65535 are allowed [MQTT-4.7.3-3]")]
    TooLong {
        /// Its length in bytes of UTF-8.
        bytes: usize,
    },
    /// Contains U+0000 [MQTT-4.7.3-2].
    #[error("it contains the null character [MQTT-4.7.3-2]")]
    NullCharacter,
    /// More than [`super::LEVELS_MAX`] levels; our own limit, the standard has none.
    #[error("it has more than 128 levels, the limit of this broker")]
    TooManyLevels,
    /// `+` or `#` in a topic name [MQTT-4.7.0-1].
    #[error("a topic name must not contain '+' or '#' [MQTT-4.7.0-1]")]
    WildcardInName,
    /// `#` that is not the whole last level [MQTT-4.7.1-1].
    #[error("'#' must be the whole last level [MQTT-4.7.1-1]")]
    MultiLevelNotLast,
    /// `+` that is not a whole level [MQTT-4.7.1-2].
    #[error("'+' must be a whole level [MQTT-4.7.1-2]")]
    SingleLevelInsideLevel,
    /// `$share//…`: a share name has at least one character [MQTT-4.8.2-1].
    #[error("the share name is empty [MQTT-4.8.2-1]")]
    ShareNameEmpty,
    /// `/`, `+` or `#` in a share name [MQTT-4.8.2-2].
    #[error("a share name must not contain '/', '+' or '#' [MQTT-4.8.2-2]")]
    ShareNameReserved,
    /// `$share/name` without a topic filter after it [MQTT-4.8.2-2].
    #[error("no topic filter follows the share name [MQTT-4.8.2-2]")]
    ShareFilterMissing,
}
