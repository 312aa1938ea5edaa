//! This node as a member of its cluster: what `/cluster` and `/cluster/doctor` show of it.

use super::{drain, local::LocalNode, share_members, vitals};
use crate::{config::Config, engine::Engine, link::LinkStatus, plugin::HttpControl};
use raftmq_api::{
    TlsFiles, Validity, machine,
    node::{CertificateState, FlushState, InspectReply, LinkState, MemberState, TakeoverCount},
};
use raftmq_store::{MemberStatus, Role};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// Identifiers told of; more than the doctor names.
const TAKEOVERS_TOLD: usize = 32;

/// What of the configuration others compare or judge. Nothing of it is a secret.
pub(super) struct Posture {
    shared_settings: BTreeMap<String, String>,
    http: Arc<HttpControl>,
    heartbeat: Duration,
}

impl Posture {
    pub fn new(config: &Config, http: Arc<HttpControl>) -> Posture {
        Posture {
            shared_settings: config.shared_settings(),
            http,
            heartbeat: config.cluster.heartbeat,
        }
    }
}

impl LocalNode {
    pub(super) async fn inspection(&self) -> InspectReply {
        let (engine, posture) = (&self.engine, &self.posture);
        let share_members = share_members::longest_queues(engine).await;
        let http = posture.http.settings();
        let status = engine.store.status();
        let data_dir = self.data_dir.clone();
        let read = move || (machine::read(&data_dir), log_disk_bytes(&data_dir));
        let read = tokio::task::spawn_blocking(read).await;
        let (machine, log_disk_bytes) = read.unwrap_or_default();
        InspectReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: engine.store.identity().incarnation,
            term: status.term,
            leader: status.leader.unwrap_or(0),
            role: role(status.role).to_owned(),
            last_log_index: status.last_log_index,
            committed_index: status.committed_index,
            applied_index: status.applied_index,
            not_ready: not_ready(engine),
            disk_total_bytes: machine.disk_total_bytes,
            disk_free_bytes: machine.disk_free_bytes,
            log_disk_bytes,
            links: link_states(engine),
            members: status.members.iter().map(member_state).collect(),
            flushes: Some(flush_state(engine)),
            settings: posture.shared_settings.clone().into_iter().collect(),
            takeovers: takeover_counts(engine),
            connections: engine.admission.open() as u64,
            connections_max: engine.admission.open_max() as u64,
            http_address: http.address.to_string(),
            http_has_token: http.token.is_some(),
            heartbeat_ms: millis(posture.heartbeat),
            drain: drain::progress(engine, drain::clients(engine).await),
            http_certificate: certificate(&posture.http),
            share_members,
            listener_certificates: listener_certificates(engine),
        }
    }
}

fn certificate(http: &HttpControl) -> Option<CertificateState> {
    let tls = http.tls()?;
    Some(certificate_state("", tls.files(), tls.validity()))
}

fn listener_certificates(engine: &Engine) -> Vec<CertificateState> {
    let with_tls = engine.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref()?;
        Some(certificate_state(
            &listener.name,
            tls.files(),
            tls.validity(),
        ))
    });
    with_tls.collect()
}

fn certificate_state(listener: &str, files: &TlsFiles, validity: Validity) -> CertificateState {
    CertificateState {
        file: files.certificate.display().to_string(),
        subject: validity.subject,
        not_before_ms: validity.not_before_ms,
        not_after_ms: validity.not_after_ms,
        now_ms: crate::shard::wall_clock_ms(),
        listener: listener.to_owned(),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Learner => "learner",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Stopped => "stopped",
    }
}

/// Why the node may not serve; empty: it may.
fn not_ready(engine: &Engine) -> String {
    if *engine.stopping.borrow() {
        return "this node is shutting down".to_owned();
    }
    vitals::readiness(engine).err().unwrap_or_default()
}

pub(super) fn link_states(engine: &Engine) -> Vec<LinkState> {
    let links = engine.links.at_work();
    links
        .iter()
        .map(|link| link_state(link.peer(), link.status()))
        .collect()
}

fn link_state(peer: u64, status: LinkStatus) -> LinkState {
    LinkState {
        peer,
        up: status.up,
        queued_bytes: status.queued_bytes as u64,
        in_flight_bytes: status.in_flight_bytes as u64,
        in_flight_batches: status.in_flight_batches as u64,
        round_trip_us: status.round_trip.map(micros),
        oldest_unacknowledged_ms: millis(status.oldest_unacknowledged),
        window_bytes: status.window_bytes as u64,
        dropped: status.dropped,
    }
}

fn member_state(member: &MemberStatus) -> MemberState {
    MemberState {
        node_id: member.node_id,
        is_voter: member.is_voter,
        is_up: member.is_up,
        last_contact_ms: member.last_contact.map(millis),
    }
}

fn flush_state(engine: &Engine) -> FlushState {
    let times = engine.store.flush_times();
    FlushState {
        count: times.count,
        average_us: micros(times.average),
        slowest_us: micros(times.slowest()),
    }
}

fn takeover_counts(engine: &Engine) -> Vec<TakeoverCount> {
    let worst = engine.takeovers.worst(TAKEOVERS_TOLD).into_iter();
    worst
        .map(|(client_id, count)| TakeoverCount {
            client_id: client_id.to_string(),
            count,
        })
        .collect()
}

/// Sizes of the files of the log's database; what cannot be read counts as 0.
fn log_disk_bytes(data_dir: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(data_dir.join("log")) else {
        return 0;
    };
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
