//! `/plugins`: the switchable parts of each node, their settings, and loading, unloading, reloading.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::Row;
use crate::api::{Api, Member};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::segment::{NodeAndName, NodeSegment};
use crate::node::{NodeError, PluginCommand, PluginRow};
use crate::openapi::{Operation, Text};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    let endpoints = endpoints
        .get(
            "/plugins",
            list,
            Operation::json::<Vec<Row<NodePlugins, MissingPlugins>>>(
                "all_plugins",
                "Return the plugins of each node",
            ),
        )
        .get(
            "/plugins/{node}",
            of_node,
            Operation::json::<Vec<Plugin>>("node_plugins", "Return the plugins of one node"),
        )
        .get(
            "/plugins/{node}/{plugin}",
            one,
            Operation::json::<Plugin>("node_plugin_info", "Return one plugin of one node"),
        )
        .get(
            "/plugins/{node}/{plugin}/config",
            config,
            Operation::json::<serde_json::Map<String, Value>>(
                "node_plugin_config",
                "Return the configuration of a plugin",
            )
            .detail("Settings in force, without secrets."),
        );
    endpoints
        .put(
            "/plugins/{node}/{plugin}/config/reload",
            reload,
            Operation::text(
                "node_plugin_config_reload",
                "Read the configuration of a plugin again",
                Text::Ok,
            )
            .fails([Code::Refused]),
        )
        .put(
            "/plugins/{node}/{plugin}/load",
            load,
            Operation::text("node_plugin_load", "Put a plugin to work", Text::Ok)
                .fails([Code::Refused]),
        )
        .put(
            "/plugins/{node}/{plugin}/unload",
            unload,
            Operation::json::<bool>("node_plugin_unload", "Take a plugin out of work")
                .detail("Whether it was at work.")
                .fails([Code::Refused]),
        )
}

/// The plugins of one node.
#[derive(Debug, Serialize, JsonSchema)]
struct NodePlugins {
    node: u64,
    plugins: Vec<Plugin>,
}

/// What stands in the list for a node that did not answer.
#[derive(Debug, Serialize, JsonSchema)]
struct MissingPlugins {
    node: u64,
    error: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Plugin {
    name: String,
    version: String,
    descr: String,
    active: bool,
    inited: bool,
    immutable: bool,
    attrs: Value,
    authors: &'static str,
    homepage: &'static str,
    license: &'static str,
    repository: &'static str,
}

impl From<PluginRow> for Plugin {
    fn from(row: PluginRow) -> Self {
        Self {
            // Written by one of our own nodes; another version's is not a reason to show nothing.
            attrs: serde_json::from_str(&row.attributes_json).unwrap_or(Value::Null),
            name: row.name,
            version: row.version,
            descr: row.description,
            active: row.active,
            inited: row.inited,
            immutable: row.immutable,
            authors: "The RaftMQ authors",
            homepage: "",
            license: env!("CARGO_PKG_LICENSE"),
            repository: "",
        }
    }
}

fn plugins(rows: Vec<PluginRow>) -> Vec<Plugin> {
    rows.into_iter().map(Plugin::from).collect()
}

fn row(
    (member, answer): (Member, Result<Vec<PluginRow>, NodeError>),
) -> Row<NodePlugins, MissingPlugins> {
    match answer {
        Ok(rows) => Row::Answer(NodePlugins {
            node: member.id,
            plugins: plugins(rows),
        }),
        Err(error) => Row::Missing(MissingPlugins {
            node: member.id,
            error: error.to_string(),
        }),
    }
}

async fn list(State(api): State<Api>) -> Response {
    let answers = api
        .ask_all(|node| Box::pin(async move { node.plugins().await }))
        .await;
    let rows: Vec<_> = answers.into_iter().map(row).collect();
    reply::json(&rows)
}

async fn ask(api: &Api, node: u64) -> Result<Vec<PluginRow>, ApiError> {
    let member = api.known_member(node)?;
    let answer = api
        .ask(&member, |node| {
            Box::pin(async move { node.plugins().await })
        })
        .await?;
    Ok(answer)
}

async fn of_node(
    State(api): State<Api>,
    NodeSegment(node): NodeSegment,
) -> Result<Response, ApiError> {
    Ok(reply::json(&plugins(ask(&api, node).await?)))
}

async fn one(State(api): State<Api>, path: NodeAndName) -> Result<Response, ApiError> {
    let rows = ask(&api, path.node).await?;
    let row = rows.into_iter().find(|row| row.name == path.name);
    let row = row.ok_or(NodeError::UnknownPlugin)?;
    Ok(reply::json(&Plugin::from(row)))
}

async fn config(State(api): State<Api>, path: NodeAndName) -> Result<Response, ApiError> {
    let member = api.known_member(path.node)?;
    let answer = api
        .ask(&member, |node| {
            Box::pin(async move { node.plugin_config(path.name).await })
        })
        .await?;
    let json = RawValue::from_string(answer)
        .map_err(|error| ApiError::internal(format!("the settings are no JSON: {error}")))?;
    Ok(reply::json(&json))
}

async fn command(api: &Api, path: NodeAndName, command: PluginCommand) -> Result<bool, ApiError> {
    let member = api.known_member(path.node)?;
    let changed = api
        .ask(&member, |node| {
            Box::pin(async move { node.command_plugin(path.name, command).await })
        })
        .await?;
    Ok(changed)
}

async fn reload(State(api): State<Api>, path: NodeAndName) -> Result<Response, ApiError> {
    command(&api, path, PluginCommand::Reload).await?;
    Ok(reply::text("ok"))
}

async fn load(State(api): State<Api>, path: NodeAndName) -> Result<Response, ApiError> {
    command(&api, path, PluginCommand::Load).await?;
    Ok(reply::text("ok"))
}

async fn unload(State(api): State<Api>, path: NodeAndName) -> Result<Response, ApiError> {
    let changed = command(&api, path, PluginCommand::Unload).await?;
    Ok(reply::json(&changed))
}
