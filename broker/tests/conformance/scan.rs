//! Finds the ids in the sources, and whether each stands in code or in a test.
//!
//! The sources are formatted, so a function ends at the first line that is a brace as far in as it began.

use super::statements::{Key, Version};
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// Folders of the workspace that have sources.
const FOLDERS: [&str; 5] = ["api", "broker", "cluster-tests", "proto", "raft-store"];

/// Its examples of ids are none.
const NOT_READ: &str = "broker/tests/conformance";

/// Where an id stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Code,
    /// In a test, its doc comment, or a table or function that the test names.
    Test(String),
    /// In a file of tests, outside of each.
    BesideTests,
}

/// One id in one line.
pub struct Mention {
    pub key: Key,
    /// From the root of the repository.
    pub file: PathBuf,
    pub line: usize,
    pub place: Place,
}

/// A test and the lines that belong to it.
struct Test {
    name: String,
    lines: Range<usize>,
}

impl Test {
    /// Whether it uses something of its file.
    fn names(&self, lines: &[&str], item: &str) -> bool {
        let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
        let words = lines[self.lines.clone()].iter();
        words
            .flat_map(|line| line.split(|c| !is_of_name(c)))
            .any(|word| word == item)
    }
}

/// Name of the constant or function in which a line is, or whose comment it is.
fn item_at<'t>(lines: &[&'t str], line: usize) -> Option<&'t str> {
    let above = lines[..=line].iter().rev();
    let above = above.take_while(|l| **l != "}" && **l != "];");
    let below = lines[line..]
        .iter()
        .take_while(|l| l.starts_with("//") || !l.starts_with(' '));
    above.chain(below).find_map(|line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let is_head = !line.starts_with([' ', '/']);
        is_head.then(|| words.find(|word| ["fn", "const"].contains(word)))??;
        words.find(|word| !word.is_empty())
    })
}

/// All ids in all sources.
pub fn mentions(root: &Path) -> Vec<Mention> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(root, Path::new(folder), &mut files);
    }
    files.sort();
    let read = |file: &PathBuf| fs::read_to_string(root.join(file)).expect("a source");
    files
        .iter()
        .flat_map(|file| in_file(file, &read(file)))
        .collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    if folder == Path::new(NOT_READ) {
        return;
    }
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            if entry.file_name() != "target" {
                collect(root, &path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn in_file(file: &Path, text: &str) -> Vec<Mention> {
    let tests = tests(text);
    let first_test_line = match is_test_file(file) {
        true => 0,
        false => test_module(text),
    };
    let lines: Vec<_> = text.lines().collect();
    ids(text)
        .into_iter()
        .map(|(key, line)| {
            let own = tests.iter().find(|test| test.lines.contains(&line));
            let test = own.or_else(|| {
                let item = item_at(&lines, line).filter(|_| line >= first_test_line)?;
                tests.iter().find(|test| test.names(&lines, item))
            });
            let place = match test {
                Some(test) => Place::Test(test.name.clone()),
                None if line >= first_test_line => Place::BesideTests,
                None => Place::Code,
            };
            let file = file.to_owned();
            Mention {
                key,
                file,
                line: line + 1,
                place,
            }
        })
        .collect()
}

fn is_test_file(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    file.iter().any(|part| part == "tests") || matches!(name, Some("tests.rs" | "testing.rs"))
}

/// The line at which the tests of a file of code begin.
fn test_module(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_start = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {");
    lines.windows(2).position(is_start).unwrap_or(usize::MAX)
}

/// The tests of a file that run; ignored ones show nothing.
fn tests(text: &str) -> Vec<Test> {
    let lines: Vec<_> = text.lines().collect();
    let is_attribute = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("#[test]") || line.starts_with("#[tokio::test")
    };
    let attributes = lines.iter().enumerate().filter(|(_, l)| is_attribute(l));
    attributes
        .filter_map(|(at, _)| test_at(&lines, at))
        .collect()
}

fn test_at(lines: &[&str], attribute: usize) -> Option<Test> {
    let is_preamble = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let above = lines[..attribute]
        .iter()
        .rev()
        .take_while(|l| is_preamble(l));
    let start = attribute - above.count();
    let head = (attribute..lines.len()).find(|at| !is_preamble(&lines[*at]))?;
    let is_ignored = lines[start..head].iter().any(|l| l.contains("#[ignore"));
    let name = lines[head].split("fn ").nth(1)?;
    let name = name
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    let indent = lines[head].len() - lines[head].trim_start().len();
    let end = format!("{}}}", " ".repeat(indent));
    let end = (head..lines.len()).find(|at| lines[*at] == end)?;
    let name = name.to_owned();
    let lines = start..end + 1;
    (!is_ignored).then_some(Test { name, lines })
}

/// The ids of a text with their lines, counted from 0.
fn ids(text: &str) -> Vec<(Key, usize)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("[MQTT-") {
        let rest = &text[at + "[MQTT-".len()..];
        let Some(id) = rest.split(']').next().filter(|id| is_id(id)) else {
            continue;
        };
        let version = match is_marked_3_1_1(&text[..at]) {
            true => Version::V3_1_1,
            false => Version::V5,
        };
        let id = id.to_owned();
        let line = text[..at].matches('\n').count();
        found.push((Key { version, id }, line));
    }
    found
}

fn is_id(id: &str) -> bool {
    id.len() < 12 && id.contains('-') && id.chars().all(|c| c.is_ascii_digit() || ".-".contains(c))
}

/// Whether "3.1.1" stands before the id, perhaps on the line of comment above.
fn is_marked_3_1_1(before: &str) -> bool {
    let before = before.trim_end_matches(|c: char| "`/!".contains(c) || c.is_whitespace());
    before.ends_with("3.1.1")
}

#[test]
fn ids_are_told_apart_by_the_version_before_them() {
    let text = "// [MQTT-3.1.2-22], 3.1.1 [MQTT-3.1.2-24]\n/// 3.1.1\n/// `[MQTT-1.5.3-1]`";
    let found = ids(text)
        .into_iter()
        .map(|(key, line)| (key.to_string(), line));
    let expected = [
        ("[MQTT-3.1.2-22]", 0),
        ("3.1.1 [MQTT-3.1.2-24]", 0),
        ("3.1.1 [MQTT-1.5.3-1]", 2),
    ];
    assert!(found.eq(expected.map(|(key, line)| (key.to_owned(), line))));
}

#[test]
fn an_id_belongs_to_the_test_whose_lines_hold_it() {
    let text = "const ROWS: [u8; 1] = [\n    1, // [MQTT-1.5.4-4]\n];\n\n/// [MQTT-1.5.4-1]\n#[test]\nfn one() {\n    x(ROWS, \"[MQTT-1.5.4-2]\");\n}\n\n// [MQTT-1.5.4-3]\nfn aid() {\n}\n";
    let places = in_file(Path::new("a/tests/b.rs"), text);
    let places: Vec<_> = places.into_iter().map(|mention| mention.place).collect();
    let one = || Place::Test("one".to_owned());
    assert_eq!(places, [one(), one(), one(), Place::BesideTests]);
}

#[test]
fn an_ignored_test_shows_nothing() {
    let text = "/// [MQTT-1.5.4-1]\n#[test]\n#[ignore]\nfn one() {\n}\n";
    let places = in_file(Path::new("a/tests/b.rs"), text);
    assert!(
        places
            .iter()
            .all(|mention| mention.place == Place::BesideTests)
    );
}
