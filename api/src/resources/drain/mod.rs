//! `/nodes/{node}/drain`: a node's clients are sent to the other nodes, gently.
//!
//! The order is written into the replicated table, so any node takes it for any node, and all show it.
//! Progress is the draining node's own to tell. What an order would mean is told before it is given
//! (`dry_run=true`).

mod forecast;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Api, Member};
use crate::cluster::evidence;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::node::{DrainProgress, DrainReply};
use crate::openapi::{Operation, query};
use crate::replicated::{DrainOrder, DrainRefusal, KnownDrain, KnownNode};
use crate::router::Endpoints;
use crate::time;
use forecast::Forecast;

/// Clients sent away per second when the order does not say.
const CLIENTS_PER_SECOND: u32 = 100;
const CLIENTS_PER_SECOND_MAX: u32 = 100_000;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/nodes/{node}/drain",
            status,
            Operation::json::<Status>(
                "get_node_drain",
                "Return whether a node is draining, and how far it is",
            ),
        )
        .put(
            "/nodes/{node}/drain",
            order,
            Operation::json::<Ordered>(
                "drain_node",
                "Send a node's clients to the other nodes",
            )
            .detail("With dry_run=true nothing is done, and the answer is a forecast.")
            .query([
                query::number(
                    "clients_per_second",
                    CLIENTS_PER_SECOND_MAX.into(),
                    "So many clients are sent away per second; 0: they stay, and only new ones are sent elsewhere.",
                )
                .default(CLIENTS_PER_SECOND),
                query::boolean("dry_run", "Only tell what it would mean.").default(false),
            ])
            .fails([Code::NoOtherNode, Code::NoLeader]),
        )
        .delete(
            "/nodes/{node}/drain",
            take_back,
            Operation::json::<Status>("undrain_node", "Let a draining node take clients again")
                .fails([Code::NoLeader]),
        )
}

/// The answer to an order: how far it is, or what it would mean.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "DrainOrdered")]
enum Ordered {
    Status(Status),
    Forecast(Forecast),
}

/// How far a drain is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DrainProgress")]
pub(super) struct Progress<'a> {
    step: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    clients: u64,
    sent_away: u64,
    clients_per_second: u32,
    since: String,
}

impl<'a> Progress<'a> {
    pub(super) fn new(order: KnownDrain, progress: &'a DrainProgress) -> Self {
        Self {
            step: &progress.step,
            reason: &progress.reason,
            clients: progress.clients,
            sent_away: progress.sent_away,
            clients_per_second: order.clients_per_second,
            since: time::local(order.since_ms),
        }
    }
}

/// What stays on the node: sessions whose clients are away. They move when these come back elsewhere.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct StayBehind {
    sessions: u64,
    with_messages: u64,
    messages: u64,
}

impl From<&DrainReply> for StayBehind {
    fn from(reply: &DrainReply) -> Self {
        Self {
            sessions: reply.offline_sessions,
            with_messages: reply.offline_with_messages,
            messages: reply.offline_messages,
        }
    }
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "DrainStatus")]
struct Status {
    node_id: u64,
    node_name: String,
    draining: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients_per_second: Option<u32>,
    #[serde(flatten)]
    answer: Option<Answer>,
    /// Why the node does not say more.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What only the node itself knows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DrainAnswer")]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    leads: bool,
    clients: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_away: Option<u64>,
    /// At the pace of the order; absent: clients stay, or the node is not draining.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    stay_behind: StayBehind,
}

impl Answer {
    fn new(reply: DrainReply, order: Option<KnownDrain>) -> Self {
        let pace = order.map_or(0, |order| order.clients_per_second);
        Self {
            leads: reply.leads,
            clients: reply.clients,
            seconds_left: (pace > 0).then(|| seconds(reply.clients, pace)),
            stay_behind: (&reply).into(),
            sent_away: reply.progress.as_ref().map(|progress| progress.sent_away),
            reason: reply
                .progress
                .as_ref()
                .map(|progress| progress.reason.clone())
                .filter(|reason| !reason.is_empty()),
            step: reply.progress.map(|progress| progress.step),
        }
    }
}

/// How long `clients` take at that pace, which is not 0.
fn seconds(clients: u64, clients_per_second: u32) -> u64 {
    clients.div_ceil(u64::from(clients_per_second.max(1)))
}

fn known(api: &Api, id: u64) -> Option<KnownNode> {
    let nodes = api.replicated().nodes();
    nodes.into_iter().find(|node| node.id == id)
}

async fn describe(api: &Api, member: &Member) -> Status {
    let drain = known(api, member.id).and_then(|node| node.drain);
    let answer = api
        .ask(member, |node| Box::pin(async move { node.drain().await }))
        .await;
    let (answer, error) = match answer {
        Ok(reply) => (Some(Answer::new(reply, drain)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Status {
        node_id: member.id,
        node_name: member.name.clone(),
        draining: drain.is_some(),
        since: drain.map(|drain| time::local(drain.since_ms)),
        clients_per_second: drain.map(|drain| drain.clients_per_second),
        answer,
        error,
    }
}

async fn status(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    Ok(reply::json(&describe(&api, &member).await))
}

async fn order(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let pace = pace(&parameters)?;
    if parameters.boolean("dry_run")?.unwrap_or(false) {
        return foretell(&api, &member, pace).await;
    }
    let order = DrainOrder {
        clients_per_second: pace,
    };
    let ordered = api.replicated().set_drain(id, Some(order)).await;
    ordered.map_err(|refusal| refused(id, refusal))?;
    let status = describe(&api, &member).await;
    Ok(reply::json(&Ordered::Status(status)))
}

async fn take_back(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let taken_back = api.replicated().set_drain(id, None).await;
    taken_back.map_err(|refusal| refused(id, refusal))?;
    Ok(reply::json(&describe(&api, &member).await))
}

fn pace(parameters: &Parameters) -> Result<u32, ApiError> {
    let pace = parameters.number("clients_per_second")?;
    let pace = pace.unwrap_or(CLIENTS_PER_SECOND);
    if pace > CLIENTS_PER_SECOND_MAX {
        let message =
            format!("clients_per_second is at most {CLIENTS_PER_SECOND_MAX}; 0 lets clients stay.");
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    Ok(pace)
}

async fn foretell(api: &Api, member: &Member, pace: u32) -> Result<Response, ApiError> {
    let load = api
        .ask(member, |node| Box::pin(async move { node.drain().await }))
        .await?;
    let nodes = evidence::gather(api).await;
    let known = api.replicated().nodes();
    let forecast = Forecast::new(member, &load, pace, &nodes, &known);
    Ok(reply::json(&Ordered::Forecast(forecast)))
}

fn refused(id: u64, refusal: DrainRefusal) -> ApiError {
    match refusal {
        DrainRefusal::UnknownNode => ApiError::unknown_node(id),
        DrainRefusal::NoOtherNode => ApiError::new(
            Code::NoOtherNode,
            format!(
                "No other node is up and takes clients: node {id} cannot drain. Start another node, or DELETE the drain of one."
            ),
        ),
        DrainRefusal::NotReplicated(why) => ApiError::new(Code::NoLeader, why),
    }
}
