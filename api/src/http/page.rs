//! Reading on where a page ended, and how fresh an answer has to be.

use std::ops::ControlFlow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows of one page take at most about this much memory, whatever the limit says. The page ends early
/// then, and its cursor goes on.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The rows of one answer, collected in their order.
#[derive(Debug)]
pub(crate) struct Page<R> {
    pub(crate) rows: Vec<R>,
    limit: usize,
    bytes: usize,
    more: bool,
}

impl<R> Page<R> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            rows: Vec::new(),
            limit: limit.max(1),
            bytes: 0,
            more: false,
        }
    }

    /// Takes the next row, of about so many bytes. `Break`: the page is full, this row and all that
    /// follow belong to the next one.
    pub(crate) fn push(&mut self, row: R, bytes: usize) -> ControlFlow<()> {
        let is_too_large = self.bytes + bytes > PAGE_BYTES_MAX && !self.rows.is_empty();
        if self.rows.len() >= self.limit || is_too_large {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.bytes += bytes;
        self.rows.push(row);
        ControlFlow::Continue(())
    }

    /// The key of the last row, if there is a next page.
    pub(crate) fn next_cursor<T: Serialize>(&self, key: impl Fn(&R) -> T) -> Option<String> {
        let last = self.rows.last().filter(|_| self.more)?;
        encode_cursor(&key(last))
    }
}

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
    fn a_page_has_a_next_one_only_if_a_row_was_left_out() {
        let mut page = Page::new(2);
        assert!(page.push("a", 1).is_continue() && page.push("b", 1).is_continue());
        assert_eq!(page.next_cursor(|row| *row), None);
        assert!(page.push("c", 1).is_break());
        assert_eq!(page.next_cursor(|row| *row), encode_cursor(&"b"));
    }

    #[test]
    fn a_page_stops_at_its_memory_bound_but_holds_at_least_one_row() {
        let mut page = Page::new(10);
        assert!(page.push("a", PAGE_BYTES_MAX * 2).is_continue());
        assert!(page.push("b", 1).is_break());
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let text = encode_cursor(&"client").unwrap();
        assert_eq!(decode_cursor::<(String, u64)>(&text), None);
    }
}
