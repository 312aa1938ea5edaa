//! The settings as text: the annotated default file, the configuration in force, and the
//! reference of the README.

use std::fmt::Write;

use super::listener::{LISTENER_SETTINGS, ListenerConfig, ListenerSetting};
use super::load::Loaded;
use super::origin::Origin;
use super::settings::{Config, GROUPS, Group, Setting};
use super::{FILE_VARIABLE, SETTINGS};

/// Columns of a comment line.
const WIDTH: usize = 96;

/// A TOML file that says nothing and explains everything: each setting in a comment, with its
/// default. It is valid as it is; `deploy/raftmq.toml` is this text.
pub fn default_toml() -> String {
    let mut text = String::from(
        "# Configuration of raftmq. Every line that begins with \"#\" without a space shows a default:\n\
         # remove the \"#\" to change it. `raftmq check -f FILE` says everything that is wrong.\n",
    );
    let mut config = Config::default();
    for group in GROUPS {
        begin_group(&mut text, group);
        for setting in of_group(group) {
            text.push('\n');
            let range = range(setting, &mut config).map(|range| format!(" Range: {range}."));
            comment(&mut text, &(setting.doc() + &range.unwrap_or_default()));
            let shown = shown(setting, &mut config);
            let value = shown.unwrap_or_else(|| "\"\"".to_owned());
            writeln!(text, "#{} = {value}", setting.name()).expect(STRING);
        }
    }
    text.push('\n');
    comment(&mut text, LISTENERS);
    text.push_str(LISTENER_EXAMPLES);
    text
}

/// What the tables of listeners are.
const LISTENERS: &str = "Listeners beside `mqtt.addr`, each in a table of its own with a name of your choice (lower-case letters, digits, `-`).";

/// For the file. Each line is a comment with a space: there is no default to be shown.
const LISTENER_EXAMPLES: &str = "#
# [listener.tls]
# transport = \"tls\"                   # tcp, tls, ws, wss, unix or quic
# addr = \"0.0.0.0:8883\"
# tls_certificate = \"/etc/raftmq/cert.pem\"
# tls_key = \"/etc/raftmq/key.pem\"
# client_certificates = \"required\"    # off, optional or required
# client_ca = \"/etc/raftmq/clients.pem\"
# certificate_name = \"cn\"             # off, cn or san: becomes the user name
#
# [listener.web]
# transport = \"ws\"
# addr = \"0.0.0.0:8083\"
# max_messages_per_second = 100
#
# [listener.local]
# transport = \"unix\"
# socket = \"/run/raftmq/mqtt.sock\"
";

/// The configuration in force as TOML, each value with its origin; secrets are hidden.
pub fn effective_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut config = loaded.config.clone();
    for group in GROUPS {
        begin_group(&mut text, group);
        for setting in of_group(group) {
            let origin = match loaded.origin(setting.key) {
                Origin::Default => String::new(),
                origin => format!("  # {origin}"),
            };
            if let Some(value) = shown(setting, &mut config) {
                writeln!(text, "{} = {value}{origin}", setting.name()).expect(STRING);
            }
        }
    }
    for (name, listener) in &mut config.listeners {
        writeln!(text, "\n[listener.{name}]").expect(STRING);
        for setting in LISTENER_SETTINGS {
            let key = format!("listener.{name}.{}", setting.name);
            let origin = match loaded.origin(&key) {
                Origin::Default => String::new(),
                origin => format!("  # {origin}"),
            };
            if let Some(value) = (setting.slot)(listener).show() {
                writeln!(text, "{} = {value}{origin}", setting.name).expect(STRING);
            }
        }
    }
    text
}

/// The reference in Markdown, one table per group.
pub fn markdown() -> String {
    let mut text = format!(
        "Defaults, then the file (`-f FILE` or `{FILE_VARIABLE}`), then the environment, then the command line; \
         the later one wins.\nA setting is `name = value` under `[group]` in the file, \
         `RAFTMQ_<GROUP>_<NAME>` in the environment (`mqtt.max_qos` is `RAFTMQ_MQTT_MAX_QOS`; an empty \
         variable counts as not given) and\n`--set group.name=value` on the command line.\n"
    );
    let mut config = Config::default();
    for group in GROUPS {
        write!(
            text,
            "\n**`[{}]`** {}\n\n| name | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n",
            group.name,
            group.doc.trim()
        )
        .expect(STRING);
        for setting in of_group(group) {
            text.push_str(&row(setting, &mut config));
        }
    }
    write!(
        text,
        "\n**`[listener.<name>]`** {LISTENERS} In the environment `RAFTMQ_LISTENER_<NAME>_<SETTING>`.\n\n\
         | name | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n"
    )
    .expect(STRING);
    for setting in LISTENER_SETTINGS {
        text.push_str(&listener_row(setting, &mut ListenerConfig::default()));
    }
    text
}

fn listener_row(setting: &ListenerSetting, listener: &mut ListenerConfig) -> String {
    let value = (setting.slot)(listener);
    let default = value
        .show()
        .map_or(String::new(), |value| format!("`{value}`"));
    let unit = value.range_unit();
    let range = setting.range.map_or(String::new(), |(low, high)| {
        format!("{} to {}{unit}", value.bound(low), value.bound(high))
    });
    let (name, kind, doc) = (setting.name, value.kind(), setting.doc());
    format!("| `{name}` | {kind} | {default} | {range} | {doc} |\n")
}

/// Writing into a `String` cannot fail.
const STRING: &str = "a String takes every write";

fn row(setting: &Setting, config: &mut Config) -> String {
    let default = shown(setting, config).map_or(String::new(), |value| format!("`{value}`"));
    let range = range(setting, config).unwrap_or_default();
    format!(
        "| `{}` | {} | {default} | {range} | {} |\n",
        setting.name(),
        (setting.slot)(config).kind(),
        setting.doc()
    )
}

fn range(setting: &Setting, config: &mut Config) -> Option<String> {
    let value = (setting.slot)(config);
    let unit = value.range_unit();
    let (low, high) = setting.range?;
    Some(format!(
        "{} to {}{unit}",
        value.bound(low),
        value.bound(high)
    ))
}

fn shown(setting: &Setting, config: &mut Config) -> Option<String> {
    (setting.slot)(config).show()
}

fn of_group(group: &Group) -> impl Iterator<Item = &'static Setting> {
    let name = group.name;
    SETTINGS
        .iter()
        .filter(move |setting| setting.group() == name)
}

fn begin_group(text: &mut String, group: &Group) {
    if !text.is_empty() {
        text.push('\n');
    }
    comment(text, group.doc.trim());
    writeln!(text, "[{}]", group.name).expect(STRING);
}

/// The text as comment lines of at most [`WIDTH`] columns.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            writeln!(text, "{line}").expect(STRING);
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(text, "{line}").expect(STRING);
}
