//! Integers, numbers and booleans.

use super::{Input, Raw, Value, in_range};
use crate::config::origin::Problem;
use crate::config::settings::Range;

fn integer(input: &Input) -> Result<i128, Problem> {
    let number = match &input.raw {
        Raw::Integer(number) => Some(*number),
        Raw::Word(word) => word.replace('_', "").parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| input.expected("an integer"))
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
                let number = integer(input).map_err(|problem| vec![problem])?;
                let range = range.unwrap_or((<$type>::MIN as u64, <$type>::MAX as u64));
                let (low, high) = (i128::from(range.0), i128::from(range.1));
                match <$type>::try_from(number) {
                    Ok(fits) if (low..=high).contains(&number) => *self = fits,
                    _ => {
                        let message = format!("{number} is out of range: {low} to {high}");
                        return Err(vec![input.problem(message)]);
                    }
                }
                Ok(())
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn kind(&self) -> String {
                "integer".to_owned()
            }
        }
    )+};
}

integers!(u8, u16, u32, u64, usize);

impl Value for f64 {
    fn read(&mut self, input: &Input, range: Option<Range>) -> Result<(), Vec<Problem>> {
        let number = match &input.raw {
            Raw::Float(number) => Some(*number),
            Raw::Integer(number) => Some(*number as Self),
            Raw::Word(word) => word.parse().ok(),
            _ => None,
        };
        let number = number
            .filter(|number| number.is_finite())
            .ok_or_else(|| vec![input.expected("a number")])?;
        let (low, high) = range.unwrap_or((0, u64::from(u32::MAX)));
        if !(low as Self..=high as Self).contains(&number) {
            let message = format!("{number} is out of range: {low} to {high}");
            return Err(vec![input.problem(message)]);
        }
        *self = number;
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn kind(&self) -> String {
        "number".to_owned()
    }
}

impl Value for bool {
    fn read(&mut self, input: &Input, _range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = match &input.raw {
            Raw::Bool(value) => *value,
            Raw::Word(word) if word == "true" => true,
            Raw::Word(word) if word == "false" => false,
            _ => return Err(vec![input.expected("true or false")]),
        };
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn kind(&self) -> String {
        "boolean".to_owned()
    }
}

/// Splits `"10s"` into its number and its unit.
pub(super) fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// The range check of a measure, as a problem at its input.
pub(super) fn check_range(
    input: &Input,
    number: u64,
    range: Option<Range>,
    show: impl Fn(u64) -> String,
) -> Result<(), Vec<Problem>> {
    in_range(number, range, show).map_err(|message| vec![input.problem(message)])
}
