//! The environment layer: one variable per setting.

use std::ffi::{OsStr, OsString};

use super::load::{FILE_VARIABLE, Layers};
use super::origin::{Origin, Problem};
use super::suggest::hint;
use super::value::{Input, Raw};
use super::{SETTINGS, listener};

const PREFIX: &str = "RAFTMQ_";
/// What the variables of listeners begin with; the listener's name and `_` follow.
const LISTENER_PREFIX: &str = "RAFTMQ_LISTENER_";

/// Variables that `raftmq ctl` reads: address and token of the node that it asks, and the file of those who
/// prove it. They may be set where a node is started, too.
pub const CTL_VARIABLES: [&str; 3] = ["RAFTMQ_URL", "RAFTMQ_TOKEN", "RAFTMQ_CA"];

/// Reads every variable that begins with `RAFTMQ_`. An empty one counts as not given, because
/// container tools pass on variables that nobody has set as empty ones.
pub(super) fn read(environment: &[(OsString, OsString)], layers: &mut Layers) {
    for (name, value) in environment {
        let name = name.to_string_lossy();
        let is_other = name == FILE_VARIABLE || CTL_VARIABLES.contains(&&*name);
        let ours = name.starts_with(PREFIX) && !is_other;
        if ours && !value.is_empty() && !is_service_link(&name, value) {
            read_variable(&name, value, layers);
        }
    }
}

fn read_variable(name: &str, value: &OsStr, layers: &mut Layers) {
    let at = Origin::Variable(name.to_owned());
    if let (Some(rest), Some(text)) = (name.strip_prefix(LISTENER_PREFIX), value.to_str()) {
        let raw = Raw::Word(text.to_owned());
        return listener::set(layers, &listener::key_of_variable(rest), &Input { at, raw });
    }
    let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
        let known: Vec<_> = SETTINGS.iter().map(|setting| setting.variable()).collect();
        let hint = hint(name, known.iter().map(String::as_str));
        let message = format!("unknown variable{hint}");
        return layers.problems.push(Problem::new(at, message));
    };
    match value.to_str() {
        Some(text) => {
            let raw = Raw::Word(text.to_owned());
            layers.set(setting, &Input { at, raw });
        }
        None => {
            let message = format!("{}: the value is not UTF-8", setting.key);
            layers.problems.push(Problem::new(at, message));
        }
    }
}

/// Kubernetes puts variables such as `RAFTMQ_SERVICE_HOST` and `RAFTMQ_PORT_1883_TCP=tcp://...`
/// into every container beside a service named `raftmq...`. They are no settings and no mistake of
/// the operator.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let names_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.to_string_lossy().starts_with(scheme));
    let names_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let protocol = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|known| protocol.starts_with(known))
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || names_port
        || (names_address && name.contains("_PORT"))
}
