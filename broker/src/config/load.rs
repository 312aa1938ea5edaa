//! The layers, one over the other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::origin::{Origin, Problem, Problems};
use super::settings::{Config, Setting};
use super::suggest::hint;
use super::value::{Input, Raw};
use super::{SETTINGS, check, environment, file, listener};

/// The environment variable that names the file when no flag does.
pub const FILE_VARIABLE: &str = "RAFTMQ_CONFIG";

/// A setting given on the command line. `Debug` leaves out the value, which may be a secret.
#[derive(Clone)]
pub struct FlagValue {
    /// How it was given, for the report: `--mqtt-addr`.
    pub flag: String,
    /// The key of the setting; an unknown one is reported.
    pub key: String,
    /// The value as it was typed.
    pub value: String,
}

impl fmt::Debug for FlagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.flag, self.key)
    }
}

/// The layers above the defaults. Not `Debug`: the environment has secrets, and not only ours.
#[derive(Clone, Default)]
pub struct Sources {
    /// The TOML file that the command line names; without one, [`FILE_VARIABLE`] may name it.
    pub file: Option<PathBuf>,
    /// The environment of the process; only names that begin with `RAFTMQ_` are looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// The settings of the command line.
    pub flags: Vec<FlagValue>,
}

/// A checked configuration, and which layer each value is from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the node is to do.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of this key was given.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// Reads all layers and checks the result. Opens no port and makes no file.
///
/// # Errors
///
/// Every problem of every layer, and every contradiction among the values that could be read.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    Layers::of(sources).finish()
}

/// Reads all layers, and does not judge what only the values together say: for who asks about a node and will not
/// be one.
///
/// # Errors
///
/// Every problem of every layer.
pub fn read(sources: &Sources) -> Result<Config, Problems> {
    let layers = Layers::of(sources);
    match Problems::of(layers.problems) {
        Some(problems) => Err(problems),
        None => Ok(layers.config),
    }
}

/// The layers read so far.
#[derive(Default)]
pub(super) struct Layers {
    pub config: Config,
    pub problems: Vec<Problem>,
    origins: BTreeMap<String, Origin>,
    /// Settings whose value could not be read: what they would contradict is not known.
    unread: Vec<String>,
}

impl Layers {
    fn of(sources: &Sources) -> Layers {
        let mut layers = Layers::default();
        if let Some(path) = file::path(sources) {
            file::read(&path, &mut layers);
        }
        environment::read(&sources.environment, &mut layers);
        layers.read_flags(&sources.flags);
        layers
    }

    /// Puts a value over what is there.
    pub fn set(&mut self, setting: &'static Setting, input: &Input) {
        let read = (setting.slot)(&mut self.config).read(input, setting.range);
        self.note(setting.key.to_owned(), input, read);
    }

    /// Remembers where a value was given, or what was wrong with it.
    pub fn note(&mut self, key: String, input: &Input, read: Result<(), Vec<Problem>>) {
        match read {
            Ok(()) => {
                self.origins.insert(key, input.at.clone());
            }
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(|problem| Problem {
                        message: format!("{key}: {}", problem.message),
                        ..problem
                    }));
                self.unread.push(key);
            }
        }
    }

    /// Whether a value of this key was given and understood.
    pub fn given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Reports a contradiction between these settings, at the one that was given last; nothing
    /// when one of them could not be read, because that is then the problem.
    pub fn contradiction(&mut self, keys: &[&str], message: impl Into<String>) {
        if keys
            .iter()
            .any(|key| self.unread.iter().any(|unread| unread == key))
        {
            return;
        }
        let origins = keys.iter().filter_map(|key| self.origins.get(*key));
        let origin = origins.max().cloned().unwrap_or(Origin::Default);
        self.problems.push(Problem::new(origin, message));
    }

    fn read_flags(&mut self, flags: &[FlagValue]) {
        for (index, given) in flags.iter().enumerate() {
            let at = Origin::Flag(given.flag.clone());
            let raw = Raw::Word(given.value.clone());
            let input = Input { at, raw };
            let is_repeated = flags[..index]
                .iter()
                .any(|earlier| earlier.key == given.key);
            let of_listener = given
                .key
                .strip_prefix(listener::GROUP)
                .and_then(|rest| rest.strip_prefix('.'));
            if let (Some(key), false) = (of_listener, is_repeated) {
                listener::set(self, key, &input);
                continue;
            }
            let at = input.at.clone();
            if is_repeated {
                let message = format!("{} is given twice on the command line", given.key);
                self.problems.push(Problem::new(at, message));
                continue;
            }
            let Some(setting) = Setting::find(&given.key) else {
                let hint = hint(&given.key, SETTINGS.iter().map(|setting| setting.key));
                let message = format!("unknown setting {:?}{hint}", given.key);
                self.problems.push(Problem::new(at, message));
                continue;
            };
            self.set(setting, &input);
        }
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        check::complete(&mut self);
        check::contradictions(&mut self);
        match Problems::of(self.problems) {
            Some(problems) => Err(problems),
            None => Ok(Loaded {
                config: self.config,
                origins: self.origins,
            }),
        }
    }
}
