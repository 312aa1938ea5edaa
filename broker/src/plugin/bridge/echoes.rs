//! Settings by which a message would come back: an egress entry sends to a broker what an ingress entry gets
//! from there, to where the egress entry takes it from.
//!
//! Marks stop that where both speak MQTT 5. A broker that is spoken to in MQTT 3.1.1 forgets them, so it is
//! looked at the filters when the files are read. The two plugins have a file each; whichever is read later is
//! the one that is refused.

use super::settings::{Direction, Entry, Settings};
use parking_lot::Mutex;
use raftmq_mqtt::{codec::Version, topic};
use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The settings of one plugin that count for the other one.
pub(super) struct Stance {
    entries: Vec<Arc<Entry>>,
    is_over: AtomicBool,
}

impl Stance {
    /// The plugin works by them.
    pub fn holds(&self) {
        self.is_over.store(false, Relaxed);
    }

    /// The plugin is out of work.
    pub fn ended(&self) {
        self.is_over.store(true, Relaxed);
    }
}

/// What both plugins have read last.
#[derive(Default)]
pub(super) struct Echoes {
    egress: Mutex<Weak<Stance>>,
    ingress: Mutex<Weak<Stance>>,
}

impl Echoes {
    /// Holds the settings against those of the other plugin.
    ///
    /// # Errors
    /// The line of the entry by which messages would come back.
    pub fn take_stance(
        &self,
        direction: Direction,
        settings: &Settings,
    ) -> Result<Arc<Stance>, String> {
        let (own, other) = match direction {
            Direction::Egress => (&self.egress, &self.ingress),
            Direction::Ingress => (&self.ingress, &self.egress),
        };
        let other = other.lock().upgrade();
        let other = other.filter(|stance| !stance.is_over.load(Relaxed));
        for theirs in other.iter().flat_map(|stance| &stance.entries) {
            for ours in &settings.entries {
                if has_echo(ours, theirs) {
                    return Err(refusal(ours, theirs));
                }
            }
        }
        let stance = Arc::new(Stance {
            entries: settings.entries.clone(),
            is_over: AtomicBool::new(false),
        });
        *own.lock() = Arc::downgrade(&stance);
        Ok(stance)
    }
}

fn refusal(ours: &Entry, theirs: &Entry) -> String {
    let (plugin, line) = (theirs.direction.plugin_name(), theirs.line);
    format!(
        "line {}: with the entry at line {line} of {plugin}.toml, messages to {} would come back, and MQTT \
         3.1.1 carries no mark to know them by: write mqtt_ver = \"v5\" in both files, or other topics",
        ours.line,
        ours.remote.place(),
    )
}

/// Whether what one of the two sends away comes back by the other one.
fn has_echo(one: &Entry, other: &Entry) -> bool {
    let (egress, ingress) = match one.direction {
        Direction::Egress => (one, other),
        Direction::Ingress => (other, one),
    };
    let both = [egress, ingress];
    let carries_marks = both.iter().all(|entry| entry.remote.version == Version::V5);
    !carries_marks
        && egress.remote.place() == ingress.remote.place()
        && topic::overlaps(&egress.topics_there(), ingress.plain_filter())
        && topic::overlaps(&ingress.topics_there(), egress.plain_filter())
}
