//! Strings, paths and secrets.

use std::path::PathBuf;

use super::address::read_list;
use super::{Input, Value, quoted};
use crate::config::origin::Problem;
use crate::config::settings::Range;
use crate::config::types::{LogFilter, Secret};

/// The text, if its length in bytes is within the range and it has no control characters. The
/// message never repeats the text.
fn plain_text(input: &Input, range: Option<Range>) -> Result<&str, Vec<Problem>> {
    let text = input
        .text()
        .ok_or_else(|| vec![input.expected("a string")])?;
    let (low, high) = range.unwrap_or((1, 4_096));
    let length = text.len() as u64;
    let message = if length < low {
        "must not be empty".to_owned()
    } else if length > high {
        format!("is {length} bytes long; at most {high} are possible")
    } else if text.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else {
        return Ok(text);
    };
    Err(vec![input.problem(message)])
}

impl Value for Option<String> {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = Some(plain_text(input, range)?.to_owned());
        Ok(())
    }

    fn show(&self) -> Option<String> {
        self.as_deref().map(quoted)
    }

    fn kind(&self) -> String {
        "string".to_owned()
    }

    fn range_unit(&self) -> &'static str {
        " bytes"
    }
}

impl Value for String {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = plain_text(input, range)?.to_owned();
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }

    fn kind(&self) -> String {
        "string".to_owned()
    }

    fn range_unit(&self) -> &'static str {
        " bytes"
    }
}

impl Value for Vec<String> {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = read_list(input, "names", |name| {
            plain_text(name, range).map(str::to_owned)
        })?;
        Ok(())
    }

    fn show(&self) -> Option<String> {
        let names: Vec<_> = self.iter().map(|name| quoted(name)).collect();
        Some(format!("[{}]", names.join(", ")))
    }

    fn kind(&self) -> String {
        "list of names".to_owned()
    }
}

impl Value for PathBuf {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = Self::from(plain_text(input, range)?);
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.display().to_string()))
    }

    fn kind(&self) -> String {
        "path".to_owned()
    }
}

impl Value for Option<PathBuf> {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = Some(PathBuf::from(plain_text(input, range)?));
        Ok(())
    }

    fn show(&self) -> Option<String> {
        let path = self.as_ref()?;
        Some(quoted(&path.display().to_string()))
    }

    fn kind(&self) -> String {
        "path".to_owned()
    }
}

impl Value for Option<Secret> {
    /// What a Bearer token may be made of is RFC 6750 §2.1; anything else could never arrive in a
    /// header.
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        let sendable = |c: char| c.is_ascii_graphic();
        let text = input
            .text()
            .ok_or_else(|| vec![input.problem("expected a string (the value is not shown)")])
            .and_then(|_| plain_text(input, range))?;
        if !text.chars().all(sendable) {
            let message = "must be printable ASCII without spaces (the value is not shown)";
            return Err(vec![input.problem(message)]);
        }
        *self = Some(Secret::new(text.to_owned()));
        Ok(())
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(|_| "\"(hidden)\"".to_owned())
    }

    fn kind(&self) -> String {
        "secret string".to_owned()
    }

    fn range_unit(&self) -> &'static str {
        " bytes"
    }
}

impl Value for LogFilter {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        let text = plain_text(input, range)?;
        crate::logging::check_filter(text).map_err(|message| vec![input.problem(message)])?;
        *self = Self(text.to_owned());
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }

    fn kind(&self) -> String {
        "filter".to_owned()
    }
}
