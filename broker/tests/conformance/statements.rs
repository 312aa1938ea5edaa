//! The lists of statements, from the files beside.

use std::{collections::BTreeMap, fmt, fs, path::Path};

/// The standard that a statement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V5,
    V3_1_1,
}

/// A statement: the same id is another statement in the other version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub version: Version,
    /// Without `MQTT-`, as `3.1.2-22`.
    pub id: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Version::V5 => write!(f, "[MQTT-{}]", self.id),
            Version::V3_1_1 => write!(f, "3.1.1 [MQTT-{}]", self.id),
        }
    }
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Server,
    Client,
    Both,
    /// Servers that do what this one never does: the clause says what.
    Moot,
}

/// One normative statement.
pub struct Statement {
    pub key: Key,
    pub bound: Bound,
    /// The statement of 5.0 with the same rule.
    pub same_as: Option<Key>,
    /// What it says, in our own words.
    pub clause: String,
}

/// All statements of both standards, in their order.
pub fn all() -> Vec<Statement> {
    let v5 = rows("mqtt-5.0.txt").into_iter().map(|cells| {
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        let [id, bound, clause] = cells[..] else {
            panic!("three cells: {cells:?}");
        };
        statement(Version::V5, id, bound, "-", clause)
    });
    let v3_1_1 = rows("mqtt-3.1.1.txt").into_iter().map(|cells| {
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        let [id, bound, same_as, clause] = cells[..] else {
            panic!("four cells: {cells:?}");
        };
        statement(Version::V3_1_1, id, bound, same_as, clause)
    });
    v5.chain(v3_1_1).collect()
}

/// Statements that bind the server and are not shown yet, with the reason.
pub fn not_shown() -> BTreeMap<Key, String> {
    rows("not-shown.txt")
        .into_iter()
        .map(|cells| {
            let cells: Vec<_> = cells.iter().map(String::as_str).collect();
            let [version, id, reason] = cells[..] else {
                panic!("three cells: {cells:?}");
            };
            let version = match version {
                "5.0" => Version::V5,
                "3.1.1" => Version::V3_1_1,
                _ => panic!("no version: {version}"),
            };
            let id = id.to_owned();
            (Key { version, id }, reason.to_owned())
        })
        .collect()
}

/// The cells of each line of a list. Read while the test runs: a changed list needs no compiler.
fn rows(file: &str) -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let text = fs::read_to_string(folder.join(file)).expect("a list of statements");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

fn statement(version: Version, id: &str, bound: &str, same_as: &str, clause: &str) -> Statement {
    let bound = match bound {
        "server" => Bound::Server,
        "client" => Bound::Client,
        "both" => Bound::Both,
        "moot" => Bound::Moot,
        _ => panic!("{id} binds {bound}"),
    };
    let same_as = (same_as != "-").then(|| Key {
        version: Version::V5,
        id: same_as.to_owned(),
    });
    Statement {
        key: Key {
            version,
            id: id.to_owned(),
        },
        bound,
        same_as,
        clause: clause.to_owned(),
    }
}
