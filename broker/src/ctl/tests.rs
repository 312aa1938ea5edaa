//! How texts become paths and queries.

use super::request::{query, segment};

#[test]
fn a_text_is_one_segment_whatever_is_in_it() {
    assert_eq!(segment("foo/1"), "foo%2F1");
    assert_eq!(segment("ä b?&#%+"), "%C3%A4%20b%3F%26%23%25%2B");
    assert_eq!(segment("A-z_0.9~"), "A-z_0.9~");
}

#[test]
fn parameters_are_a_query() {
    assert_eq!(query([]), "");
    assert_eq!(
        query([("clientid", "a&b"), ("_match_topic", "x/y")]),
        "?clientid=a%26b&_match_topic=x%2Fy"
    );
}
