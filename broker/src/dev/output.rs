//! What the members write, line by line, with the member's name before each line.

use std::io::{self, IsTerminal, Write};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// A longer line is shown in pieces.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// ANSI colours of the members in turn: green, yellow, blue, magenta, cyan.
const COLOURS: [u8; 5] = [32, 33, 34, 35, 36];

/// Where the lines go: standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    coloured: bool,
}

impl Terminal {
    /// Colours only on a terminal, and not against the user's wish (<https://no-color.org>).
    pub fn detect() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = io::stdout().is_terminal() && !refused;
        Self { coloured }
    }

    /// Lines of `raftmq dev` itself.
    pub fn say(self, text: &str) {
        for line in text.lines() {
            show(&self.prefixed("dev   ", 1, line.as_bytes()));
        }
    }

    fn say_for(self, id: usize, line: &[u8]) {
        let colour = COLOURS[id % COLOURS.len()];
        show(&self.prefixed(&format!("node-{id}"), colour, line));
    }

    fn prefixed(self, name: &str, colour: u8, line: &[u8]) -> Vec<u8> {
        let mut text = if self.coloured {
            format!("\x1b[{colour}m{name} |\x1b[0m ").into_bytes()
        } else {
            format!("{name} | ").into_bytes()
        };
        text.extend_from_slice(line);
        text.push(b'\n');
        text
    }
}

/// One write per line, so that lines of different members never mix. When nobody reads any more
/// (`raftmq dev | head`) the cluster goes on.
fn show(line: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line).and_then(|()| stdout.flush());
}

/// Shows every line of `from` until its end.
pub(super) async fn copy_lines(
    from: Option<impl AsyncRead + Unpin>,
    id: usize,
    terminal: Terminal,
) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while let Some(line) = next_line(&mut from, &mut line).await {
        terminal.say_for(id, line);
    }
}

/// The next line without its end, at most [`LINE_BYTES_MAX`] of it; `None` at the end, also when
/// reading fails, because a pipe fails only when its other side is gone.
async fn next_line<'l>(
    from: &mut (impl AsyncBufReadExt + Unpin),
    line: &'l mut Vec<u8>,
) -> Option<&'l [u8]> {
    line.clear();
    let read = from.take(LINE_BYTES_MAX).read_until(b'\n', line).await;
    if read.ok()? == 0 {
        return None;
    }
    Some(line.trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(bytes: &[u8]) -> Vec<usize> {
        let (mut from, mut line, mut lengths) = (BufReader::new(bytes), Vec::new(), Vec::new());
        while let Some(line) = next_line(&mut from, &mut line).await {
            lengths.push(line.len());
        }
        lengths
    }

    #[tokio::test]
    async fn lines_are_taken_one_by_one_and_the_last_needs_no_newline() {
        assert_eq!(lines_of(b"one\n\nthree\r\nlast").await, [3, 0, 5, 4]);
    }

    #[tokio::test]
    async fn a_line_without_end_comes_in_bounded_pieces() {
        let long = vec![b'x'; LINE_BYTES_MAX as usize + 10];
        assert_eq!(lines_of(&long).await, [LINE_BYTES_MAX as usize, 10]);
    }

    #[test]
    fn colours_are_only_for_terminals() {
        let plain = Terminal { coloured: false };
        assert_eq!(plain.prefixed("node-1", 32, b"up"), b"node-1 | up\n");
        let coloured = Terminal { coloured: true };
        let line = coloured.prefixed("node-1", 32, b"up");
        assert_eq!(line, b"\x1b[32mnode-1 |\x1b[0m up\n");
    }
}
