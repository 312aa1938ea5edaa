//! What one client may send in a second: messages, and bytes. Nothing is dropped for it: a client that has used up
//! its second is not read from until there is room, which TCP tells it.

use std::time::Instant;

/// The limits, for a listener's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// 0: none.
    messages_per_second: u32,
    /// 0: none.
    bytes_per_second: usize,
}

impl RateLimits {
    /// `None`: neither is limited.
    pub fn new(messages_per_second: u32, bytes_per_second: usize) -> Option<RateLimits> {
        (messages_per_second > 0 || bytes_per_second > 0).then_some(RateLimits {
            messages_per_second,
            bytes_per_second,
        })
    }
}

/// What one client has left.
#[derive(Debug)]
pub struct ClientRate {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl ClientRate {
    /// With a second's worth.
    pub fn new(limits: RateLimits, now: Instant) -> ClientRate {
        let messages = f64::from(limits.messages_per_second);
        ClientRate {
            messages: Bucket::new(messages, now),
            bytes: Bucket::new(limits.bytes_per_second as f64, now),
        }
    }

    /// Whether a message may be taken now.
    pub fn has_message(&mut self, now: Instant) -> bool {
        self.messages
            .as_mut()
            .is_none_or(|bucket| bucket.at(now) >= 1.0)
    }

    /// A message was taken.
    pub fn took_message(&mut self) {
        if let Some(bucket) = &mut self.messages {
            bucket.tokens -= 1.0;
        }
    }

    /// So much was read; it may be more than there was room for.
    pub fn took_bytes(&mut self, bytes: usize) {
        if let Some(bucket) = &mut self.bytes {
            bucket.tokens -= bytes as f64;
        }
    }

    /// Whether anything may be read now.
    pub fn may_read(&mut self, now: Instant) -> bool {
        let has_bytes = self
            .bytes
            .as_mut()
            .is_none_or(|bucket| bucket.at(now) > 0.0);
        has_bytes && self.has_message(now)
    }
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn new(per_second: f64, now: Instant) -> Option<Bucket> {
        (per_second > 0.0).then_some(Bucket {
            per_second,
            tokens: per_second,
            filled_at: now,
        })
    }

    /// What is in it now.
    fn at(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        self.filled_at = now;
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn messages_wait_for_their_second() {
        let now = Instant::now();
        let limits = RateLimits::new(2, 0).expect("a limit");
        let mut rate = ClientRate::new(limits, now);
        for _ in 0..2 {
            assert!(rate.has_message(now));
            rate.took_message();
        }
        assert!(!rate.has_message(now));
        assert!(!rate.may_read(now + Duration::from_millis(400)));
        assert!(rate.may_read(now + Duration::from_millis(510)));
    }

    #[test]
    fn what_was_read_beyond_the_limit_is_waited_for() {
        let now = Instant::now();
        let mut rate = ClientRate::new(RateLimits::new(0, 1_000).expect("a limit"), now);
        rate.took_bytes(3_000);
        assert!(!rate.may_read(now + Duration::from_millis(1_990)));
        assert!(rate.may_read(now + Duration::from_millis(2_010)));
        assert!(RateLimits::new(0, 0).is_none());
    }
}
