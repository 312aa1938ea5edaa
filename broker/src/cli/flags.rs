//! The flags that are settings.

use std::path::PathBuf;

use clap::Args;

use super::{Environment, Refusal};
use crate::config::{FlagValue, Sources};

/// The flags of everything that reads a configuration. Not `Debug`: any of them may carry a secret.
#[derive(Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); also RAFTMQ_CONFIG
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number of this node, one of those in --peers
    #[arg(long, value_name = "N")]
    id: Option<String>,
    /// Name of this node
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Directory of everything the node keeps on disk [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address of MQTT [default: 0.0.0.0:1883]
    #[arg(long, value_name = "IP:PORT")]
    mqtt_addr: Option<String>,
    /// Address of the HTTP API [default: 0.0.0.0:6060]
    #[arg(long, value_name = "IP:PORT")]
    http_addr: Option<String>,
    /// Address for the other nodes [default: the port of this node's entry in --peers]
    #[arg(long, value_name = "IP:PORT")]
    rpc_addr: Option<String>,
    /// All members of the cluster: 1@host:port,2@host:port,3@host:port
    #[arg(long, value_name = "LIST")]
    peers: Option<String>,
    /// What is logged: a level, or levels per module [default: info]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
    /// Form of the log: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any setting, such as mqtt.max_inflight=100 (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArgs {
    /// The layers of the configuration, with these flags as the last one.
    ///
    /// # Errors
    ///
    /// A `--set` without `=`.
    pub fn sources(self, environment: Environment) -> Result<Sources, Refusal> {
        let named = [
            ("--id", "node.id", self.id),
            ("--name", "node.name", self.name),
            ("--data-dir", "node.data_dir", self.data_dir),
            ("--mqtt-addr", "mqtt.addr", self.mqtt_addr),
            ("--http-addr", "http.addr", self.http_addr),
            ("--rpc-addr", "rpc.addr", self.rpc_addr),
            ("--peers", "cluster.peers", self.peers),
            ("--log-filter", "log.filter", self.log_filter),
            ("--log-format", "log.format", self.log_format),
        ];
        let mut flags = Vec::new();
        for (flag, key, value) in named {
            flags.extend(value.map(|value| FlagValue {
                flag: flag.to_owned(),
                key: key.to_owned(),
                value,
            }));
        }
        for assignment in &self.set {
            flags.push(assigned(assignment)?);
        }
        Ok(Sources {
            file: self.file,
            environment,
            flags,
        })
    }
}

fn assigned(assignment: &str) -> Result<FlagValue, Refusal> {
    let (key, value) = assignment
        .split_once('=')
        .ok_or_else(|| Refusal::Usage("--set takes KEY=VALUE, such as log.filter=debug".into()))?;
    Ok(FlagValue {
        flag: format!("--set {key}"),
        key: key.to_owned(),
        value: value.to_owned(),
    })
}
