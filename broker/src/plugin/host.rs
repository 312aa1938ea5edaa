//! Which plugins a node has, which of them are at work, and changing that while it runs.
//!
//! One command at a time. A command reads the file and prepares everything first; only then is the
//! new set of extensions put in force. So a file that is wrong leaves the old settings as they are.

use super::{Extensions, ExtensionsCell, Plugin, Prepared, file};
use raftmq_api::{
    NodeError,
    node::{PluginCommand, PluginRow},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::{sync::Mutex, time::Instant};

/// Where plugins' files are, and which plugins work from the start.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// See `plugins.dir`.
    pub dir: PathBuf,
    /// See `plugins.default_startups`.
    pub startups: Vec<String>,
}

/// All plugins of a node.
pub(crate) struct PluginHost {
    dir: PathBuf,
    plugins: Mutex<BTreeMap<&'static str, Entry>>,
    cell: Arc<ExtensionsCell>,
}

struct Entry {
    plugin: Box<dyn Plugin>,
    /// Its settings as they were read last; absent: never.
    prepared: Option<Box<dyn Prepared>>,
    active: bool,
}

impl PluginHost {
    /// Reads the files of those that work from the start.
    ///
    /// # Errors
    /// All that is wrong in these files, or names of plugins that there are not.
    pub fn start(
        deployment: &Deployment,
        plugins: Vec<Box<dyn Plugin>>,
    ) -> Result<(PluginHost, Arc<ExtensionsCell>), Vec<String>> {
        let mut problems = Vec::new();
        let mut entries = BTreeMap::new();
        for plugin in plugins {
            let name = plugin.name();
            let active = plugin.is_immutable()
                || plugin.needed_because().is_some()
                || deployment.startups.iter().any(|startup| startup == name);
            let mut entry = Entry {
                plugin,
                prepared: None,
                active,
            };
            if active {
                match entry.read(&deployment.dir) {
                    Ok(prepared) => entry.prepared = Some(prepared),
                    Err(problem) => problems.push(problem),
                }
            }
            entries.insert(name, entry);
        }
        for startup in &deployment.startups {
            if !entries.contains_key(startup.as_str()) {
                problems.push(format!(
                    "plugins.default_startups names {startup:?}, which is no plugin"
                ));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let cell = Arc::new(ExtensionsCell::new(extensions_of(&entries)));
        let working = entries.values().filter(|entry| entry.active);
        working
            .filter_map(|entry| entry.prepared.as_ref())
            .for_each(|prepared| prepared.begin());
        let host = PluginHost {
            dir: deployment.dir.clone(),
            plugins: Mutex::new(entries),
            cell: cell.clone(),
        };
        Ok((host, cell))
    }

    /// All plugins, in ascending order of name.
    pub async fn rows(&self) -> Vec<PluginRow> {
        let entries = self.plugins.lock().await;
        entries.values().map(Entry::row).collect()
    }

    /// The settings of a plugin: those in force or, when it is not at work, those it would begin with.
    ///
    /// # Errors
    /// There is no such plugin, or its file cannot be read.
    pub async fn config(&self, name: &str) -> Result<String, NodeError> {
        let entries = self.plugins.lock().await;
        let entry = entries.get(name).ok_or(NodeError::UnknownPlugin)?;
        let config = match &entry.prepared {
            Some(prepared) => prepared.config(),
            None => entry.read(&self.dir).map_err(NodeError::Refused)?.config(),
        };
        Ok(config.to_string())
    }

    /// The node stops: lets those that are at work finish, until the deadline.
    pub async fn stop(&self, deadline: Instant) {
        let stopping: Vec<_> = {
            let entries = self.plugins.lock().await;
            let working = entries.values().filter(|entry| entry.active);
            let prepared = working.filter_map(|entry| entry.prepared.as_ref());
            prepared.map(|prepared| prepared.stop(deadline)).collect()
        };
        futures::future::join_all(stopping).await;
    }

    /// Whether it changed something.
    ///
    /// # Errors
    /// There is no such plugin; it cannot be changed, or its file is wrong.
    pub async fn command(&self, name: &str, command: PluginCommand) -> Result<bool, NodeError> {
        let mut entries = self.plugins.lock().await;
        let entry = entries.get_mut(name).ok_or(NodeError::UnknownPlugin)?;
        if entry.plugin.is_immutable() {
            return Err(NodeError::Refused(format!(
                "{name} is immutable: it is part of every node"
            )));
        }
        let changed = match command {
            PluginCommand::Load if entry.active => false,
            PluginCommand::Load => entry.take_over(&self.dir, Activity::Working)?,
            PluginCommand::Unload => entry.unload()?,
            PluginCommand::Reload => {
                let activity = if entry.active {
                    Activity::Working
                } else {
                    Activity::AsItWas
                };
                entry.take_over(&self.dir, activity)?
            }
        };
        if changed {
            self.cell.replace(extensions_of(&entries));
            tracing::info!(plugin = name, ?command, "plugin changed");
            let entry = entries.get(name);
            if let Some((entry, prepared)) = entry.and_then(|e| Some((e, e.prepared.as_ref()?))) {
                match entry.active {
                    true => prepared.begin(),
                    false if matches!(command, PluginCommand::Unload) => prepared.end(),
                    false => {}
                }
            }
        }
        Ok(changed)
    }
}

/// What a plugin does after its file has been read.
enum Activity {
    Working,
    AsItWas,
}

impl Entry {
    fn read(&self, dir: &std::path::Path) -> Result<Box<dyn Prepared>, String> {
        let path = dir.join(format!("{}.toml", self.plugin.name()));
        let text = file::text(&path)?;
        self.plugin
            .prepare(&text)
            .map_err(|problem| format!("{}: {problem}", path.display()))
    }

    fn take_over(&mut self, dir: &std::path::Path, then: Activity) -> Result<bool, NodeError> {
        self.prepared = Some(self.read(dir).map_err(NodeError::Refused)?);
        if matches!(then, Activity::Working) {
            self.active = true;
        }
        Ok(true)
    }

    fn unload(&mut self) -> Result<bool, NodeError> {
        if let Some(why) = self.plugin.needed_because() {
            return Err(NodeError::Refused(format!(
                "{} cannot be unloaded: {why}",
                self.plugin.name()
            )));
        }
        Ok(std::mem::replace(&mut self.active, false))
    }

    fn row(&self) -> PluginRow {
        let attributes = self.prepared.as_ref().map(|prepared| prepared.attributes());
        PluginRow {
            name: self.plugin.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: self.plugin.description().to_owned(),
            active: self.active,
            inited: self.prepared.is_some(),
            immutable: self.plugin.is_immutable(),
            attributes_json: attributes
                .unwrap_or_else(|| serde_json::json!({}))
                .to_string(),
        }
    }
}

fn extensions_of(entries: &BTreeMap<&'static str, Entry>) -> Extensions {
    let mut extensions = Extensions::default();
    for entry in entries.values().filter(|entry| entry.active) {
        if let Some(prepared) = &entry.prepared {
            prepared.extend(&mut extensions);
        }
    }
    extensions
}

#[cfg(test)]
mod tests {
    use super::super::{
        access_control::AccessControl, fixed::Fixed, shared_subscription::SharedSubscription,
    };
    use super::*;
    use crate::router::ShareStrategy;

    const NAME: &str = "rmqtt-shared-subscription";

    struct Fixture {
        dir: tempfile::TempDir,
        host: PluginHost,
        cell: Arc<ExtensionsCell>,
    }

    fn start(startups: &[&str], text: &str) -> Result<Fixture, Vec<String>> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(format!("{NAME}.toml")), text).expect("a file");
        let deployment = Deployment {
            dir: dir.path().to_owned(),
            startups: startups.iter().map(|name| (*name).to_owned()).collect(),
        };
        let plugins: Vec<Box<dyn Plugin>> = vec![
            Box::new(SharedSubscription),
            Box::new(AccessControl),
            Box::new(Fixed::counter()),
        ];
        let (host, cell) = PluginHost::start(&deployment, plugins)?;
        Ok(Fixture { dir, host, cell })
    }

