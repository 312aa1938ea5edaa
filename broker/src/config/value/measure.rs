//! Numbers with a unit: durations and sizes.

use std::time::Duration;

use super::number::{check_range, number_and_unit};
use super::{Input, Raw, Value};
use crate::config::origin::Problem;
use crate::config::settings::Range;
use crate::config::types::ByteCount;

/// From the longest to the shortest, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// In bytes; powers of 1024 and powers of 1000, as the standard prefixes say.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*scale)
}

fn show_duration(milliseconds: u64) -> String {
    let (unit, scale) = DURATION_UNITS
        .into_iter()
        .find(|(_, scale)| milliseconds != 0 && milliseconds.is_multiple_of(*scale))
        .unwrap_or(("s", 1_000));
    format!("{}{unit}", milliseconds / scale)
}

impl Value for Duration {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        let wanted = "a duration with its unit, such as \"1500ms\", \"10s\" or \"2h\" (units ms, s, m, h, d)";
        let milliseconds = input
            .text()
            .and_then(|text| scaled(text, &DURATION_UNITS))
            .ok_or_else(|| vec![mistyped(input, wanted)])?;
        check_range(input, milliseconds, range, show_duration)?;
        *self = Self::from_millis(milliseconds);
        Ok(())
    }

    fn show(&self) -> Option<String> {
        let milliseconds = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        Some(format!("\"{}\"", show_duration(milliseconds)))
    }

    fn kind(&self) -> String {
        "duration".to_owned()
    }

    fn bound(&self, bound: u64) -> String {
        show_duration(bound)
    }
}

impl Value for ByteCount {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        let wanted = "a size, such as \"64KiB\" or \"1MiB\" (units B, KiB, MiB, GiB, kB, MB, GB)";
        let number = match &input.raw {
            Raw::Integer(number) => u64::try_from(*number).ok(),
            _ => input.text().and_then(|text| scaled(text, &SIZE_UNITS)),
        };
        let number = number.ok_or_else(|| vec![mistyped(input, wanted)])?;
        check_range(input, number, range, |bound| self.bound(bound))?;
        *self = Self(usize::try_from(number).unwrap_or(usize::MAX));
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }

    fn kind(&self) -> String {
        "size".to_owned()
    }

    fn bound(&self, bound: u64) -> String {
        Self(usize::try_from(bound).unwrap_or(usize::MAX)).to_string()
    }
}

/// The complaint that shows the text, also when its type was right.
fn mistyped(input: &Input, wanted: &str) -> Problem {
    match (&input.raw, input.text()) {
        (_, Some(text)) => input.problem(format!("expected {wanted}, found {text:?}")),
        (Raw::Integer(number), _) => input.problem(format!("expected {wanted}, found {number}")),
        _ => input.expected(wanted),
    }
}
