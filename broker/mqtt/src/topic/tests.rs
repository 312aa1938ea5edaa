//! The rules of §4.7 and §4.8.2 one by one, then both trees against the naive answer.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// [MQTT-4.7.3-1], 3.1.1 [MQTT-4.7.3-1]
#[test]
fn an_empty_topic_is_refused() {
    assert_eq!(validate_name(""), Err(TopicError::Empty));
    assert_eq!(validate_filter(""), Err(TopicError::Empty));
}

/// [MQTT-4.7.3-3], 3.1.1 [MQTT-4.7.3-3]
#[test]
fn a_topic_of_65535_bytes_is_the_longest() {
    let longest = "a".repeat(TOPIC_BYTES_MAX);
    assert_eq!(validate_name(&longest), Ok(()));
    assert_eq!(validate_filter(&longest), Ok(()));
    let longer = longest + "a";
    assert_eq!(
        validate_name(&longer),
        Err(TopicError::TooLong { bytes: 65_536 })
    );
    assert_eq!(
        validate_filter(&longer),
        Err(TopicError::TooLong { bytes: 65_536 })
    );
}

/// [MQTT-4.7.3-2], 3.1.1 [MQTT-4.7.3-2]
#[test]
fn the_null_character_is_refused() {
    assert_eq!(validate_name("a\0b"), Err(TopicError::NullCharacter));
    assert_eq!(validate_filter("a/\0"), Err(TopicError::NullCharacter));
}

#[test]
fn a_topic_may_have_128_levels_and_no_more() {
    let most = "/".repeat(LEVELS_MAX - 1);
    assert_eq!(validate_name(&most), Ok(()));
    assert_eq!(validate_filter(&most), Ok(()));
    let more = most + "/";
    assert_eq!(validate_name(&more), Err(TopicError::TooManyLevels));
    assert_eq!(validate_filter(&more), Err(TopicError::TooManyLevels));
}

/// [MQTT-4.7.0-1], 3.1.1 [MQTT-4.7.1-1]
#[test]
fn a_name_with_a_wildcard_is_refused() {
    for name in ["+", "#", "a/+", "a+b", "a/b#"] {
        assert_eq!(
            validate_name(name),
            Err(TopicError::WildcardInName),
            "{name}"
        );
    }
}

/// [MQTT-4.7.1-1], 3.1.1 [MQTT-4.7.1-2]
#[test]
fn a_multi_level_wildcard_that_is_not_the_last_level_is_refused() {
    for filter in ["#/a", "a/#/b", "a#", "a/b#", "##", "#+"] {
        assert_eq!(
            validate_filter(filter),
            Err(TopicError::MultiLevelNotLast),
            "{filter}"
        );
    }
}

/// [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]
#[test]
fn a_filter_with_a_wildcard_inside_a_level_is_refused() {
    for filter in ["a+", "+a", "a/b+/c", "++"] {
        assert_eq!(
            validate_filter(filter),
            Err(TopicError::SingleLevelInsideLevel),
            "{filter}"
        );
    }
}

#[test]
fn wildcards_that_are_whole_levels_are_accepted() {
    for filter in [
        "#", "+", "/", "+/+", "a/+/#", "+/a", "/+", "$SYS/#", "a//b", "$share",
    ] {
        assert_eq!(validate_filter(filter), Ok(()), "{filter}");
    }
}

/// [MQTT-3.3.2-3]
#[test]
fn the_examples_of_the_standard_match_as_it_says() {
    let matching = [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
        ),
        ("sport/#", "sport"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/monitor/Clients"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("#", "a/b"),
    ];
    for (filter, name) in matching {
        assert!(matches(filter, name), "{filter} {name}");
    }
    let different = [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("ACCOUNTS", "Accounts"),
        ("finance", "/finance"),
        ("a/b", "a"),
        ("a", "a/b"),
    ];
    for (filter, name) in different {
        assert!(!matches(filter, name), "{filter} {name}");
    }
}

#[test]
fn a_leading_wildcard_does_not_match_a_name_that_begins_with_a_dollar() {
    // [MQTT-4.7.2-1]
    for filter in ["#", "+/monitor/Clients", "+/#", "+/+/+"] {
        assert!(!matches(filter, "$SYS/monitor/Clients"), "{filter}");
    }
    assert!(matches("a/#", "a/$b"));
    assert!(matches("a/+", "a/$b"));
}

#[test]
fn a_shared_filter_is_split_into_its_group_and_its_filter() {
    let split = SharedFilter::parse("$share/consumer 1/sport/+/#").expect("valid");
    assert_eq!(
        split,
        SharedFilter {
            share: Some("consumer 1"),
            filter: "sport/+/#"
        }
    );
    let root = SharedFilter::parse("$share/g//a").expect("valid");
    assert_eq!(
        root,
        SharedFilter {
            share: Some("g"),
            filter: "/a"
        }
    );
}

#[test]
fn a_filter_without_the_share_prefix_is_an_ordinary_one() {
    for filter in ["a/b", "$shared/g/a", "$share", "share/g/a"] {
        assert_eq!(
            SharedFilter::parse(filter),
            Ok(SharedFilter {
                share: None,
                filter
            })
        );
    }
}

#[test]
fn a_share_name_has_at_least_one_character() {
    // [MQTT-4.8.2-1]
    assert_eq!(
        SharedFilter::parse("$share//a"),
        Err(TopicError::ShareNameEmpty)
    );
    assert_eq!(
        SharedFilter::parse("$share/"),
        Err(TopicError::ShareNameEmpty)
    );
}

