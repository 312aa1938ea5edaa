//! The terminal while something is redrawn in place: keys arrive as they are pressed, the cursor is
//! hidden, and everything is as before when it is over, however it is over.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, Read, Write};
use tokio::sync::oneshot;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// To the upper left corner; each line is cleared as it is written, the rest at the end. So nothing
/// flickers.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J";

/// Where frames are drawn.
pub struct Screen {
    /// `None`: standard output is no terminal, frames follow each other.
    is_terminal: bool,
    /// How the keyboard was before; `None`: standard input is no terminal.
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal, if there is one.
    pub fn take() -> Screen {
        let is_terminal = isatty(io::stdout());
        let before = keys_one_by_one();
        if is_terminal {
            write(&format!("{HIDE_CURSOR}{CLEAR_ALL}")).ok();
        }
        Screen {
            is_terminal,
            before,
        }
    }

    /// Shows a frame in the place of the one before.
    pub fn draw(&self, frame: &str) -> io::Result<()> {
        match self.is_terminal {
            true => write(&format!(
                "{HOME}{}{CLEAR_REST}",
                frame.replace('\n', CLEAR_LINE)
            )),
            false => write(frame),
        }
    }

    /// Resolves when `q` is pressed; never when there is no keyboard.
    pub async fn quit_pressed(&self) {
        let (pressed, seen) = oneshot::channel();
        let is_watched = self.before.is_some()
            && std::thread::Builder::new()
                .name("keys".to_owned())
                .spawn(move || wait_for_q(pressed))
                .is_ok();
        if !is_watched || seen.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        if self.is_terminal {
            write(SHOW_CURSOR).ok();
        }
    }
}

/// Keys without Enter and without echo; Ctrl-C stays the signal that it is.
fn keys_one_by_one() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut mode = before.clone();
    mode.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &mode).ok()?;
    Some(before)
}

fn wait_for_q(pressed: oneshot::Sender<()>) {
    let mut key = [0];
    while let Ok(1) = io::stdin().lock().read(&mut key) {
        if key == *b"q" {
            let _ = pressed.send(());
            return;
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
