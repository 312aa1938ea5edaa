//! Topic names and filters in requests, by MQTT's rules.

use raftmq_mqtt::topic::{SharedFilter, TopicError, validate_filter, validate_name};

use crate::http::code::Code;
use crate::http::error::ApiError;

/// A valid topic name, or 400.
pub(super) fn topic_name(topic: &str) -> Result<&str, ApiError> {
    validate_name(topic)
        .map(|()| topic)
        .map_err(|e| invalid("topic name", topic, &e))
}

/// A valid topic filter, split from its share group, or 400.
pub(super) fn topic_filter(filter: &str) -> Result<SharedFilter<'_>, ApiError> {
    SharedFilter::parse(filter).map_err(|e| invalid("topic filter", filter, &e))
}

/// A valid topic filter that is not split: share groups have no meaning for what is retained. Or 400.
pub(super) fn plain_filter(filter: &str) -> Result<&str, ApiError> {
    validate_filter(filter)
        .map(|()| filter)
        .map_err(|e| invalid("topic filter", filter, &e))
}

fn invalid(what: &str, text: &str, error: &TopicError) -> ApiError {
    let shown: String = text.chars().take(100).collect();
    ApiError::new(
        Code::InvalidTopic,
        format!("'{shown}' is no valid {what}: {error}"),
    )
}

/// `topic` and what `topics` names between commas: trimmed, each once, in that order. None is 400.
pub(super) fn united(topic: Option<&str>, topics: Option<&str>) -> Result<Vec<String>, ApiError> {
    let several = topics.into_iter().flat_map(|topics| topics.split(','));
    let mut seen = std::collections::HashSet::new();
    let all = topic
        .into_iter()
        .chain(several)
        .map(str::trim)
        .filter(|topic| !topic.is_empty());
    let united: Vec<String> = all
        .filter(|topic| seen.insert(*topic))
        .map(str::to_owned)
        .collect();
    if united.is_empty() {
        let message =
            "Name at least one topic in 'topic' or, with commas between them, in 'topics'.";
        return Err(ApiError::new(Code::MissingTopic, message));
    }
    Ok(united)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_united_trimmed_and_named_once() {
        assert_eq!(
            united(Some(" a "), Some("b, a ,,c")).unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(united(Some("a,b"), None).unwrap(), ["a,b"]);
        assert_eq!(united(None, Some("x")).unwrap(), ["x"]);
    }

    #[test]
    fn no_topic_is_refused() {
        for (topic, topics) in [(None, None), (Some(" "), None), (None, Some(" , ,"))] {
            assert_eq!(united(topic, topics).unwrap_err().code, "missing_topic");
        }
    }
}
