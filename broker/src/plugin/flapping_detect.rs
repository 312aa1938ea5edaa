//! `rmqtt-flapping-detect`: a client that comes and goes all the time is banned for a while.
//!
//! ```toml
//! max_count = 15       # abnormal ends of connections that are put up with ...
//! window_time = "1m"   # ... in this time
//! ban_time = "5m"
//! ```
//!
//! Each node counts the connections that ended on it without DISCONNECT, by client identifier; the ban holds on
//! all of them. Who is remembered is bounded: while the table is full of clients that flap, others are not
//! counted, and `not_counted` says how often.

use super::{Extensions, Plugin, Prepared, file};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Clients that are remembered at once.
const CLIENTS_MAX: usize = 65_536;

pub(super) struct FlappingDetect;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    max_count: u32,
    window_time: String,
    ban_time: String,
}

impl Default for File {
    fn default() -> Self {
        Self {
            max_count: 15,
            window_time: "1m".into(),
            ban_time: "5m".into(),
        }
    }
}

struct PreparedDetector {
    detector: Arc<FlappingDetector>,
    config: Value,
}

impl Plugin for FlappingDetect {
    fn name(&self) -> &'static str {
        "rmqtt-flapping-detect"
    }

    fn description(&self) -> &'static str {
        "Clients whose connections break all the time are banned for a while"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        if settings.max_count == 0 {
            return Err("max_count is out of range: at least 1".into());
        }
        let detector = FlappingDetector::new(
            settings.max_count,
            given("window_time", &settings.window_time)?,
            given("ban_time", &settings.ban_time)?,
        );
        Ok(Box::new(PreparedDetector {
            detector: Arc::new(detector),
            config: json!(settings),
        }))
    }
}

fn given(name: &str, text: &str) -> Result<Duration, String> {
    let duration = file::duration(text).map_err(|problem| format!("{name}: {problem}"))?;
    match duration < Duration::from_secs(1) {
        true => Err(format!("{name} is out of range: at least 1s")),
        false => Ok(duration),
    }
}

impl Prepared for PreparedDetector {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({
            "clients": self.detector.recent.lock().len(),
            "banned": self.detector.banned.load(Relaxed),
            "not_counted": self.detector.not_counted.load(Relaxed),
        })
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.flapping = Some(self.detector.clone());
    }
}

/// Counts ends of connections. Its lock is taken when one ends abnormally, never for a message.
pub(crate) struct FlappingDetector {
    count_max: u32,
    window: Duration,
    ban_time: Duration,
    recent: Mutex<FxHashMap<Arc<str>, Recent>>,
    banned: AtomicU64,
    not_counted: AtomicU64,
}

/// What a client did lately.
struct Recent {
    since: Instant,
    count: u32,
}

impl FlappingDetector {
    fn new(count_max: u32, window: Duration, ban_time: Duration) -> FlappingDetector {
        FlappingDetector {
            count_max,
            window,
            ban_time,
            recent: Mutex::default(),
            banned: AtomicU64::new(0),
            not_counted: AtomicU64::new(0),
        }
    }

    /// A connection ended abnormally. The time for which its client is to be banned, if it is; its count
    /// begins anew then.
    pub fn connection_ended(&self, client_id: &Arc<str>, now: Instant) -> Option<Duration> {
        let mut recent = self.recent.lock();
        let is_past = |of: &Recent| now.duration_since(of.since) > self.window;
        if recent.len() >= CLIENTS_MAX && !recent.contains_key(client_id) {
            recent.retain(|_, of| !is_past(of));
            if recent.len() >= CLIENTS_MAX {
                self.not_counted.fetch_add(1, Relaxed);
                return None;
            }
        }
        let begin = || Recent {
            since: now,
            count: 0,
        };
        let of = recent.entry(client_id.clone()).or_insert_with(begin);
        if is_past(of) {
            *of = begin();
        }
        of.count += 1;
        if of.count <= self.count_max {
            return None;
        }
        recent.remove(client_id);
        self.banned.fetch_add(1, Relaxed);
        Some(self.ban_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);
    const BAN: Duration = Duration::from_secs(300);

    fn detector(count_max: u32) -> FlappingDetector {
        FlappingDetector::new(count_max, WINDOW, BAN)
    }

    #[test]
    fn one_end_more_than_are_put_up_with_is_a_ban() {
        let (detector, now) = (detector(2), Instant::now());
        let (c, d) = ("c".into(), "d".into());
        assert_eq!(detector.connection_ended(&c, now), None);
        assert_eq!(detector.connection_ended(&c, now), None);
        assert_eq!(detector.connection_ended(&d, now), None);
        assert_eq!(detector.connection_ended(&c, now + WINDOW), Some(BAN));
        assert_eq!(detector.connection_ended(&c, now + WINDOW), None, "anew");
    }

    #[test]
    fn what_was_longer_ago_does_not_count() {
        let (detector, now) = (detector(1), Instant::now());
        let client = "c".into();
        for minutes in 0..10 {
            let later = now + (WINDOW + Duration::from_secs(1)) * minutes;
            assert_eq!(detector.connection_ended(&client, later), None);
        }
    }

    #[test]
    fn who_is_remembered_is_bounded_and_forgotten_in_time() {
        let (detector, now) = (detector(1), Instant::now());
        for number in 0..CLIENTS_MAX {
            detector.connection_ended(&number.to_string().into(), now);
        }
        let one_more = "one more".into();
        detector.connection_ended(&one_more, now);
        assert_eq!(detector.connection_ended(&one_more, now), None);
        assert_eq!(detector.not_counted.load(Relaxed), 2);
        // Who is remembered is counted on, and makes room when it is banned.
        assert_eq!(detector.connection_ended(&"7".into(), now), Some(BAN));
        detector.connection_ended(&"in its place".into(), now);
        let later = now + WINDOW + Duration::from_secs(1);
        detector.connection_ended(&one_more, later);
        assert_eq!(detector.recent.lock().len(), 1, "the others are forgotten");
        assert_eq!(detector.connection_ended(&one_more, later), Some(BAN));
    }

    #[test]
    fn settings_are_held_to_their_ranges() {
        assert!(FlappingDetect.prepare("").is_ok());
        for wrong in [
            "max_count = 0",
            "window_time = '0s'",
            "ban_time = 'long'",
            "enable = true",
        ] {
            assert!(FlappingDetect.prepare(wrong).is_err(), "{wrong}");
        }
    }
}
