//! Does one topic filter match one topic name (MQTT 5 §4.7.1, §4.7.2)?

/// Whether the topic filter matches the topic name. Both are expected to be valid; others give an
/// answer too, but one without meaning. The filter has no `$share/<group>/` in front.
///
/// Runs in one pass without recursion.
/// [MQTT-3.3.2-3]
pub fn matches(filter: &str, name: &str) -> bool {
    if hidden_from_wildcards(name) && starts_with_wildcard(filter) {
        return false;
    }
    let mut filter_levels = filter.split('/');
    let mut name_levels = name.split('/');
    loop {
        match (filter_levels.next(), name_levels.next()) {
            // "sport/#" matches "sport" as well: '#' includes the parent level (§4.7.1.2).
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Names that begin with `$` are not matched by a filter that begins with a wildcard
/// [MQTT-4.7.2-1].
pub(super) fn hidden_from_wildcards(name: &str) -> bool {
    name.starts_with('$')
}

fn starts_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}
