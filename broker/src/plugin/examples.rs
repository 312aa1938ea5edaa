//! The example files that operators start from: each is accepted by its plugin, and none is missing.

use super::{HttpControl, Plugin, all};
use crate::config::HttpConfig;
use std::{collections::BTreeSet, path::Path, sync::Arc};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/plugins")
}

fn plugins() -> Vec<Box<dyn Plugin>> {
    let (control, _) = HttpControl::new(&HttpConfig::default(), None);
    all(&[], control, &Arc::default())
}

fn example(plugin: &dyn Plugin) -> String {
    let path = folder().join(format!("{}.toml", plugin.name()));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// With what an operator puts in: a secret, and a file of passwords that is there.
fn filled_in(text: &str) -> String {
    let text = text.replace("REPLACE-ME", "a secret of one's own");
    text.replace("/etc/raftmq/passwords", "/dev/null")
}

/// The file with the settings that it only mentions, which stand as `#name = value`.
fn all_settings_given(text: &str) -> String {
    let line = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| is_text_of_toml(rest))
            .map_or_else(|| line.to_owned(), str::to_owned)
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Prose begins with a blank behind the `#`.
fn is_text_of_toml(rest: &str) -> bool {
    !rest.is_empty() && !rest.starts_with([' ', '#'])
}

#[tokio::test]
async fn every_example_is_accepted_by_its_plugin() {
    for plugin in plugins() {
        let text = filled_in(&example(&*plugin));
        let prepared = plugin.prepare(&text);
        assert_eq!(prepared.err(), None, "{}", plugin.name());
    }
}

#[tokio::test]
async fn what_the_examples_mention_is_accepted_too() {
    for plugin in plugins() {
        let text = filled_in(&example(&*plugin));
        let prepared = plugin.prepare(&all_settings_given(&text));
        assert_eq!(prepared.err(), None, "{}", plugin.name());
    }
}

#[tokio::test]
async fn the_secret_that_everybody_knows_is_refused() {
    let found = plugins();
    let jwt = found
        .iter()
        .find(|plugin| plugin.name() == "rmqtt-auth-jwt");
    let jwt = jwt.expect("it");
    let problem = jwt.prepare(&example(&**jwt)).err().expect("refused");
    assert!(problem.contains("hmac_secret"), "{problem}");
}

#[test]
fn there_is_no_example_without_a_plugin() {
    let names: BTreeSet<_> = plugins()
        .iter()
        .map(|plugin| format!("{}.toml", plugin.name()))
        .collect();
    for entry in std::fs::read_dir(folder()).expect("the folder") {
        let name = entry.expect("an entry").file_name();
        assert!(names.contains(&*name.to_string_lossy()), "{name:?}");
    }
}
