//! A stream whose other side has to read: who asks and then reads nothing would keep a place, and the
//! memory of its answer, for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Fails when something has waited to be written for `limit`, and nothing of it could be. A stream that has
/// nothing to write may be silent for as long as it likes.
#[derive(Debug)]
pub(crate) struct Stall<S> {
    stream: S,
    limit: Duration,
    /// While something waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Stall<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waiting: None,
        }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_stands_still_ends_the_stream_after_the_limit() {
        let (near, _far) = tokio::io::duplex(16);
        let limit = Duration::from_millis(50);
        let began = std::time::Instant::now();
        let written = Stall::new(near, limit).write_all(&[0; 17]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= limit);
    }

    /// All together takes longer than the limit, no part of it does.
    #[tokio::test]
    async fn a_reader_that_reads_now_and_then_may_take_as_long_as_it_likes() {
        let (near, mut far) = tokio::io::duplex(16);
        let limit = Duration::from_secs(3);
        let reader = tokio::spawn(async move {
            let mut bytes = [0; 16];
            for _ in 0..10 {
                tokio::time::sleep(limit / 8).await;
                far.read_exact(&mut bytes).await.unwrap();
            }
        });
        let began = std::time::Instant::now();
        let written = Stall::new(near, limit).write_all(&[0; 160]).await;
        assert!(written.is_ok());
        assert!(began.elapsed() > limit);
        reader.await.unwrap();
    }
}
