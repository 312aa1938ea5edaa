//! Numbered messages: what arrived, what is missing, what came twice, what came late.

use std::time::Duration;

use bytes::Bytes;

use crate::client::{Client, Message};
use crate::wait::within;

/// The payload of the message with this number.
#[must_use]
pub fn numbered(number: u64) -> Bytes {
    Bytes::from(number.to_string())
}

/// The number in a payload made by [`numbered`].
///
/// # Panics
/// When it has none.
#[must_use]
pub fn number_of(message: &Message) -> u64 {
    let number = std::str::from_utf8(&message.payload)
        .ok()
        .and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {message:?}"))
}

/// The numbers in the order of their arrival.
#[derive(Debug, Default)]
pub struct NumberedStream {
    numbers: Vec<u64>,
}

impl NumberedStream {
    /// Receives until the number `last` has come.
    ///
    /// # Panics
    /// When it has not before the deadline.
    pub async fn receive(client: &mut Client, last: u64, deadline: Duration) -> Self {
        let mut stream = Self::default();
        let what = format!("message {last} for {}", client.id());
        within(&what, deadline, async {
            while stream.numbers.last() != Some(&last) {
                let message = client.next_message(deadline).await;
                stream.numbers.push(number_of(&message));
            }
        })
        .await;
        stream
    }

    /// Takes a message in.
    pub fn push(&mut self, message: &Message) {
        self.numbers.push(number_of(message));
    }

    /// Appends what arrived on another connection.
    pub fn extend(&mut self, later: &Self) {
        self.numbers.extend(&later.numbers);
    }

    /// All numbers in the order of their arrival.
    #[must_use]
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Checks that exactly `0..count` came, each once and in order.
    ///
    /// # Panics
    /// At the first message that is not the expected one.
    pub fn assert_exactly(&self, count: u64) {
        for (expected, &number) in (0..).zip(&self.numbers) {
            assert_eq!(
                number, expected,
                "message {number} came in place of {expected}"
            );
        }
        assert_eq!(self.numbers.len() as u64, count, "number of messages");
    }

    /// Checks that each number is greater than the one before: in order, none twice; some may be missing.
    ///
    /// # Panics
    /// At the first message that is not.
    pub fn assert_ascending(&self) {
        for pair in self.numbers.windows(2) {
            assert!(
                pair[0] < pair[1],
                "message {} came after {}",
                pair[1],
                pair[0]
            );
        }
    }

    /// Checks that every one of these numbers came, however often.
    ///
    /// # Panics
    /// When one is missing.
    pub fn assert_contains(&self, numbers: &[u64]) {
        let arrived: std::collections::BTreeSet<_> = self.numbers.iter().collect();
        let missing: Vec<_> = numbers
            .iter()
            .filter(|number| !arrived.contains(number))
            .collect();
        assert!(
            missing.is_empty(),
            "{} missing, first {:?}",
            missing.len(),
            missing.first()
        );
    }
}
