//! Times as the HTTP API writes and reads them: local, `YYYY-MM-DD HH:MM:SS`.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Unix milliseconds of this machine's clock; 0 when it is before 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Unix milliseconds in local time; 0 (never) and what no calendar holds are empty.
pub(crate) fn local(ms: u64) -> String {
    let timestamp = i64::try_from(ms).ok().filter(|ms| *ms > 0);
    let timestamp = timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(String::new, |t| {
        t.to_zoned(TimeZone::system()).strftime(FORMAT).to_string()
    })
}

/// Unix seconds or local `YYYY-MM-DD HH:MM:SS`, as Unix seconds. `None`: neither, or before 1970.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds);
    }
    let time = DateTime::strptime(FORMAT, text).ok()?;
    let zoned = time.to_zoned(TimeZone::system()).ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}

/// Unix milliseconds as RFC 3339, UTC, in seconds; what no calendar holds is empty.
pub(crate) fn rfc3339(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(String::new, |timestamp| timestamp.to_string())
}

/// RFC 3339 as Unix milliseconds. `None`: it is none, or before 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let timestamp: Timestamp = text.parse().ok()?;
    u64::try_from(timestamp.as_millisecond()).ok()
}

/// `D days H hours, m minutes, s seconds`.
pub(crate) fn uptime(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    format!(
        "{days} days {} hours, {} minutes, {} seconds",
        hours % 24,
        minutes % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_written_is_read_back() {
        let text = local(1_658_674_891_999);
        assert_eq!(text.len(), 19, "{text}");
        assert_eq!(parse_seconds(&text), Some(1_658_674_891));
    }

    #[test]
    fn a_moment_is_written_for_the_whole_world() {
        assert_eq!(rfc3339(1_658_674_891_999), "2022-07-24T15:01:31Z");
        assert_eq!(
            parse_rfc3339("2022-07-24T17:01:31+02:00"),
            Some(1_658_674_891_000)
        );
        assert_eq!(parse_rfc3339("1969-01-01T00:00:00Z"), None);
        assert_eq!(parse_rfc3339("infinity"), None);
        assert_eq!(rfc3339(u64::MAX), "");
    }

    #[test]
    fn never_is_empty() {
        assert_eq!(local(0), "");
        assert_eq!(local(u64::MAX), "");
    }

    #[test]
    fn seconds_are_read_and_anything_else_is_not() {
        assert_eq!(parse_seconds("1658674891"), Some(1_658_674_891));
        for text in [
            "",
            "-1",
            "yesterday",
            "2022-07-24",
            "2022-13-24 00:00:00",
            "1.5",
        ] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn uptime_is_split_into_days_hours_minutes_and_seconds() {
        assert_eq!(uptime(515_763), "5 days 23 hours, 16 minutes, 3 seconds");
    }
}