    impl Fixture {
        fn write(&self, text: &str) {
            let path = self.dir.path().join(format!("{NAME}.toml"));
            std::fs::write(path, text).expect("a file");
        }

        fn strategy(&self) -> ShareStrategy {
            self.cell.current().share_strategy
        }

        async fn row(&self) -> PluginRow {
            let rows = self.host.rows().await;
            rows.into_iter().find(|row| row.name == NAME).expect("it")
        }
    }

    #[tokio::test]
    async fn a_plugin_is_loaded_unloaded_and_loaded_again() {
        let f = start(&[], "strategy = \"random\"").expect("good files");
        assert!(!f.row().await.active && !f.row().await.inited);
        assert_eq!(f.strategy(), ShareStrategy::default());
        assert_eq!(f.host.command(NAME, PluginCommand::Load).await, Ok(true));
        assert!(f.row().await.active && f.row().await.inited);
        assert_eq!(f.strategy(), ShareStrategy::Random);
        assert_eq!(f.host.command(NAME, PluginCommand::Load).await, Ok(false));
        assert_eq!(f.host.command(NAME, PluginCommand::Unload).await, Ok(true));
        assert_eq!(f.strategy(), ShareStrategy::default());
        assert_eq!(f.host.command(NAME, PluginCommand::Unload).await, Ok(false));
    }

