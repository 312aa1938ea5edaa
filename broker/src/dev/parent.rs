//! The other side of the lifeline: a node that ends with the process that started it.

use std::future::Future;
use std::io::{self, Read};
use std::time::Duration;

use tokio::sync::oneshot;

/// A node that has not stopped this long after its parent was gone is ended without ceremony:
/// nobody is left who could do it.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Completes when standard input ends, which is when the parent that holds the other side of the
/// pipe is gone, whatever ended it. The node should then stop as for SIGTERM; 60 s later the
/// process ends in any case, with status 1.
///
/// Starts one thread, which reads and forgets what comes; call it once.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn parent_gone() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (gone, parent_is_gone) = oneshot::channel();
    std::thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            read_to_end(io::stdin().lock());
            // The receiver is dropped when the node is stopping already.
            let _ = gone.send(());
            std::thread::sleep(STOP_WITHIN);
            std::process::exit(1);
        })?;
    Ok(async move {
        // The sender is dropped only with the process.
        let _ = parent_is_gone.await;
    })
}

fn read_to_end(mut from: impl Read) {
    let mut forgotten = [0; 256];
    loop {
        match from.read(&mut forgotten) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
