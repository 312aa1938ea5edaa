//! Pages of clients: the first rows of one node, and those of several nodes put together.

use std::collections::BinaryHeap;

use prost::Message;

use super::{ClientQuery, ClientRow};

/// Rows of one page take at most about this much memory, whatever the limit says (a Will may be
/// large). The page says `more` then, and the cursor goes on.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Rows in ascending order of client identifier, and whether there are more behind the last one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientPage {
    /// The rows.
    pub rows: Vec<ClientRow>,
    /// Whether rows that match were left out, all of them behind the last row.
    pub more: bool,
}

/// Collects the first rows of a page out of rows in any order, holding no more than the page.
#[derive(Debug)]
pub struct PageBuilder {
    query: ClientQuery,
    rows: BinaryHeap<Ordered>,
    bytes: usize,
    more: bool,
}

impl PageBuilder {
    /// An empty page for this query.
    pub fn new(query: ClientQuery) -> Self {
        Self {
            query,
            rows: BinaryHeap::new(),
            bytes: 0,
            more: false,
        }
    }

    /// Offers a row: it is taken when it matches and is among the first.
    pub fn offer(&mut self, row: ClientRow) {
        if !self.query.matches(&row) {
            return;
        }
        self.bytes += weight(&row);
        self.rows.push(Ordered(row));
        while self.is_too_large() {
            self.more = true;
            self.bytes -= self.rows.pop().map_or(0, |last| weight(&last.0));
        }
    }

    /// Whether a row has been left out already: rows behind the last one need not be offered.
    pub fn is_full(&self) -> bool {
        self.more
    }

    fn is_too_large(&self) -> bool {
        let limit = self.query.limit.max(1) as usize;
        self.rows.len() > limit || (self.rows.len() > 1 && self.bytes > PAGE_BYTES_MAX)
    }

    /// The page.
    pub fn finish(self) -> ClientPage {
        let rows = self
            .rows
            .into_sorted_vec()
            .into_iter()
            .map(|ordered| ordered.0)
            .collect();
        ClientPage {
            rows,
            more: self.more,
        }
    }
}

fn weight(row: &ClientRow) -> usize {
    size_of::<ClientRow>() + row.encoded_len()
}

/// A row that is compared by its client identifier.
#[derive(Debug)]
struct Ordered(ClientRow);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.0.client_id == other.0.client_id
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.client_id.cmp(&other.0.client_id)
    }
}

/// Puts the pages of several nodes together into one of the same order.
///
/// A node that left rows out left them out behind its last row, so nothing behind that row may be
/// shown yet. A client that moves between two nodes while they are asked shows up twice: the
/// connected row with the later connection is the true one.
pub(crate) fn merge(pages: Vec<ClientPage>, limit: u32) -> ClientPage {
    let end = pages
        .iter()
        .filter(|p| p.more)
        .filter_map(|p| p.rows.last());
    let end = end.map(|row| row.client_id.clone()).min();
    let mut more = pages.iter().any(|page| page.more);
    let mut rows: Vec<ClientRow> = pages.into_iter().flat_map(|page| page.rows).collect();
    rows.sort_by(|a, b| {
        a.client_id
            .cmp(&b.client_id)
            .then_with(|| freshness(b).cmp(&freshness(a)))
    });
    rows.dedup_by(|later, first| later.client_id == first.client_id);
    if let Some(end) = end {
        rows.retain(|row| row.client_id <= end);
    }
    if rows.len() > limit as usize {
        more = true;
        rows.truncate(limit as usize);
    }
    ClientPage { rows, more }
}

fn freshness(row: &ClientRow) -> (bool, u64) {
    (row.connected, row.connected_at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> ClientRow {
        ClientRow {
            client_id: id.into(),
            ..Default::default()
        }
    }

    fn ids(page: &ClientPage) -> Vec<&str> {
        page.rows.iter().map(|row| row.client_id.as_str()).collect()
    }

    fn page(ids: &[&str], more: bool) -> ClientPage {
        ClientPage {
            rows: ids.iter().map(|id| row(id)).collect(),
            more,
        }
    }

    #[test]
    fn a_page_holds_the_first_rows_in_order_whatever_the_order_of_the_offers() {
        let mut builder = PageBuilder::new(ClientQuery {
            limit: 2,
            ..Default::default()
        });
        ["d", "a", "c", "b"]
            .iter()
            .for_each(|id| builder.offer(row(id)));
        let page = builder.finish();
        assert_eq!(ids(&page), ["a", "b"]);
        assert!(page.more);
    }

    #[test]
    fn a_page_that_holds_all_rows_has_no_more() {
        let query = ClientQuery {
            after: Some("a".into()),
            limit: 2,
            ..Default::default()
        };
        let mut builder = PageBuilder::new(query);
        ["a", "c", "b"].iter().for_each(|id| builder.offer(row(id)));
        let page = builder.finish();
        assert_eq!(ids(&page), ["b", "c"]);
        assert!(!page.more);
    }

    #[test]
    fn a_page_stops_at_its_memory_bound() {
        let large = |id: &str| ClientRow {
            will: Some(super::super::WillRow {
                message: vec![0; PAGE_BYTES_MAX / 2].into(),
                ..Default::default()
            }),
            ..row(id)
        };
        let mut builder = PageBuilder::new(ClientQuery {
            limit: 10,
            ..Default::default()
        });
        ["b", "a"].iter().for_each(|id| builder.offer(large(id)));
        let page = builder.finish();
        assert_eq!(ids(&page), ["a"]);
        assert!(page.more);
    }

    #[test]
    fn merged_pages_show_nothing_behind_what_a_node_left_out() {
        let merged = merge(
            vec![page(&["a", "c"], true), page(&["b", "d", "e"], false)],
            10,
        );
        assert_eq!(ids(&merged), ["a", "b", "c"]);
        assert!(merged.more);
    }

    #[test]
    fn merged_pages_keep_the_limit() {
        let merged = merge(vec![page(&["a", "c"], false), page(&["b", "d"], false)], 3);
        assert_eq!(ids(&merged), ["a", "b", "c"]);
        assert!(merged.more);
    }

    #[test]
    fn a_client_that_two_nodes_report_is_shown_where_it_is_connected() {
        let old = ClientPage {
            rows: vec![ClientRow {
                node_id: 1,
                ..row("a")
            }],
            more: false,
        };
        let new = ClientRow {
            node_id: 2,
            connected: true,
            ..row("a")
        };
        let new = ClientPage {
            rows: vec![new],
            more: false,
        };
        let merged = merge(vec![old, new], 10);
        assert_eq!(merged.rows.len(), 1);
        assert_eq!(merged.rows[0].node_id, 2);
    }
}
