//! `/clients`: who is connected where, and whose session waits.
//!
//! Queue lengths are live, so every node is asked for the sessions that it owns. What a node that
//! does not answer owns is in the replicated table: those rows come from there (with queue lengths
//! unknown, as 0), and the header `X-Unreachable-Nodes` names the node.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::client_json::ClientJson;
use crate::api::{Api, Asked, Member};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::page::encode_cursor;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::http::rows::{WriteRow, rows};
use crate::http::segment::Segment;
use crate::node::{ClientFilter, ClientPage, ClientQuery, ClientRow, Node, NodeError, PageBuilder};
use crate::node::{merge, shown_username};
use crate::openapi::{Header, Operation, Parameter, Text, query};
use crate::replicated::{KnownSession, PIECE_SESSIONS};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/clients",
            list,
Operation::json::<Vec<ClientJson<'static>>>("get_clients", "Return the clients of the cluster that match the query").query(parameters()).query([query::boolean("connected", "Whether it is connected.")]).query(queue_parameters()).paged().consistent().header(Header::UnreachableNodes),
        )
        .get(
            "/clients/{clientid}",
            one,
Operation::json::<ClientJson<'static>>("get_client", "Return one client").consistent().asks_a_node().fails([Code::UnknownClient]).header(Header::UnreachableNodes),
        )
        .get(
            "/clients/{clientid}/online",
            online,
Operation::json::<bool>("get_client_online", "Check whether a client is online").detail("A client that is not known is not online.").consistent().header(Header::AppliedIndex),
        )
        .delete(
            "/clients/{clientid}",
            kick,
Operation::text("kick_client", "Disconnect a client and end its session", Text::Line("Identifier of the connection: `{node}@{local address}/{remote address}/{clientid}/{username}`.")).detail("An MQTT 5 client gets DISCONNECT with reason 0x98. The node of the client need not be up.").fails([Code::UnknownClient, Code::NoLeader]),
        )
}

/// The conditions of the list but `connected` and those on queues.
pub(super) fn parameters() -> [Parameter; 13] {
    [
        query::text("clientid", "Client identifier."),
        query::text("username", "User name."),
        query::text("ip_address", "Address of the client, without its port."),
        query::text(
            "listener",
            "Name of the listener by which it connected last; `mqtt` for the one at `mqtt.addr`.",
        ),
        query::boolean("clean_start", "Whether it connected with a clean start."),
        query::boolean("session_present", "Whether it came back to a session."),
        query::number("proto_ver", 255, "Protocol level: 3, 4 or 5."),
        query::text("_like_clientid", "Part of the client identifier."),
        query::text("_like_username", "Part of the user name."),
        query::time("_gte_created_at", "Session created at this time or later."),
        query::time(
            "_lte_created_at",
            "Session created at this time or earlier.",
        ),
        query::time("_gte_connected_at", "Connected at this time or later."),
        query::time("_lte_connected_at", "Connected at this time or earlier."),
    ]
}

/// The conditions on queues.
pub(super) fn queue_parameters() -> [Parameter; 2] {
    [
        query::number(
            "_gte_mqueue_len",
            u64::MAX,
            "At least so many messages wait.",
        ),
        query::number(
            "_lte_mqueue_len",
            u64::MAX,
            "At most so many messages wait.",
        ),
    ]
}

/// What [`parameters`] and [`queue_parameters`] ask for.
pub(super) fn filter(query: &Parameters) -> Result<ClientFilter, ApiError> {
    Ok(ClientFilter {
        client_id: query.text("clientid"),
        username: query.text("username"),
        ip_address: query.text("ip_address"),
        listener: query.text("listener"),
        connected: None,
        clean_start: query.boolean("clean_start")?,
        session_present: query.boolean("session_present")?,
        protocol_version: query.number::<u8>("proto_ver")?.map(u32::from),
        like_client_id: query.text("_like_clientid"),
        like_username: query.text("_like_username"),
        created_from_ms: query.lower_ms("_gte_created_at")?,
        created_to_ms: query.upper_ms("_lte_created_at")?,
        connected_from_ms: query.lower_ms("_gte_connected_at")?,
        connected_to_ms: query.upper_ms("_lte_connected_at")?,
        queue_from: query.number("_gte_mqueue_len")?,
        queue_to: query.number("_lte_mqueue_len")?,
    })
}

async fn list(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    let filter = ClientFilter {
        connected: parameters.boolean("connected")?,
        ..filter(&parameters)?
    };
    page(&api, &parameters, filter).await
}

