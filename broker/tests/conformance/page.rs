//! The table of `docs/conformance.md`.

use super::{
    Shown, is_shown,
    statements::{Bound, Key, Statement, Version},
};
use std::{collections::BTreeMap, fmt::Write, path::Path};

const HEAD: &str = "\
# Conformance

Every normative statement of MQTT 5.0 and MQTT 3.1.1, by its id and in our own words, with the code that implements it
and the tests that would fail without it. Generated from the sources: `UPDATE_CONFORMANCE=1 cargo test -p raftmq --test
conformance`; the same test without it fails when a statement that binds the server has no code or no test, unless
`broker/tests/conformance/not-shown.txt` names it with the reason. That list may only become shorter.

*client* in place of a test: the statement binds clients only, and a server cannot break it; code and tests are named
where the broker checks it all the same, or keeps to it itself. *does not arise*: it binds servers that do what this one
never does. An id means one thing in 5.0 and another in 3.1.1. No statement concerns the reader of a standard only.
";

/// The whole page.
pub fn render(
    statements: &[Statement],
    shown: &BTreeMap<Key, Shown>,
    not_shown: &BTreeMap<Key, String>,
) -> String {
    let mut page = HEAD.to_owned();
    summary(&mut page, statements, shown);
    for version in [Version::V5, Version::V3_1_1] {
        write!(
            page,
            "\n## MQTT {}\n\n| id | what it says | code | tests |\n| --- | --- | --- | --- |\n",
            name(version)
        )
        .expect(STRING);
        for statement in statements.iter().filter(|s| s.key.version == version) {
            page.push_str(&row(
                statement,
                shown.get(&statement.key),
                not_shown.get(&statement.key),
            ));
        }
    }
    page
}

/// Writing into a `String` cannot fail.
const STRING: &str = "a String takes every write";

fn name(version: Version) -> &'static str {
    match version {
        Version::V5 => "5.0",
        Version::V3_1_1 => "3.1.1",
    }
}

fn summary(page: &mut String, statements: &[Statement], shown: &BTreeMap<Key, Shown>) {
    page.push_str("\n| | statements | bind the server | shown | not shown yet | bind clients only |\n| --- | --- | --- | --- | --- | --- |\n");
    for version in [Version::V5, Version::V3_1_1] {
        let of = || statements.iter().filter(|s| s.key.version == version);
        let server = of().filter(|s| s.bound.binds_server()).count();
        let done = of().filter(|s| s.bound.binds_server() && is_shown(s, shown));
        let done = done.count();
        let clients = of().filter(|s| s.bound == Bound::Client).count();
        writeln!(
            page,
            "| MQTT {} | {} | {server} | {done} | {} | {clients} |",
            name(version),
            of().count(),
            server - done
        )
        .expect(STRING);
    }
}

fn row(statement: &Statement, shown: Option<&Shown>, reason: Option<&String>) -> String {
    let code = shown.into_iter().flat_map(|shown| &shown.code);
    let code: Vec<_> = code.map(|file| link(file)).collect();
    let tests = shown.into_iter().flat_map(|shown| &shown.tests);
    let mut tests: Vec<_> = tests.map(|(file, name)| test(file, name)).collect();
    match (statement.bound, reason) {
        (Bound::Client, _) => tests.insert(0, "*client*".to_owned()),
        (Bound::Moot, _) => tests.insert(0, "*does not arise*".to_owned()),
        (_, Some(reason)) => tests.insert(0, format!("**not shown yet**: {reason}")),
        (_, None) => {}
    }
    let (code, tests) = (code.join(", "), tests.join(", "));
    format!(
        "| {} | {} | {code} | {tests} |\n",
        statement.key.id, statement.clause
    )
}

fn test(file: &Path, name: &str) -> String {
    format!("[{name}](../{})", file.display())
}

/// The file by the last two parts of its path, as many are called `mod.rs` or `tests.rs`.
fn link(file: &Path) -> String {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    let last = parts[parts.len().saturating_sub(2)..].join("/");
    format!("[{last}](../{})", file.display())
}
