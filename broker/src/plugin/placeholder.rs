//! Filling in placeholders: once through the text, so that a client cannot name itself `%u` and get its
//! user name put where its identifier was meant.

/// The text with each placeholder's value in its place. `None`: one of them has no value.
pub(crate) fn filled(text: &str, values: &[(&str, Option<&str>)]) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let found = values.iter().find(|(name, _)| rest.starts_with(name));
        let length = match found {
            Some((name, value)) => {
                filled.push_str((*value)?);
                name.len()
            }
            None => {
                filled.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_gets_its_value() {
        let values = [("%c", Some("client")), ("${username}", Some("user"))];
        let text = filled("ä%c/${username}/%c/%x", &values);
        assert_eq!(text.as_deref(), Some("äclient/user/client/%x"));
    }

    #[test]
    fn a_value_is_not_searched_for_placeholders() {
        let values = [("%c", Some("%u")), ("%u", Some("other"))];
        assert_eq!(filled("%c", &values).as_deref(), Some("%u"));
    }

    #[test]
    fn a_placeholder_without_a_value_gives_nothing() {
        assert_eq!(filled("a/%u", &[("%u", None)]), None);
        assert_eq!(filled("a", &[("%u", None)]).as_deref(), Some("a"));
    }
}