/// A page of those clients that the filter lets through.
pub(super) async fn page(
    api: &Api,
    parameters: &Parameters,
    filter: ClientFilter,
) -> Result<Response, ApiError> {
    let query = ClientQuery {
        filter,
        after: parameters.cursor()?,
        limit: parameters.limit()?,
    };
    api.freshen(parameters.consistency()?).await?;
    let (pages, unreachable) = ask_all(api, &query).await;
    let page = merge(pages, query.limit);
    let last = page.rows.last().filter(|_| page.more);
    let next_cursor = last.and_then(|row| encode_cursor(&row.client_id));
    let qualifiers = Qualifiers {
        unreachable,
        next_cursor,
        ..Default::default()
    };
    let write: WriteRow<ClientRow> = |row, out| serde_json::to_writer(out, &ClientJson::from(row));
    Ok(qualifiers.attach(rows(page.rows, write)))
}

/// The pages of all nodes, and who did not answer: their page comes from the table.
async fn ask_all(api: &Api, query: &ClientQuery) -> (Vec<ClientPage>, Vec<u64>) {
    let question = |node: Arc<dyn Node>| -> Asked<ClientPage> {
        let query = query.clone();
        Box::pin(async move { node.clients(query).await })
    };
    let (mut pages, mut unreachable) = (Vec::new(), Vec::new());
    for (member, answer) in api.ask_all(question).await {
        match answer {
            Ok(page) => pages.push(page),
            Err(_) => unreachable.push(member.id),
        }
    }
    if !unreachable.is_empty() {
        pages.push(page_from_table(api, query.clone(), &unreachable).await);
    }
    (pages, unreachable)
}

/// The sessions that the table knows at `nodes`.
async fn page_from_table(api: &Api, query: ClientQuery, nodes: &[u64]) -> ClientPage {
    let mut after = query.after.clone();
    let mut page = PageBuilder::new(query);
    loop {
        let sessions = api
            .replicated()
            .sessions_after(after.as_deref(), PIECE_SESSIONS);
        let last_piece = sessions.len() < PIECE_SESSIONS;
        after = sessions.last().map(|session| session.row.client_id.clone());
        let here = sessions
            .into_iter()
            .filter(|session| nodes.contains(&session.row.node_id));
        here.for_each(|session| page.offer(session.row));
        if last_piece || page.is_full() {
            return page.finish();
        }
        tokio::task::yield_now().await;
    }
}

fn session(api: &Api, client_id: &str) -> Result<KnownSession, ApiError> {
    let session = api.replicated().session(client_id);
    session.ok_or_else(|| ApiError::unknown_client(client_id))
}

async fn one(
    State(api): State<Api>,
    Segment(client_id): Segment,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    api.freshen(parameters.consistency()?).await?;
    let known = session(&api, &client_id)?.row;
    let (row, unreachable) = match ask_owner(&api, &known).await {
        Ok(Some(row)) => (row, Vec::new()),
        // It moved or ended while we asked: the table knows.
        Ok(None) => (session(&api, &client_id)?.row, Vec::new()),
        // What an offline session is, but for its queue, the table knows, too.
        Err(_) if !known.connected => (known.clone(), vec![known.node_id]),
        Err(error) => return Err(error.into()),
    };
    let qualifiers = Qualifiers {
        unreachable,
        ..Default::default()
    };
    Ok(qualifiers.attach(reply::json(&ClientJson::from(&row))))
}

async fn ask_owner(api: &Api, known: &ClientRow) -> Result<Option<ClientRow>, NodeError> {
    let members = api.members();
    let owner: Option<&Member> = members.iter().find(|member| member.id == known.node_id);
    let unknown = || NodeError::Unreachable(format!("node {} is not known here", known.node_id));
    let client_id = known.client_id.clone();
    api.ask(owner.ok_or_else(unknown)?, |node| {
        Box::pin(async move { node.client(client_id).await })
    })
    .await
}

async fn online(
    State(api): State<Api>,
    Segment(client_id): Segment,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    api.freshen(parameters.consistency()?).await?;
    let applied_index = Some(api.replicated().applied_index());
    let online = api
        .replicated()
        .session(&client_id)
        .is_some_and(|session| session.row.connected);
    Ok(Qualifiers {
        applied_index,
        ..Default::default()
    }
    .attach(reply::json(&online)))
}

/// Ends the session through the table, whichever node owns it and whether that node is up or not;
/// the owner disconnects the client when it applies that.
async fn kick(State(api): State<Api>, Segment(client_id): Segment) -> Result<Response, ApiError> {
    let session = session(&api, &client_id)?;
    let failed = |e: crate::replicated::ReplicationError| {
        ApiError::new(
            Code::NoLeader,
            format!("The session may not have been ended: {e}"),
        )
    };
    api.replicated()
        .end_session(&client_id)
        .await
        .map_err(failed)?;
    Ok(reply::text(connection_id(&session)))
}

/// `{node}@{local ip:port}/{remote ip:port}/{clientid}/{username}`.
fn connection_id(session: &KnownSession) -> String {
    let (row, local_address) = (&session.row, &session.local_address);
    let username = shown_username(row);
    format!(
        "{}@{local_address}/{}/{}/{username}",
        row.node_id, row.peer_address, row.client_id
    )
}
