//! The rooms of the workspace, as ARCHITECTURE.md draws them: which crate may use which, what must not be
//! named where, and how a source file looks. It reads manifests and sources as text; an exception stands in
//! a list here, with its reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A member of the workspace: its folder, its package, and the packages of ours that it may use.
struct Member {
    folder: &'static str,
    package: &'static str,
    may_use: &'static [&'static str],
}

const MEMBERS: [Member; 6] = [
    Member {
        folder: "broker/mqtt",
        package: "raftmq-mqtt",
        may_use: &[],
    },
    Member {
        folder: "proto",
        package: "raftmq-proto",
        may_use: &[],
    },
    Member {
        folder: "raft-store",
        package: "raftmq-store",
        may_use: &["raftmq-mqtt", "raftmq-proto"],
    },
    Member {
        folder: "api",
        package: "raftmq-api",
        may_use: &["raftmq-mqtt", "raftmq-proto", "raftmq-store"],
    },
    Member {
        folder: "broker",
        package: "raftmq",
        may_use: &["raftmq-mqtt", "raftmq-proto", "raftmq-store", "raftmq-api"],
    },
    // It knows the program, not its insides.
    Member {
        folder: "cluster-tests",
        package: "raftmq-cluster-tests",
        may_use: &[],
    },
];

/// Crates of others that one room keeps to itself: a change of mind about them stays in that room.
const KEPT_TO: [(&str, &str); 8] = [
    ("openraft", "raft-store"),
    ("sled", "raft-store"),
    ("axum", "api"),
    ("hyper", "api"),
    ("hyper-util", "api"),
    ("clap", "broker"),
    ("tracing-subscriber", "broker"),
    ("protox", "proto"),
];

/// All that the pure core may depend on: nothing that has a clock, a socket, a disk or a dice.
const CORE_DEPENDENCIES: [&str; 2] = ["rustc-hash", "thiserror"];

/// A folder or file of sources and names that must not occur in its code.
const NOT_NAMED: [(&str, &[&str]); 7] = [
    (
        "broker/mqtt/src",
        &[
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "std::sync::Mutex",
            "std::thread",
            "std::time",
            "Instant::now",
            "SystemTime",
        ],
    ),
    // Applying the log is a function of (table, entry).
    (
        "raft-store/src/table",
        &[
            "openraft",
            "sled",
            "tokio",
            "rand::",
            "std::net",
            "std::time",
            "Instant::now",
            "SystemTime",
        ],
    ),
    ("raft-store/src", &["raftmq_mqtt::{", "raftmq_mqtt as"]),
    ("api/src", &["raftmq_mqtt::{", "raftmq_mqtt as"]),
    // Configuration is checked in full before anything that uses it exists.
    (
        "broker/src/config",
        &[
            "crate::engine",
            "crate::link",
            "crate::node",
            "crate::router",
            "crate::shard",
        ],
    ),
    // An authentication is decided by its messages alone.
    (
        "broker/src/scram",
        &[
            "tokio",
            "rand::",
            "std::time",
            "SystemTime",
            "raftmq_mqtt",
            "crate::plugin",
            "crate::shard",
        ],
    ),
    // Routing is read from memory: it asks nobody.
    (
        "broker/src/router",
        &["tokio", "tonic", "crate::engine", "crate::link", ".await"],
    ),
];

/// Of the core, the crates between may know the rules of topics and nothing else.
const TOPIC_RULES_ONLY: [&str; 2] = ["raft-store/src", "api/src"];

/// Lines from which on a source file is split, its tests not counted.
const FILE_LINES_MAX: usize = 500;

/// Longer files, with the lines they may have, and why.
const LONGER_FILES: [(&str, usize); 1] = [
    // One function per command of the replicated table: they are read, and reviewed, side by side.
    ("raft-store/src/table/apply.rs", 560),
];

/// Source files that say nothing about themselves: the doc comment of their one type does.
const WITHOUT_MODULE_DOC: [&str; 5] = [
    "api/src/counters/metric.rs",
    "api/src/counters/stat.rs",
    "raft-store/src/table/counts.rs",
    "raft-store/src/table/ids.rs",
    "raft-store/src/table/outcome.rs",
];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 9] = [
    "common", "context", "data", "helper", "helpers", "info", "manager", "misc", "utils",
];

#[test]
fn every_member_of_the_workspace_has_its_place_here() {
    let workspace = manifest("");
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("a list");
    let found: BTreeSet<_> = members
        .iter()
        .filter_map(|member| member.as_str())
        .collect();
    let known: BTreeSet<_> = MEMBERS.iter().map(|member| member.folder).collect();
    assert_eq!(found, known);
    for member in &MEMBERS {
        let name = manifest(member.folder)["package"]["name"].clone();
        assert_eq!(name.as_str(), Some(member.package), "{}", member.folder);
    }
}

#[test]
fn crates_depend_on_those_below_them_and_on_no_other() {
    let ours: BTreeSet<_> = MEMBERS.iter().map(|member| member.package).collect();
    let mut faults = Vec::new();
    for member in &MEMBERS {
        for dependency in dependencies(member.folder, &ALL_TABLES) {
            let is_ours = ours.contains(&*dependency);
            if is_ours && !member.may_use.contains(&&*dependency) {
                faults.push(format!("{} depends on {dependency}", member.folder));
            }
        }
    }
    report("a dependency against the order", &faults);
}

#[test]
fn the_core_depends_on_nothing_that_has_a_clock_a_socket_or_a_disk() {
    let found = dependencies("broker/mqtt", &["dependencies", "build-dependencies"]);
    assert_eq!(found, CORE_DEPENDENCIES.map(str::to_owned).into());
}

