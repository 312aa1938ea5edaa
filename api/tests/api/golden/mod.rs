//! The exact answer of every endpoint in a fixed world, beside the sources as JSON files.
//!
//! `UPDATE_GOLDEN=1 cargo test -p raftmq-api golden` writes the files anew; what changed is in the diff.
//! Values that cannot be fixed are replaced by rules, all of them in [`rules`]. Each answer is also held
//! against the OpenAPI document, which must name its status, its headers and every one of its fields.

mod cases;
mod fixed_world;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use self::cases::{CASES, Case};
use self::fixed_world::FixedWorld;
use crate::contract::Contract;
use crate::world::{Reply, Setup};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Headers that belong to an answer, beside those that begin with `x-`.
const HEADERS: [&str; 4] = ["allow", "cache-control", "content-type", "www-authenticate"];

fn headers(reply: &Reply) -> Map<String, Value> {
    let shown = reply
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-") || HEADERS.contains(&name.as_str()));
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    shown
        .map(|(name, value)| (name.to_string(), text(value).into()))
        .collect()
}

/// JSON as it is, text as an array of its lines.
fn body(reply: &Reply) -> Value {
    let content_type = reply.header("content-type").unwrap_or_default();
    if content_type.starts_with("application/json") {
        return serde_json::from_str(&reply.body).unwrap();
    }
    reply.body.lines().collect()
}

fn shown(case: &Case, reply: &Reply, world: &FixedWorld) -> String {
    let mut shown = json!({
        "request": case.request,
        "status": reply.status,
        "headers": headers(reply),
        "answer": rules::applied(body(reply), world),
    });
    if let Some(body) = case.body {
        shown["body"] = serde_json::from_str(body).unwrap();
    }
    serde_json::to_string_pretty(&shown).unwrap() + "\n"
}

/// What differs from the file, which is written instead when that is asked for.
fn compare(name: &str, shown: &str) -> Option<String> {
    let path = folder().join(format!("{name}.json"));
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, shown).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let (expected_lines, shown_lines) = (expected.lines(), shown.lines());
    let mut pairs = expected_lines
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(shown_lines.map(Some).chain(std::iter::repeat(None)));
    if expected == shown {
        return None;
    }
    let (expected, shown) = pairs.find(|(a, b)| a != b).unwrap_or_default();
    Some(format!("{name}.json: {expected:?} has become {shown:?}"))
}

#[tokio::test]
async fn every_answer_is_the_one_on_file_and_as_the_document_says() {
    let contract = Contract::read(&Setup::default().start().await).await;
    let mut faults = Vec::new();
    for case in CASES {
        let world = FixedWorld::start(case).await;
        let reply = world.ask(case).await;
        faults.extend(compare(case.name, &shown(case, &reply, &world)));
        let held = contract.hold(case.operation(), &reply);
        faults.extend(held.err().map(|fault| format!("{}: {fault}", case.name)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn every_endpoint_has_a_file_and_every_file_is_of_an_endpoint() {
    let contract = Contract::read(&Setup::default().start().await).await;
    let operations = contract.operations();
    let is_good = |name: &str| CASES.iter().any(|case| case.name == name);
    let missing: Vec<_> = operations.iter().filter(|id| !is_good(id)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let names: BTreeSet<_> = CASES
        .iter()
        .map(|case| format!("{}.json", case.name))
        .collect();
    assert_eq!(names.len(), CASES.len(), "a case stands there twice");
    let entries = fs::read_dir(folder()).unwrap();
    let found = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        found.collect::<BTreeSet<_>>(),
        names,
        "the files and the cases"
    );
    for case in CASES {
        assert!(operations.contains(case.operation()), "{}", case.name);
    }
}
