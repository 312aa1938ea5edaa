//! Reading on where a page ended, and how fresh an answer has to be.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How fresh an answer from replicated state has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// What this node has applied.
    Local,
    /// Everything that was acknowledged before the question (a read index from the leader, Raft §8).
    Leader,
}

/// The key of a page's last row, opaque to clients.
pub(crate) fn encode_cursor<T: Serialize>(key: &T) -> Option<String> {
    serde_json::to_vec(key)
        .ok()
        .map(|json| URL_SAFE_NO_PAD.encode(json))
}

pub(crate) fn decode_cursor<T: DeserializeOwned>(text: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_whatever_is_in_the_key() {
        let key = ("client \u{1F600}/\"".to_owned(), "a/+/#".to_owned());
        let text = encode_cursor(&key).unwrap();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(decode_cursor(&text), Some(key));
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let text = encode_cursor(&"client").unwrap();
        assert_eq!(decode_cursor::<(String, u64)>(&text), None);
    }
}
