//! How the values of settings are read and shown: one implementation of [`Value`] per type.

mod address;
mod choice;
mod measure;
mod number;
mod optional;
mod peers;
mod text;

use super::origin::{Origin, Problem};
use super::settings::Range;

/// A value as a layer gave it, before its type is known.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub at: Origin,
    pub raw: Raw,
}

/// The forms a value can have in a layer.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// From the environment or the command line, which have no types.
    Word(String),
    /// A string of the file.
    Text(String),
    /// An integer of the file.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// An array; each element has its own place.
    List(Vec<Input>),
    /// A table within a list.
    Table(Vec<(String, Input)>),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

impl Raw {
    /// What it is, for "expected ..., found ...".
    fn kind(&self) -> &'static str {
        match self {
            Self::Word(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl Input {
    /// The text, of whichever layer.
    fn text(&self) -> Option<&str> {
        match &self.raw {
            Raw::Word(text) | Raw::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A problem at this place.
    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.at.clone(), message)
    }

    fn expected(&self, what: &str) -> Problem {
        self.problem(match &self.raw {
            Raw::Word(text) => format!("expected {what}, found {text:?}"),
            raw => format!("expected {what}, found {}", raw.kind()),
        })
    }
}

/// A type that a setting can have.
pub(super) trait Value {
    /// Takes the value of `input`, or says everything that is wrong with it; `self` is then
    /// unchanged.
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>>;

    /// As it would be written in the file; `None` when there is no value.
    fn show(&self) -> Option<String>;

    /// The name of the type, for the reference.
    fn kind(&self) -> String;

    /// A bound of the range, in the unit in which the value is written.
    fn bound(&self, bound: u64) -> String {
        bound.to_string()
    }

    /// What the bounds count, when that is not the value itself; begins with a space.
    fn range_unit(&self) -> &'static str {
        ""
    }
}

/// A string in double quotes, as TOML wants it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether `number` is within `range`, and what to say when it is not.
fn in_range(number: u64, range: Option<Range>, show: impl Fn(u64) -> String) -> Result<(), String> {
    match range {
        Some((low, high)) if number < low || number > high => Err(format!(
            "{} is out of range: {} to {}",
            show(number),
            show(low),
            show(high)
        )),
        _ => Ok(()),
    }
}
