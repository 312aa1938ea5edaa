//! The file layer: TOML with the place of every value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::load::{FILE_VARIABLE, Layers, Sources};
use super::origin::{Origin, Problem};
use super::settings::{GROUPS, Setting};
use super::suggest::{closest, hint};
use super::value::{Input, Raw};
use super::{SETTINGS, listener};

/// A file beyond this is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file to read, if one is named.
pub(super) fn path(sources: &Sources) -> Option<PathBuf> {
    let named = |(name, value): &&(std::ffi::OsString, std::ffi::OsString)| {
        name == FILE_VARIABLE && !value.is_empty()
    };
    let from_environment = || sources.environment.iter().find(named);
    let variable = || from_environment().map(|(_, value)| PathBuf::from(value));
    sources.file.clone().or_else(variable)
}

/// Reads the file into the layers.
pub(super) fn read(path: &Path, layers: &mut Layers) {
    let name: Arc<str> = path.display().to_string().into();
    match text_of(path) {
        Ok(text) => read_text(&Place::new(name, &text), layers),
        Err(message) => {
            let problem = Problem::new(Origin::WholeFile(name), message);
            layers.problems.push(problem);
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!(
            "is {length} bytes long; at most {FILE_BYTES_MAX} are read"
        ));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        format!("is not UTF-8 (at byte {offset})")
    })
}

/// Turns byte offsets of the text into lines and columns.
struct Place<'t> {
    path: Arc<str>,
    text: &'t str,
}

impl<'t> Place<'t> {
    fn new(path: Arc<str>, text: &'t str) -> Self {
        Self { path, text }
    }

    fn of(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count()
    }
}

/// What TOML itself does not allow is reported, and the rest is read nevertheless: one mistyped
/// quote must not hide the other mistakes. Only the lines that are broken are left out.
fn read_text(place: &Place<'_>, layers: &mut Layers) {
    let (document, errors) = DeTable::parse_recoverable(place.text);
    let broken: Vec<usize> = errors
        .iter()
        .filter_map(|error| error.span())
        .map(|span| place.line_of(span.start))
        .collect();
    for error in &errors {
        let at = place.of(error.span().map_or(0, |span| span.start));
        layers.problems.push(Problem::new(at, error.message()));
    }
    let mut reader = Reader {
        place,
        broken: &broken,
        layers,
    };
    reader.document(document.get_ref());
}

struct Reader<'r, 't> {
    place: &'r Place<'t>,
    broken: &'r [usize],
    layers: &'r mut Layers,
}

impl Reader<'_, '_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document.iter() {
            if self.is_broken(name.span().start) {
                continue;
            }
            if name.get_ref() == listener::GROUP {
                self.listeners(value);
                continue;
            }
            let known = GROUPS.iter().any(|group| group.name == name.get_ref());
            match (known, value.get_ref()) {
                (true, DeValue::Table(table)) => self.group(name.get_ref(), table),
                (true, _) => {
                    let name = name.get_ref();
                    let message = format!("{name:?} is a group of settings: write [{name}]");
                    self.complain(value.span().start, message);
                }
                (false, _) => {
                    let message = unknown_group(name.get_ref(), value.get_ref());
                    self.complain(name.span().start, message);
                }
            }
        }
    }

    /// `[listener.<name>]`, all of them.
    fn listeners(&mut self, all: &Spanned<DeValue<'_>>) {
        let wrong = "a listener has a name: write [listener.<name>]";
        let DeValue::Table(all_by_name) = all.get_ref() else {
            return self.complain(all.span().start, wrong.to_owned());
        };
        for (name, value) in all_by_name.iter() {
            let DeValue::Table(listener) = value.get_ref() else {
                self.complain(name.span().start, wrong.to_owned());
                continue;
            };
            for (field, value) in listener.iter() {
                if !self.is_broken(field.span().start) {
                    let key = format!("{}.{}", name.get_ref(), field.get_ref());
                    let input = self.input(value);
                    listener::set(self.layers, &key, &input);
                }
            }
        }
    }

    fn group(&mut self, group: &str, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            if self.is_broken(name.span().start) {
                continue;
            }
            match Setting::find(&format!("{group}.{}", name.get_ref())) {
                Some(setting) => {
                    let input = self.input(value);
                    self.layers.set(setting, &input);
                }
                None => {
                    let message = unknown_key(group, name.get_ref());
                    self.complain(name.span().start, message);
                }
            }
        }
    }

    fn is_broken(&self, offset: usize) -> bool {
        self.broken.contains(&self.place.line_of(offset))
    }

    fn complain(&mut self, offset: usize, message: String) {
        let problem = Problem::new(self.place.of(offset), message);
        self.layers.problems.push(problem);
    }

    fn input(&self, value: &Spanned<DeValue<'_>>) -> Input {
        let raw = match value.get_ref() {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or(Raw::Other("an integer beyond 128 bits"), Raw::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or(Raw::Other("a number"), Raw::Float),
            DeValue::Boolean(value) => Raw::Bool(*value),
            DeValue::Datetime(_) => Raw::Other("a date or time"),
            DeValue::Array(elements) => {
                Raw::List(elements.iter().map(|element| self.input(element)).collect())
            }
            DeValue::Table(fields) => Raw::Table(
                fields
                    .iter()
                    .map(|(name, value)| (name.get_ref().to_string(), self.input(value)))
                    .collect(),
            ),
        };
        let at = self.place.of(value.span().start);
        Input { at, raw }
    }
}

/// A key of the top level that is no group: a mistyped group, or a setting outside of its group.
fn unknown_group(name: &str, value: &DeValue<'_>) -> String {
    let groups = GROUPS.iter().map(|group| group.name);
    if value.is_table() {
        return format!("unknown group [{name}]{}", hint(name, groups));
    }
    match SETTINGS.iter().find(|setting| setting.name() == name) {
        Some(setting) => format!("{name:?} belongs under [{}]", setting.group()),
        None => format!("unknown key {name:?}{}", hint(name, groups)),
    }
}

fn unknown_key(group: &str, name: &str) -> String {
    let own = SETTINGS
        .iter()
        .filter(|setting| setting.group() == group)
        .map(Setting::name);
    let elsewhere = SETTINGS.iter().find(|setting| setting.name() == name);
    match (closest(name, own), elsewhere) {
        (_, Some(setting)) => format!(
            "unknown key {name:?} in [{group}]; it belongs under [{}]",
            setting.group()
        ),
        (Some(close), None) => {
            format!("unknown key {name:?} in [{group}]; did you mean {close:?}?")
        }
        (None, None) => format!("unknown key {name:?} in [{group}]"),
    }
}