#[test]
fn a_share_name_has_no_wildcard_and_is_followed_by_a_filter() {
    // [MQTT-4.8.2-2]
    assert_eq!(
        SharedFilter::parse("$share/g+/a"),
        Err(TopicError::ShareNameReserved)
    );
    assert_eq!(
        SharedFilter::parse("$share/#"),
        Err(TopicError::ShareNameReserved)
    );
    assert_eq!(
        SharedFilter::parse("$share/g"),
        Err(TopicError::ShareFilterMissing)
    );
    assert_eq!(
        SharedFilter::parse("$share/g/"),
        Err(TopicError::ShareFilterMissing)
    );
    assert_eq!(
        validate_share_name("a/b"),
        Err(TopicError::ShareNameReserved)
    );
    assert_eq!(validate_share_name("a\0"), Err(TopicError::NullCharacter));
}

#[test]
fn the_filter_of_a_shared_subscription_follows_the_rules_of_filters() {
    assert_eq!(
        SharedFilter::parse("$share/g/a#"),
        Err(TopicError::MultiLevelNotLast)
    );
}

#[test]
fn an_invalid_filter_is_not_stored() {
    let mut tree = FilterTree::new();
    assert_eq!(tree.insert("a/#/b", 1), Err(TopicError::MultiLevelNotLast));
    let deep = "+/".repeat(65_535 / 2);
    assert_eq!(tree.insert(&deep, 1), Err(TopicError::TooManyLevels));
    assert!(tree.has_no_nodes() && tree.is_empty());
}

#[test]
fn removing_a_filter_keeps_the_longer_and_the_shorter_ones() {
    let mut tree = FilterTree::new();
    for filter in ["a", "a/b", "a/b/c", "a/#"] {
        assert_eq!(tree.insert(filter, filter), Ok(None));
    }
    assert_eq!(tree.remove("a/b"), Some("a/b"));
    assert_eq!(tree.remove("a/b"), None);
    assert_eq!(tree.len(), 3);
    assert_eq!(found(&tree, "a/b/c"), BTreeSet::from(["a/#", "a/b/c"]));
    assert_eq!(found(&tree, "a/b"), BTreeSet::from(["a/#"]));
}

#[test]
fn a_level_with_many_children_finds_each_and_shrinks_again() {
    let mut tree = FilterTree::new();
    let filters: Vec<String> = (0..1000).map(|n| format!("d/{n}/x")).collect();
    for filter in &filters {
        assert_eq!(tree.insert(filter, filter.clone()), Ok(None));
    }
    for filter in &filters {
        let mut matched = Vec::new();
        tree.for_each_match(filter, |value| matched.push(value));
        assert_eq!(matched, [filter]);
    }
    for filter in &filters {
        assert_eq!(tree.remove(filter).as_ref(), Some(filter));
    }
    assert!(tree.has_no_nodes());
}

fn found<'a>(tree: &FilterTree<&'a str>, name: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    tree.for_each_match(name, |filter| {
        assert!(found.insert(*filter), "{filter} twice")
    });
    found
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just(""),
        Just("$x"),
        Just("long-level"),
        Just("ü")
    ]
    .prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("valid", |name| validate_name(name).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let any_level = prop_oneof![3 => level(), 2 => Just("+".to_owned())];
    (proptest::collection::vec(any_level, 0..5), any::<bool>())
        .prop_map(|(mut levels, open)| {
            levels.extend(open.then(|| "#".to_owned()));
            levels.join("/")
        })
        .prop_filter("valid", |filter| validate_filter(filter).is_ok())
}

proptest! {
    #[test]
    fn the_filter_tree_finds_what_naive_matching_finds(
        steps in proptest::collection::vec((filter(), any::<bool>()), 1..60),
        names in proptest::collection::vec(name(), 1..20),
    ) {
        let mut tree = FilterTree::new();
        let mut stored = BTreeSet::new();
        for (filter, removed) in &steps {
            if *removed {
                prop_assert_eq!(tree.remove(filter).is_some(), stored.remove(filter.as_str()));
            } else {
                let before = tree.insert(filter, filter.as_str()).expect("valid");
                prop_assert_eq!(before.is_none(), stored.insert(filter.as_str()));
            }
        }
        prop_assert_eq!(tree.len(), stored.len());
        for name in &names {
            let naive: BTreeSet<_> =
                stored.iter().copied().filter(|filter| matches(filter, name)).collect();
            prop_assert_eq!(found(&tree, name), naive);
        }
        for filter in stored {
            tree.remove(filter);
        }
        prop_assert!(tree.has_no_nodes());
    }

    #[test]
    fn the_name_tree_finds_what_naive_matching_finds(
        steps in proptest::collection::vec((name(), any::<bool>()), 1..60),
        filters in proptest::collection::vec(filter(), 1..20),
    ) {
        let mut tree = NameTree::new();
        let mut stored = BTreeSet::new();
        for (name, removed) in &steps {
            if *removed {
                prop_assert_eq!(tree.remove(name).is_some(), stored.remove(name.as_str()));
            } else {
                let before = tree.insert(name, name.as_str()).expect("valid");
                prop_assert_eq!(before.is_none(), stored.insert(name.as_str()));
            }
        }
        for filter in &filters {
            let naive: BTreeSet<_> =
                stored.iter().copied().filter(|name| matches(filter, name)).collect();
            let mut found = BTreeSet::new();
            tree.for_each_match(filter, |name| assert!(found.insert(*name), "{name} twice"));
            prop_assert_eq!(found, naive);
        }
        for name in stored {
            tree.remove(name);
        }
        prop_assert!(tree.has_no_nodes());
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in any::<String>(), other in any::<String>()) {
        let _ = (validate_name(&text), validate_filter(&text), SharedFilter::parse(&text));
        let _ = matches(&text, &other);
    }
}