#[test]
fn what_a_room_keeps_to_itself_is_named_nowhere_else() {
    let mut faults = Vec::new();
    for (dependency, room) in KEPT_TO {
        for member in MEMBERS.iter().filter(|member| member.folder != room) {
            if dependencies(member.folder, &ALL_TABLES).contains(dependency) {
                faults.push(format!("{} depends on {dependency}", member.folder));
            }
        }
    }
    report("a crate outside of its room", &faults);
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for member in &MEMBERS {
        let inherited = manifest(member.folder)["lints"]["workspace"].as_bool();
        assert_eq!(inherited, Some(true), "{}", member.folder);
    }
}

#[test]
fn code_does_not_name_what_its_room_knows_nothing_of() {
    let mut faults = Vec::new();
    for (place, names) in NOT_NAMED {
        let sources: Vec<_> = sources_in(place).filter(|file| !is_test(file)).collect();
        assert!(!sources.is_empty(), "{place} has no sources");
        for file in sources {
            for (number, line) in code_lines(&read(&file)) {
                for name in names.iter().filter(|name| line.contains(**name)) {
                    faults.push(format!("{}:{number}: {name}", file.display()));
                }
            }
        }
    }
    report("a name that is foreign to its room", &faults);
}

#[test]
fn between_core_and_broker_only_the_rules_of_topics_are_known() {
    let mut faults = Vec::new();
    for file in TOPIC_RULES_ONLY.iter().flat_map(|place| sources_in(place)) {
        for (number, line) in code_lines(&read(&file)) {
            for used in line.split("raftmq_mqtt::").skip(1) {
                if !used.starts_with("topic") {
                    faults.push(format!("{}:{number}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    report("a use of the core beyond its topics", &faults);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: BTreeSet<_> = all_sources()
        .filter(|file| !is_test(file))
        .filter(|file| !read(file).starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    // Equal, not contained: an exception that is none any more has to go.
    assert_eq!(silent, WITHOUT_MODULE_DOC.map(str::to_owned).into());
}

#[test]
fn no_source_file_is_too_long() {
    let mut faults = Vec::new();
    for file in all_sources().filter(|file| !is_test(file)) {
        let lines = without_tests(&read(&file)).lines().count();
        let longer = LONGER_FILES
            .iter()
            .find(|(name, _)| Path::new(name) == file);
        if lines > longer.map_or(FILE_LINES_MAX, |(_, most)| *most) {
            faults.push(format!("{}: {lines} lines", file.display()));
        }
    }
    report("a file to be split", &faults);
}

#[test]
fn nothing_is_left_to_be_done_later() {
    // Put together here, so that this file does not find itself.
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let marks: Vec<_> = macros.iter().map(String::as_str).chain(words).collect();
    let mut faults = Vec::new();
    for file in all_sources() {
        for (number, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    report("something unfinished", &faults);
}

#[test]
fn names_of_files_say_what_is_in_them() {
    let empty: Vec<_> = all_sources()
        .filter(|file| {
            let parts = file.with_extension("");
            let mut parts = parts.iter().filter_map(|part| part.to_str());
            parts.any(|part| EMPTY_NAMES.contains(&part))
        })
        .map(|file| file.display().to_string())
        .collect();
    report("a name that says nothing", &empty);
}

/// Links in the documentation lead to files that exist.
#[test]
fn the_documentation_points_to_what_is_there() {
    let mut faults = Vec::new();
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "deploy/README.md",
        "docs/http-api.md",
        "docs/conformance.md",
        "docs/fuzzing.md",
    ] {
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        for link in read(Path::new(page)).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let is_elsewhere = target.is_empty() || target.contains("://");
            if !is_elsewhere && !root().join(folder).join(target).exists() {
                faults.push(format!("{page}: {target}"));
            }
        }
    }
    report("a link to nowhere", &faults);
}

// --- reading the tree -------------------------------------------------------------------------------

const ALL_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository, by its path from the root.
fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn manifest(folder: &str) -> toml::Table {
    let text = read(&Path::new(folder).join("Cargo.toml"));
    text.parse().expect("Cargo reads it, too")
}

/// Names of what a crate depends on, in the tables asked for.
fn dependencies(folder: &str, tables: &[&str]) -> BTreeSet<String> {
    let manifest = manifest(folder);
    assert!(
        !manifest.contains_key("target"),
        "{folder}: dependencies bound to a target are not read here"
    );
    tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// All Rust sources of the workspace, by their paths from the root, in order.
fn all_sources() -> impl Iterator<Item = PathBuf> {
    let folders: BTreeSet<_> = MEMBERS.iter().map(|member| member.folder).collect();
    let mut sources: BTreeSet<PathBuf> = BTreeSet::new();
    for folder in folders {
        sources.extend(sources_in(folder));
    }
    sources.into_iter()
}

fn sources_in(place: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(place)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root().join(&folder))
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let entry = entry.expect("a folder that can be read");
            let path = folder.join(entry.file_name());
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().expect("a type").is_dir() {
                if !is_hidden && entry.file_name() != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter()
}

/// Whether the file holds tests alone.
fn is_test(file: &Path) -> bool {
    let in_folder = file.iter().any(|part| part == "tests");
    in_folder
        || file
            .file_name()
            .is_some_and(|name| name == "tests.rs" || name == "testing.rs")
}

/// The text before the tests that stand at the end of a file.
fn without_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod tests {") {
        Some(end) => &text[..end],
        None => text,
    }
}

/// Lines with their numbers, without comments and tests.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let lines = without_tests(text).lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

fn report(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}
