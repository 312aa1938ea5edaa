//! Reading a plugin's file.

use serde::de::DeserializeOwned;
use std::{io, path::Path};

/// A file beyond this is not a configuration, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The text of a file; an absent one is empty.
///
/// # Errors
/// It cannot be read.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let wrong = |error: io::Error| format!("{}: cannot be read: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(wrong(error)),
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            let bytes = found.len();
            let path = path.display();
            return Err(format!(
                "{path}: has {bytes} bytes, at most {FILE_BYTES_MAX} are read"
            ));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map_err(wrong)
}

/// TOML as the plugin's settings.
///
/// # Errors
/// The line, and what is wrong there; not the value that stands there, which may be a secret.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = without_value(error.message());
        format!("line {}: {message}", line_of(text, at))
    })
}

/// serde's complaints about a value of the wrong type repeat it: `invalid type: string "x", expected u8`.
fn without_value(message: &str) -> String {
    let complains = ["invalid type: ", "invalid value: "];
    let found = complains.iter().any(|begin| message.starts_with(begin));
    let value = message.find(['"', '`']).filter(|_| found);
    match (value, message.rfind(", expected ")) {
        (Some(value), Some(rest)) if value < rest => {
            format!("{}{}", message[..value].trim_end(), &message[rest..])
        }
        _ => message.to_owned(),
    }
}

/// The line of a place in the text, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// A duration as `"10s"`, `"500ms"`, `"5m"`, `"2h"` or `"1d"`.
///
/// # Errors
/// It is none.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("{text:?} is no duration; write for example \"10s\", \"5m\" or \"2h\"");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let total = number.checked_mul(milliseconds).ok_or_else(wrong)?;
    Ok(std::time::Duration::from_millis(total))
}

/// A size as `"64KB"`, `"1MB"`, `"1GB"`, with `KiB` and so on meaning the same: powers of two.
///
/// # Errors
/// It is none.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write for example \"64KB\" or \"1MB\"");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[allow(dead_code, reason = "only whether it can be read is tested")]
        number: u8,
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let wrong = parse::<Settings>("number = 1\n\nnumbr = 2\n").expect_err("unknown");
        assert!(wrong.starts_with("line 3: "), "{wrong}");
        let wrong = parse::<Settings>("number = 'x'\n").expect_err("a text");
        assert!(wrong.starts_with("line 1: "), "{wrong}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        for value in [
            "\"s3cret, expected s3cret\"",
            "53.3",
            "{ s3cret = 's3cret' }",
        ] {
            let wrong = parse::<Settings>(&format!("number = {value}\n")).expect_err("no number");
            assert!(
                !wrong.contains("s3cret") && !wrong.contains("53"),
                "{wrong}"
            );
            assert!(wrong.ends_with(", expected u8"), "{wrong}");
        }
    }

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert!(duration("soon").is_err());
        assert!(duration("99999999999999999999d").is_err());
        assert_eq!(bytes("1MB"), Ok(1 << 20));
        assert_eq!(bytes("10"), Ok(10));
        assert!(bytes("1XB").is_err());
    }

    #[test]
    fn an_absent_file_is_an_empty_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(text(&dir.path().join("none.toml")), Ok(String::new()));
        assert!(text(dir.path()).is_err());
    }
}