    #[tokio::test]
    async fn a_reload_with_a_bad_file_leaves_the_old_settings_in_force() {
        let f = start(&[NAME], "strategy = \"random\"").expect("good files");
        f.write("strategy = \"random\"\nfoo = 1\n");
        let refused = f.host.command(NAME, PluginCommand::Reload).await;
        assert!(
            matches!(&refused, Err(NodeError::Refused(why)) if why.contains("line 2")),
            "{refused:?}"
        );
        assert_eq!(f.strategy(), ShareStrategy::Random);
        f.write("strategy = \"sticky\"\n");
        assert_eq!(f.host.command(NAME, PluginCommand::Reload).await, Ok(true));
        assert_eq!(f.strategy(), ShareStrategy::Sticky);
        let config = f.host.config(NAME).await.expect("its settings");
        assert_eq!(config, r#"{"strategy":"sticky"}"#);
    }

    #[tokio::test]
    async fn a_reload_of_a_plugin_that_does_not_work_does_not_put_it_to_work() {
        let f = start(&[], "strategy = \"random\"").expect("good files");
        assert_eq!(f.host.command(NAME, PluginCommand::Reload).await, Ok(true));
        assert!(!f.row().await.active);
        assert_eq!(f.strategy(), ShareStrategy::default());
    }

    #[tokio::test]
    async fn an_immutable_plugin_refuses_and_an_unknown_one_is_not_found() {
        let f = start(&[], "").expect("good files");
        for command in [
            PluginCommand::Load,
            PluginCommand::Unload,
            PluginCommand::Reload,
        ] {
            let refused = f.host.command("rmqtt-counter", command).await;
            assert!(matches!(refused, Err(NodeError::Refused(_))), "{refused:?}");
            let unknown = f.host.command("rmqtt-nothing", command).await;
            assert_eq!(unknown, Err(NodeError::UnknownPlugin));
        }
    }

    #[test]
    fn all_problems_of_the_start_are_told_at_once() {
        let problems = start(&[NAME, "rmqtt-nothing"], "strategy = 1").err();
        let problems = problems.expect("two problems");
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
