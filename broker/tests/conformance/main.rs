//! Which code implements each normative statement of MQTT 5.0 and 3.1.1, and which test would fail without it.
//!
//! The statements are listed beside this file, in our own words. Sources and tests carry their ids in brackets:
//! those of MQTT 5.0 as they are, those of 3.1.1 behind "3.1.1", as the two standards use one id for
//! different things. `docs/conformance.md` is the table of all of it. With `UPDATE_CONFORMANCE=1` the test
//! writes it; otherwise it compares.

mod page;
mod scan;
mod statements;

use scan::{Mention, Place};
use statements::{Bound, Key, Statement};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// How many statements the standards have: the lists are whole.
const STATEMENTS_OF_V5: usize = 251;
const STATEMENTS_OF_V3_1_1: usize = 138;

/// Where the ids of each statement stand.
struct Shown {
    code: BTreeSet<PathBuf>,
    tests: BTreeSet<(PathBuf, String)>,
}

#[test]
fn the_lists_are_whole_and_name_each_statement_once() {
    let of = |version| {
        let all = statements::all();
        let keys = all.into_iter().map(|statement| statement.key);
        keys.filter(|key| key.version == version)
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(of(statements::Version::V5), STATEMENTS_OF_V5);
    assert_eq!(of(statements::Version::V3_1_1), STATEMENTS_OF_V3_1_1);
    assert_eq!(
        statements::all().len(),
        STATEMENTS_OF_V5 + STATEMENTS_OF_V3_1_1
    );
}

#[test]
fn every_id_in_the_sources_is_one_of_a_standard_and_in_a_test_belongs_to_one() {
    let known: BTreeSet<_> = statements::all().into_iter().map(|s| s.key).collect();
    let mut faults = Vec::new();
    for mention in scan::mentions(&root()) {
        let at = format!("{}:{}", mention.file.display(), mention.line);
        if !known.contains(&mention.key) {
            faults.push(format!("{at}: there is no {}", mention.key));
        }
        if mention.place == Place::BesideTests {
            faults.push(format!("{at}: {} belongs to no test", mention.key));
        }
    }
    assert!(faults.is_empty(), "\n  {}", faults.join("\n  "));
}

#[test]
fn every_statement_that_binds_the_server_has_code_and_a_test() {
    let listed = statements::not_shown();
    let shown = shown();
    let mut faults = Vec::new();
    for statement in statements::all() {
        let is_shown = is_shown(&statement, &shown);
        if !is_shown && statement.bound.binds_server() && !listed.contains_key(&statement.key) {
            faults.push(format!(
                "{}: {} [{}]",
                statement.key,
                what_is_missing(&statement, &shown),
                statement.clause
            ));
        }
        if is_shown && listed.contains_key(&statement.key) {
            faults.push(format!("{}: is shown now, and listed", statement.key));
        }
    }
    assert!(faults.is_empty(), "\n  {}", faults.join("\n  "));
    assert!(listed.is_empty(), "{} are not shown yet", listed.len());
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_sources() {
    let table = page::render(&statements::all(), &shown(), &statements::not_shown());
    let file = root().join("docs/conformance.md");
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&file, &table).expect("docs can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == table,
        "docs/conformance.md is not of these sources: UPDATE_CONFORMANCE=1 cargo test -p raftmq --test conformance"
    );
}

/// Places of all ids. The code of a statement of 3.1.1 is also that of the same rule of 5.0.
fn shown() -> BTreeMap<Key, Shown> {
    let mut shown: BTreeMap<Key, Shown> = BTreeMap::new();
    for Mention {
        key, file, place, ..
    } in scan::mentions(&root())
    {
        let entry = shown.entry(key).or_insert_with(Shown::nowhere);
        match place {
            Place::Code => drop(entry.code.insert(file)),
            Place::Test(name) => drop(entry.tests.insert((file, name))),
            Place::BesideTests => {}
        }
    }
    for statement in statements::all() {
        let Some(same) = statement.same_as else {
            continue;
        };
        let code = shown.get(&same).map(|shown| shown.code.clone());
        let entry = shown.entry(statement.key).or_insert_with(Shown::nowhere);
        entry.code.extend(code.unwrap_or_default());
    }
    shown
}

impl Shown {
    fn nowhere() -> Shown {
        Shown {
            code: BTreeSet::new(),
            tests: BTreeSet::new(),
        }
    }
}

fn is_shown(statement: &Statement, shown: &BTreeMap<Key, Shown>) -> bool {
    let places = shown.get(&statement.key);
    places.is_some_and(|places| !places.code.is_empty() && !places.tests.is_empty())
}

fn what_is_missing(statement: &Statement, shown: &BTreeMap<Key, Shown>) -> &'static str {
    match shown.get(&statement.key) {
        Some(places) if places.tests.is_empty() && !places.code.is_empty() => "no test has it",
        Some(places) if !places.tests.is_empty() => "no code has it",
        _ => "neither code nor a test has it",
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Bound {
    fn binds_server(self) -> bool {
        matches!(self, Bound::Server | Bound::Both)
    }
}
