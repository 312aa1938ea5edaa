//! `docs/http-api.md`: its table has a row for every endpoint, says what the endpoint says of itself, and
//! names tests that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::contract::{Contract, all};
use crate::world::Setup;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A row of the table.
struct Row {
    endpoint: String,
    answers: String,
    /// `file::name`, or `file` when all of it is meant.
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/http-api.md")).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [endpoint, answers, tests] = cells[..] else {
            panic!("a row has three cells: {line}");
        };
        let code = |text: &str| text.trim_matches(['`', ' ']).to_owned();
        Row {
            endpoint: code(endpoint),
            answers: answers.to_owned(),
            tests: tests.split(',').map(code).collect(),
        }
    };
    lines.map(row).collect()
}

#[tokio::test]
async fn every_endpoint_has_a_row_that_says_the_same_and_no_row_is_of_none() {
    let contract = Contract::read(&Setup::default().start().await).await;
    let described: BTreeMap<_, _> = all(&contract.document)
        .map(|(path, method, operation)| {
            let endpoint = format!("{} {path}", method.to_uppercase());
            (endpoint, operation["summary"].as_str().unwrap().to_owned())
        })
        .collect();
    let rows = rows();
    let shown: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row.endpoint.clone(), row.answers.clone()))
        .collect();
    assert_eq!(shown.len(), rows.len(), "an endpoint has two rows");
    assert_eq!(shown, described);
}

/// Sources of tests by the name of their file.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut folders = ["api/tests/api", "api/src", "cluster-tests/tests/cluster"]
        .map(|folder| root().join(folder))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                // Several files may have one name: a test may be in any of them.
                let text = fs::read_to_string(&path).unwrap();
                *sources.entry(stem).or_default() += text.as_str();
            }
        }
    }
    sources
}

#[test]
fn every_test_that_is_named_is_there() {
    let sources = sources();
    let mut missing = BTreeSet::new();
    for row in rows() {
        assert!(!row.tests.is_empty(), "{}", row.endpoint);
        for test in &row.tests {
            let (file, name) = test.split_once("::").unwrap_or((test, ""));
            let is_test = |text: &String| match name {
                "" => text.contains("#[tokio::test") || text.contains("#[test]"),
                name => text.contains(&format!("fn {name}()")),
            };
            if !sources.get(file).is_some_and(is_test) {
                missing.insert(format!("{}: {test}", row.endpoint));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
