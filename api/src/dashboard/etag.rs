//! Entity tags (RFC 9110 §8.8.3) of files that never change while the program runs.

use axum::http::HeaderMap;
use axum::http::header;

/// A strong tag: a hash of the content (FNV-1a, 64 bits), which need not withstand an adversary:
/// all contents are ours.
pub(super) fn of(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
}

/// Whether If-None-Match (RFC 9110 §13.1.2, compared weakly) names the tag.
pub(super) fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let named = request.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    tags.any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_tag_follows_the_content() {
        assert_eq!(of(b""), "\"cbf29ce484222325\"");
        assert_eq!(of(b"a"), "\"af63dc4c8601ec8c\"");
    }

    #[test]
    fn a_tag_is_found_in_every_form_of_the_header() {
        for (value, known) in [
            ("\"x\"", true),
            ("\"y\", \"x\"", true),
            ("W/\"x\"", true),
            ("*", true),
            ("\"y\"", false),
            ("x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            assert_eq!(is_known(&headers, "\"x\""), known, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"x\""));
    }
}
