//! What the operating system says about the machine: load, memory, the data directory's file
//! system, boot time. Read from `/proc` and `statvfs`; what cannot be read is 0, because a missing
//! reading must not make a node look dead.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::node::Machine;

/// Reads everything now. `data_dir` is any path on the file system to report. Blocks for some
/// microseconds; longer only when the disk hangs, so call it where blocking is allowed.
pub fn read(data_dir: &Path) -> Machine {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let [load1, load5, load15] = parse_load(&load);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (memory_total_bytes, memory_free_bytes) = parse_memory(&memory);
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let (disk_total_bytes, disk_free_bytes) = disk(data_dir);
    Machine {
        boot_time_ms: boot_time_ms(&uptime, SystemTime::now()),
        load1,
        load5,
        load15,
        memory_total_bytes,
        memory_free_bytes,
        disk_total_bytes,
        disk_free_bytes,
    }
}

/// Memory that this process holds, in bytes; 0 when it cannot be read. Blocks for some microseconds.
pub fn resident_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    field_bytes(&status, "VmRSS:").unwrap_or(0)
}

fn parse_load(text: &str) -> [f64; 3] {
    let mut fields = text
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0));
    std::array::from_fn(|_| fields.next().unwrap_or(0.0))
}

/// Total and available bytes.
fn parse_memory(text: &str) -> (u64, u64) {
    let free = field_bytes(text, "MemAvailable:").or_else(|| field_bytes(text, "MemFree:"));
    let total = field_bytes(text, "MemTotal:");
    (total.unwrap_or(0), free.unwrap_or(0))
}

/// A line such as `MemFree:  100 kB`.
fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.trim_end_matches("kB").trim();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

fn boot_time_ms(uptime: &str, now: SystemTime) -> u64 {
    let first = uptime
        .split_whitespace()
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    let up = first.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let boot = up.and_then(|up| now.duration_since(UNIX_EPOCH).ok()?.checked_sub(up));
    boot.and_then(|boot| u64::try_from(boot.as_millis()).ok())
        .unwrap_or(0)
}

/// Total bytes and bytes that an ordinary user can still write.
fn disk(path: &Path) -> (u64, u64) {
    let Ok(stat) = rustix::fs::statvfs(path) else {
        return (0, 0);
    };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    (bytes(stat.f_blocks), bytes(stat.f_bavail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_averages_are_read() {
        assert_eq!(parse_load("0.52 1.25 2.00 1/123 4567\n"), [0.52, 1.25, 2.0]);
        assert_eq!(parse_load("garbage"), [0.0; 3]);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:  2000 kB\nMemFree:  100 kB\nMemAvailable:  700 kB\n";
        assert_eq!(parse_memory(text), (2000 * 1024, 700 * 1024));
        assert_eq!(parse_memory("MemTotal: 18446744073709551615 kB"), (0, 0));
    }

    #[test]
    fn boot_time_is_now_less_uptime() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(boot_time_ms("400.50 3.2", now), 599_500);
        assert_eq!(boot_time_ms("5000.0", now), 0);
        assert_eq!(boot_time_ms("-1", now), 0);
    }

    #[test]
    fn this_process_holds_memory() {
        assert!(resident_memory_bytes() > 100_000);
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let machine = read(Path::new("."));
        assert!(machine.memory_total_bytes >= machine.memory_free_bytes);
        assert!(machine.disk_total_bytes > 0 && machine.boot_time_ms > 0);
    }

    #[test]
    fn a_directory_that_is_gone_is_no_failure() {
        assert_eq!(read(Path::new("/nonexistent/x")).disk_total_bytes, 0);
    }
}
