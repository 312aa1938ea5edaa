//! Aligned columns. A column of numbers is aligned to the right.
//!
//! Clients choose their identifiers, user names and topics, and those end up on an operator's
//! terminal: control characters are written as escapes, so that no client can move the cursor.

/// Spaces between two columns.
const GAP: &str = "  ";

/// A table with a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<H: Into<String>>(heading: impl IntoIterator<Item = H>) -> Table {
        Table {
            heading: heading.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, which has as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heading.len());
        let cells = cells.iter().map(|cell| printable(cell)).collect();
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, one line for each row and one for the heading.
    pub fn render(&self) -> String {
        let columns: Vec<_> = (0..self.heading.len()).map(|at| self.column(at)).collect();
        let mut text = String::new();
        let heading = self
            .heading
            .iter()
            .map(|name| name.to_uppercase())
            .collect::<Vec<_>>();
        for cells in std::iter::once(&heading).chain(&self.rows) {
            let line: Vec<_> = cells
                .iter()
                .zip(&columns)
                .map(|(cell, c)| c.pad(cell))
                .collect();
            text += line.join(GAP).trim_end();
            text.push('\n');
        }
        text
    }

    fn column(&self, at: usize) -> Column {
        let cells = || self.rows.iter().filter_map(|row| row.get(at));
        let longest = cells().map(|cell| width(cell)).max().unwrap_or(0);
        Column {
            width: longest.max(width(&self.heading[at])),
            is_number: !self.is_empty() && cells().all(|cell| is_number(cell)),
        }
    }
}

struct Column {
    width: usize,
    is_number: bool,
}

impl Column {
    fn pad(&self, cell: &str) -> String {
        let spaces = " ".repeat(self.width.saturating_sub(width(cell)));
        match self.is_number {
            true => spaces + cell,
            false => cell.to_owned() + &spaces,
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn is_number(cell: &str) -> bool {
    cell.is_empty() || cell == "-" || cell.parse::<f64>().is_ok()
}

/// The text without control characters.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => safe.extend(character.escape_default()),
            false => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(heading: &[&str], rows: &[&[&str]]) -> String {
        let mut table = Table::new(heading.iter().copied());
        for row in rows {
            table.row(row.iter().map(|cell| (*cell).to_owned()).collect());
        }
        table.render()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_numbers_stand_at_the_right() {
        let text = table(&["topic", "n"], &[&["a/b/c", "9"], &["ä", "1000"]]);
        assert_eq!(text, "TOPIC     N\na/b/c     9\nä      1000\n");
    }

    #[test]
    fn no_line_ends_with_spaces() {
        assert_eq!(table(&["a", "b"], &[&["xyz", ""]]), "A    B\nxyz\n");
    }

    #[test]
    fn without_rows_there_is_the_heading() {
        assert_eq!(table(&["a", "bc"], &[]), "A  BC\n");
    }

    #[test]
    fn a_client_cannot_write_to_the_terminal() {
        let text = table(&["id"], &[&["a\x1b[2J\nb"]]);
        assert_eq!(text, "ID\na\\u{1b}[2J\\nb\n");
    }
}
