//! Waiting for a state instead of sleeping.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a state is asked for.
const POLL: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives a value and returns that value.
///
/// # Panics
/// When `deadline` has passed; the message says `what` was awaited and why the last probe failed.
pub async fn eventually<T, P>(what: &str, deadline: Duration, mut probe: P) -> T
where
    P: AsyncFnMut() -> Result<T, String>,
{
    let end = Instant::now() + deadline;
    let mut last = String::from("the first probe did not finish");
    loop {
        match tokio::time::timeout_at(end.into(), probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => last = reason,
            Err(_) => {}
        }
        assert!(
            Instant::now() < end,
            "not within {deadline:?}: {what}; last: {last}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Awaits `future` for at most `deadline`.
///
/// # Panics
/// When `deadline` has passed; the message says `what` was awaited.
pub async fn within<F: Future>(what: &str, deadline: Duration, future: F) -> F::Output {
    match tokio::time::timeout(deadline, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_is_repeated_until_it_gives_a_value() {
        let mut calls = 0;
        let value = eventually("third call", Duration::from_secs(5), async || {
            calls += 1;
            if calls < 3 {
                Err("not yet".into())
            } else {
                Ok(calls)
            }
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "still empty")]
    async fn the_last_reason_is_told_when_the_deadline_has_passed() {
        eventually("something", Duration::from_millis(60), async || {
            Err::<(), _>("still empty".into())
        })
        .await;
    }
}
