//! `/cluster/nodes/{node}`: nodes join the running cluster, take the place of a lost one, move to another
//! address, and leave for good. What a change would mean is told with `dry_run=true`.

use axum::extract::State;
use axum::response::Response;
use raftmq_store::{MembershipChange, MembershipError, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::http::body::JsonBody;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::openapi::{Operation, query};
use crate::router::Endpoints;

/// The longest "host:port": a DNS name has at most 253 characters.
const ADDRESS_LEN_MAX: usize = 260;
/// Ids that the configuration takes.
const NODE_ID_MAX: u64 = 65_535;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    let dry_run = || query::boolean("dry_run", "Only tell what it would mean.").default(false);
    endpoints
        .put(
            "/cluster/nodes/{node}",
            admit,
            Operation::json::<Changed>(
                "put_cluster_node",
                "Let a running node join, take the place of a lost one, or move to another address",
            )
            .detail("Done when the node is a learner; it becomes a voter when it has caught up.")
            .query([dry_run()])
            .body::<AdmitBody>()
            .fails([
                Code::InvalidAddress,
                Code::AddressTaken,
                Code::OtherNode,
                Code::NodeIsUp,
                Code::PartOfACluster,
                Code::WasRemoved,
                Code::NoQuorum,
                Code::ChangeRefused,
                Code::NoLeader,
            ]),
        )
        .delete(
            "/cluster/nodes/{node}",
            remove,
            Operation::json::<Changed>(
                "delete_cluster_node",
                "Take a node out of the cluster, for good",
            )
            .query([dry_run()])
            .fails([
                Code::LastNode,
                Code::NoQuorum,
                Code::NodeIsUp,
                Code::ChangeRefused,
                Code::NoLeader,
            ]),
        )
}

#[derive(Debug, Deserialize, JsonSchema)]
struct AdmitBody {
    /// "host:port" of the node's RPC service.
    #[schemars(example = "raftmq-4:5363")]
    address: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MembershipChanged")]
struct Changed {
    node_id: u64,
    #[serde(flatten)]
    change: Change,
    dry_run: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MembershipChange")]
struct Change {
    change: String,
    voters: Vec<u64>,
    voters_after: Vec<u64>,
    up_after: Vec<u64>,
    majority_after: usize,
    /// How many of those that are up may fail then.
    spare_after: usize,
}

impl From<MembershipChange> for Change {
    fn from(done: MembershipChange) -> Self {
        let majority_after = done.voters_after.len() / 2 + 1;
        Self {
            spare_after: done.up_after.len().saturating_sub(majority_after),
            majority_after,
            change: done.change,
            voters: done.voters,
            voters_after: done.voters_after,
            up_after: done.up_after,
        }
    }
}

async fn admit(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
    parameters: Parameters,
    JsonBody(body): JsonBody<AdmitBody>,
) -> Result<Response, ApiError> {
    if id == 0 || id > NODE_ID_MAX {
        let message = format!("Node identifiers are 1 to {NODE_ID_MAX}.");
        return Err(ApiError::new(Code::InvalidNode, message));
    }
    let address = checked(body.address)?;
    let mode = mode(&parameters)?;
    let changed = api.replicated().admit(id, address, mode).await;
    told(id, mode, changed)
}

async fn remove(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let mode = mode(&parameters)?;
    let changed = api.replicated().remove(id, mode).await;
    told(id, mode, changed)
}

fn told(
    node_id: u64,
    mode: Mode,
    changed: Result<MembershipChange, MembershipError>,
) -> Result<Response, ApiError> {
    let change = changed.map_err(|error| refused(node_id, error))?.into();
    Ok(reply::json(&Changed {
        node_id,
        change,
        dry_run: mode == Mode::Forecast,
    }))
}

fn mode(parameters: &Parameters) -> Result<Mode, ApiError> {
    Ok(match parameters.boolean("dry_run")? {
        Some(true) => Mode::Forecast,
        Some(false) | None => Mode::Do,
    })
}

fn checked(address: String) -> Result<String, ApiError> {
    let parts = address.rsplit_once(':');
    let is_one = parts.is_some_and(|(host, port)| {
        let has_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        has_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_one && address.len() <= ADDRESS_LEN_MAX {
        return Ok(address);
    }
    let message = format!("'{address}' is no address; it is host:port of the node's RPC service.");
    Err(ApiError::new(Code::InvalidAddress, message))
}

/// What the store refuses with.
const CODES: [Code; 10] = [
    Code::UnknownNode,
    Code::InvalidAddress,
    Code::NodeUnreachable,
    Code::AddressTaken,
    Code::OtherNode,
    Code::NodeIsUp,
    Code::PartOfACluster,
    Code::WasRemoved,
    Code::LastNode,
    Code::NoQuorum,
];

fn refused(id: u64, error: MembershipError) -> ApiError {
    let (name, reason) = match error {
        MembershipError::Refused { code, reason } => (code, reason),
        MembershipError::Unavailable(why) => return ApiError::new(Code::NoLeader, why),
    };
    let known = CODES.into_iter().find(|code| code.name() == name);
    match known.unwrap_or(Code::ChangeRefused) {
        Code::UnknownNode => ApiError::unknown_node(id),
        code => ApiError::new(code, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["a:1", "10.0.0.1:5363", "[::1]:5363", "raftmq-4.local:65535"] {
            assert_eq!(checked(good.into()).as_deref(), Ok(good));
        }
        for bad in ["", "a", "a:", ":1", "a:0", "a:65536", "a b:1", "http://a:1"] {
            assert!(checked(bad.into()).is_err(), "{bad}");
        }
    }
}
