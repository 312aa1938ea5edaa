//! Arrays of rows as JSON, written while they are sent.
//!
//! Ten thousand rows are megabytes of text. They are written a part at a time, each when the one before
//! has been taken by the connection, so an answer that its client reads slowly costs its rows and one
//! part. A row that cannot be written ends the body abnormally: an array that is silently shorter would
//! be believed.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;

use super::reply;

/// A part is closed as soon as it has this many bytes. An answer of one part is sent with its length.
const PART_BYTES: usize = 64 * 1024;

/// Appends one row as JSON.
pub(crate) type WriteRow<R> = fn(&R, &mut Vec<u8>) -> serde_json::Result<()>;

/// The rows as an array, status 200; 500 when not even the first part can be written.
pub(crate) fn rows<R: Send + 'static>(rows: Vec<R>, write: WriteRow<R>) -> Response {
    let mut parts = Parts {
        rows: rows.into_iter(),
        write,
        state: State::Begin,
    };
    match parts.next() {
        Some(Ok(first)) if parts.state == State::Ended => reply::json_body(first.into()),
        Some(Ok(first)) => reply::json_body(Body::from_stream(following(first, parts))),
        Some(Err(error)) => reply::unwritable(&error),
        None => reply::json_body("[]".into()),
    }
}

type Part = serde_json::Result<Bytes>;

/// The parts, each written when it is asked for. Other tasks get their turn before each.
fn following<R: Send + 'static>(
    first: Bytes,
    parts: Parts<R>,
) -> impl futures::Stream<Item = Part> + Send {
    stream::unfold((Some(first), parts), |(first, mut parts)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, parts)));
        }
        tokio::task::yield_now().await;
        let part = parts.next()?;
        if let Err(error) = &part {
            tracing::error!(%error, "a list was broken off: a row could not be written as JSON");
        }
        Some((part, (None, parts)))
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Within,
    Ended,
}

struct Parts<R> {
    rows: std::vec::IntoIter<R>,
    write: WriteRow<R>,
    state: State,
}

impl<R> Parts<R> {
    fn part(&mut self) -> Part {
        let mut out = Vec::with_capacity(PART_BYTES);
        while out.len() < PART_BYTES {
            let Some(row) = self.rows.next() else {
                out.extend_from_slice(match self.state {
                    State::Begin => b"[]",
                    _ => b"]",
                });
                self.state = State::Ended;
                break;
            };
            out.push(match self.state {
                State::Begin => b'[',
                _ => b',',
            });
            self.state = State::Within;
            (self.write)(&row, &mut out)?;
        }
        Ok(out.into())
    }
}

impl<R> Iterator for Parts<R> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.state == State::Ended {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.state = State::Ended;
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use futures::StreamExt;

    fn number(row: &u32, out: &mut Vec<u8>) -> serde_json::Result<()> {
        if *row == u32::MAX {
            return Err(serde::ser::Error::custom("no row"));
        }
        serde_json::to_writer(out, row)
    }

    async fn parts(response: Response) -> Vec<Result<Bytes, axum::Error>> {
        response.into_body().into_data_stream().collect().await
    }

    #[tokio::test]
    async fn an_array_is_whole_whatever_the_number_of_its_parts() {
        for count in [0, 1, 2, 50_000] {
            let all: Vec<u32> = (0..count).collect();
            let parts = parts(rows(all.clone(), number)).await;
            let text: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap()).collect();
            assert_eq!(serde_json::from_slice::<Vec<u32>>(&text).unwrap(), all);
        }
    }

    #[tokio::test]
    async fn a_long_array_comes_in_parts_of_bounded_size() {
        let parts = parts(rows((0..50_000).collect(), number)).await;
        assert!(parts.len() > 2);
        assert!(
            parts
                .iter()
                .flatten()
                .all(|part| part.len() < PART_BYTES + 16)
        );
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_written_is_500_or_ends_the_body_abnormally() {
        let short = rows(vec![1, u32::MAX], number);
        assert_eq!(short.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let mut all: Vec<u32> = (0..50_000).collect();
        all.push(u32::MAX);
        let parts = parts(rows(all, number)).await;
        let (last, before) = parts.split_last().unwrap();
        assert!(last.is_err() && before.iter().all(Result::is_ok));
    }
}
