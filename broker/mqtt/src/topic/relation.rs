//! How two topic filters relate, for access rules: a subscription is judged by all topic names that its
//! filter can match, not by how it is written.

/// Whether every topic name that `filter` leaves out is left out by `other`, too: `other` asks for
/// nothing that `filter` does not grant. Both are expected to be valid, without `$share/<group>/`.
///
/// Never says yes wrongly; `+/#` and `#` match the same names, and it says no to `covers("+/#", "#")`.
pub fn covers(filter: &str, other: &str) -> bool {
    if starts_with_wildcard(filter) && other.starts_with('$') {
        return false;
    }
    let (mut levels, mut other_levels) = (filter.split('/'), other.split('/'));
    loop {
        match (levels.next(), other_levels.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether there is a topic name that both filters match.
pub fn overlaps(one: &str, other: &str) -> bool {
    let hidden = |wild: &str, named: &str| starts_with_wildcard(wild) && named.starts_with('$');
    if hidden(one, other) || hidden(other, one) {
        return false;
    }
    let (mut levels, mut other_levels) = (one.split('/'), other.split('/'));
    loop {
        match (levels.next(), other_levels.next()) {
            (Some("#"), _) | (_, Some("#")) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(level), Some(same)) if level == same => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn starts_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::matches;
    use proptest::prelude::*;

    #[test]
    fn a_filter_covers_what_it_matches_whole() {
        for (filter, other, expected) in [
            ("a/#", "a/b/+", true),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/+", "a/#", false),
            ("a/+", "a/b", true),
            ("a/b", "a/+", false),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/brokers/+", true),
            ("a", "a/#", false),
        ] {
            assert_eq!(covers(filter, other), expected, "{filter} {other}");
        }
    }

    #[test]
    fn filters_overlap_when_one_name_matches_both() {
        for (one, other, expected) in [
            ("secret/#", "#", true),
            ("secret/#", "+/x", true),
            ("secret/a", "secret/b", false),
            ("#", "$SYS/#", false),
            ("a/#", "a", true),
            ("a/b/c", "+/+", false),
        ] {
            assert_eq!(overlaps(one, other), expected, "{one} {other}");
            assert_eq!(overlaps(other, one), expected, "{other} {one}");
        }
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("$s"), Just("")]
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..4).prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => level(), 2 => Just("+")];
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, open)| {
            if open {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn a_name_of_a_covered_filter_is_a_name_of_the_covering_one(
            one in filter(), other in filter(), name in name()
        ) {
            prop_assert!(!(covers(&one, &other) && matches(&other, &name)) || matches(&one, &name));
        }

        #[test]
        fn two_filters_of_one_name_overlap(one in filter(), other in filter(), name in name()) {
            prop_assert!(!(matches(&one, &name) && matches(&other, &name)) || overlaps(&one, &other));
        }
    }
}
