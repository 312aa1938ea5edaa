//! The static list of the cluster's members.

use super::address::read_list;
use super::{Input, Raw, Value, quoted};
use crate::config::origin::Problem;
use crate::config::settings::Range;
use crate::config::suggest::hint;
use crate::config::types::Peer;

/// The largest node id.
const ID_MAX: u64 = 65_535;

impl Value for Vec<Peer> {
    fn read(&mut self, input: &Input, _range: Option<Range>) -> Result<(), Vec<Problem>> {
        let peers = read_list(input, "members, each \"id@host:port\"", peer)?;
        let problems = repeated(input, &peers);
        if !problems.is_empty() {
            return Err(problems);
        }
        *self = peers;
        Ok(())
    }

    fn show(&self) -> Option<String> {
        let peers: Vec<_> = self.iter().map(|peer| quoted(&peer.to_string())).collect();
        Some(format!("[{}]", peers.join(", ")))
    }

    fn kind(&self) -> String {
        "list of members".to_owned()
    }
}

/// Ids and addresses that occur more than once.
fn repeated(input: &Input, peers: &[Peer]) -> Vec<Problem> {
    let place = |index: usize| match &input.raw {
        Raw::List(elements) => &elements[index],
        _ => input,
    };
    let mut problems = Vec::new();
    for (index, peer) in peers.iter().enumerate() {
        let earlier = &peers[..index];
        if earlier.iter().any(|other| other.id == peer.id) {
            let message = format!("node id {} is listed twice", peer.id);
            problems.push(place(index).problem(message));
        }
        if earlier.iter().any(|other| other.address == peer.address) {
            let message = format!("address {:?} is listed twice", peer.address);
            problems.push(place(index).problem(message));
        }
    }
    problems
}

fn peer(input: &Input) -> Result<Peer, Vec<Problem>> {
    match &input.raw {
        Raw::Word(text) | Raw::Text(text) => written(text).map_err(|m| vec![input.problem(m)]),
        Raw::Table(fields) => tabled(input, fields),
        _ => Err(vec![input.expected("a member, \"id@host:port\"")]),
    }
}

/// `1@host:port`.
fn written(text: &str) -> Result<Peer, String> {
    let (id, address) = text
        .split_once('@')
        .ok_or_else(|| format!("expected a member as id@host:port, found {text:?}"))?;
    let id = id
        .parse()
        .ok()
        .filter(|id| (1..=ID_MAX).contains(id))
        .ok_or_else(|| format!("the node id of {text:?} must be a number from 1 to {ID_MAX}"))?;
    let peer = Peer {
        id,
        address: address.to_owned(),
    };
    check_address(&peer).map(|()| peer)
}

/// `{ id = 1, address = "host:port" }`.
fn tabled(input: &Input, fields: &[(String, Input)]) -> Result<Peer, Vec<Problem>> {
    let known = ["id", "address"];
    let mut problems: Vec<_> = fields
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()))
        .map(|(name, value)| {
            let hint = hint(name, known);
            value.problem(format!("unknown key {name:?} of a member{hint}"))
        })
        .collect();
    let (mut id, mut address) = (0_u64, None::<String>);
    let mut field = |name: &str, slot: &mut dyn Value, range| {
        match fields.iter().find(|(field, _)| field == name) {
            Some((_, value)) => problems.extend(slot.read(value, range).err().unwrap_or_default()),
            None => problems.push(input.problem(format!("a member needs its {name:?}"))),
        };
    };
    field("id", &mut id, Some((1, ID_MAX)));
    field("address", &mut address, Some((1, 512)));
    let peer = Peer {
        id,
        address: address.unwrap_or_default(),
    };
    if problems.is_empty() {
        problems.extend(check_address(&peer).err().map(|m| input.problem(m)));
    }
    if problems.is_empty() {
        Ok(peer)
    } else {
        Err(problems)
    }
}

fn check_address(peer: &Peer) -> Result<(), String> {
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let good = match peer.host_and_port() {
        Some((_, 0)) | None => false,
        Some((host, _)) if peer.address.starts_with('[') => {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        }
        Some((host, _)) => !host.is_empty() && host.chars().all(name),
    };
    if good {
        Ok(())
    } else {
        Err(format!(
            "expected host:port with a name, an IPv4 address or an IPv6 address in brackets, found {:?}",
            peer.address
        ))
    }
}
