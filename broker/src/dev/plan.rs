//! Which members, with which ports and directories.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::config::why_not_members;

/// The cluster that `raftmq dev` starts. Every port is on 127.0.0.1. `Debug` leaves out the
/// settings, one of which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    /// 1, 3 or 5.
    pub nodes: usize,
    /// Each member has its own directory in here, `node-1` and so on.
    pub data_dir: PathBuf,
    /// The MQTT port of the first member; the others have the ports after it.
    pub mqtt_port: u16,
    /// The same for HTTP.
    pub http_port: u16,
    /// The same for the traffic between the members.
    pub rpc_port: u16,
    /// A configuration file for every member.
    pub file: Option<PathBuf>,
    /// `KEY=VALUE` settings for every member.
    pub set: Vec<String>,
    /// What the members' HTTP API encrypts with, by their settings.
    pub tls_certificate: Option<PathBuf>,
}

/// One member of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// From 1.
    pub id: usize,
    /// Its own directory.
    pub data_dir: PathBuf,
    /// Its MQTT port.
    pub mqtt_port: u16,
    /// Its HTTP port.
    pub http_port: u16,
    /// Its port for the other members.
    pub rpc_port: u16,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("Plan of {} nodes", self.nodes);
        f.debug_list().entry(&name).entries(self.members()).finish()
    }
}

impl Plan {
    /// Whether such a cluster can be.
    ///
    /// # Errors
    ///
    /// The reason, when the number of nodes has no useful majority, or when two of the ports would
    /// be the same or beyond 65535.
    pub fn check(&self) -> Result<(), String> {
        if ![1, 3, 5].contains(&self.nodes) {
            return Err(format!("--nodes: {}", why_not_members(self.nodes)));
        }
        let ports = [
            ("--mqtt-port", self.ports(self.mqtt_port)),
            ("--http-port", self.ports(self.http_port)),
            ("--rpc-port", self.ports(self.rpc_port)),
        ];
        for (index, (flag, range)) in ports.iter().enumerate() {
            if range.start == 0 || range.end > 65_536 {
                return Err(format!("{flag}: ports must be from 1 to 65535"));
            }
            let taken = |other: &&(&str, Range<u32>)| {
                other.1.start < range.end && range.start < other.1.end
            };
            if let Some((other, _)) = ports[..index].iter().find(taken) {
                return Err(format!("{flag}: its ports and those of {other} overlap"));
            }
        }
        Ok(())
    }

    fn ports(&self, first: u16) -> Range<u32> {
        let count = u32::try_from(self.nodes).unwrap_or(u32::MAX);
        u32::from(first)..u32::from(first).saturating_add(count)
    }

    /// The members of a checked plan, in the order of their ids.
    pub fn members(&self) -> Vec<Member> {
        let member = |id: usize| {
            let offset = u16::try_from(id - 1).unwrap_or(u16::MAX);
            Member {
                id,
                data_dir: self.data_dir.join(format!("node-{id}")),
                mqtt_port: self.mqtt_port.saturating_add(offset),
                http_port: self.http_port.saturating_add(offset),
                rpc_port: self.rpc_port.saturating_add(offset),
            }
        };
        (1..=self.nodes).map(member).collect()
    }

    fn peers(&self) -> String {
        let peer = |member: &Member| format!("{}@127.0.0.1:{}", member.id, member.rpc_port);
        let peers: Vec<_> = self.members().iter().map(peer).collect();
        peers.join(",")
    }

    /// The command line of a member, its program name included.
    pub fn command_line(&self, member: &Member) -> Vec<OsString> {
        let local = |port: u16| OsString::from(format!("127.0.0.1:{port}"));
        let mut line: Vec<OsString> = vec!["raftmq".into(), "run".into()];
        let mut flag = |name: &str, value: OsString| line.extend([name.into(), value]);
        flag("--id", member.id.to_string().into());
        flag("--data-dir", member.data_dir.clone().into());
        flag("--mqtt-addr", local(member.mqtt_port));
        flag("--http-addr", local(member.http_port));
        flag("--rpc-addr", local(member.rpc_port));
        flag("--peers", self.peers().into());
        if let Some(file) = &self.file {
            flag("--file", file.clone().into());
        }
        for assignment in &self.set {
            flag("--set", assignment.into());
        }
        line.push("--exit-with-parent".into());
        line
    }

    /// The begin of a command that asks a member, without `://`.
    pub(super) fn curl(&self, options: &str) -> String {
        // A certificate is seldom for the loopback address.
        let (trust, scheme) = match self.tls_certificate {
            Some(_) => ("-k", "https"),
            None => ("", "http"),
        };
        let words = ["curl", options, trust, scheme].into_iter();
        words
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What to try next, for somebody who sees the cluster for the first time.
    pub fn introduction(&self) -> String {
        let members = self.members();
        let (first, last) = (&members[0], &members[members.len() - 1]);
        let curl = self.curl("");
        let mut lines = vec![match self.nodes {
            1 => "the node is ready. Try, each in a terminal of its own:".to_owned(),
            count => format!("all {count} nodes are ready. Try, each in a terminal of its own:"),
        }];
        lines.extend([
            format!("  mosquitto_sub -p {} -t 'demo/#' -v", first.mqtt_port),
            format!(
                "  mosquitto_pub -p {} -t demo/hello -m world",
                last.mqtt_port
            ),
            format!("  {curl}://127.0.0.1:{}/api/v1/routes", last.http_port),
            format!("  {curl}://127.0.0.1:{}/api/v1/nodes", first.http_port),
        ]);
        lines.push("Ctrl-C stops everything; the files stay for the next time.".to_owned());
        lines.join("\n")
    }
}
