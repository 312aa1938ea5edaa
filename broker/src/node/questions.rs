//! Threads for what people and dashboards ask. A list of a hundred thousand clients is work for a tenth of a
//! second on every node: on the threads of Raft and links it would hold up heartbeats and messages, and on an equal
//! footing with the shards it would take their processors. So questions have threads of their own, and
//! these give way.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// One is for the short questions while the other one makes a long list.
const THREADS: usize = 2;
/// Niceness of these threads, 0 to 19 (least). With 10, a shard that wakes up has its processor at once, and
/// questions still have about a tenth of one when everything is busy: enough for load balancers.
const NICENESS: i32 = 10;

/// The threads. They end with this value; what they do then is not waited for.
pub(super) struct QuestionThreads(Option<Runtime>);

impl QuestionThreads {
    /// Starts them.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start() -> io::Result<QuestionThreads> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("questions")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        Ok(QuestionThreads(Some(runtime)))
    }

    /// What puts tasks there.
    pub fn handle(&self) -> Handle {
        let runtime = self.0.as_ref();
        runtime.map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for QuestionThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux niceness is a thread's own, and without a number it is the calling one's.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a thread for questions does not give way");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn questions_give_way_and_others_do_not() {
        let own = rustix::process::getpriority_process(None).expect("a niceness");
        let threads = QuestionThreads::start().expect("threads");
        let niceness = threads
            .handle()
            .spawn(async { rustix::process::getpriority_process(None).expect("a niceness") });
        assert_eq!(niceness.await.expect("an answer"), NICENESS);
        let after = rustix::process::getpriority_process(None);
        assert_eq!(after.expect("a niceness"), own);
    }
}
