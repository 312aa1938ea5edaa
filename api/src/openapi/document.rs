//! The document: all operations by path, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation, Text};
use super::parameter;
use crate::http::code::Code;
use crate::http::error::ErrorBody;
use crate::router::Endpoint;

const ABOUT: &str = "Every node answers for the whole cluster. Path segments are split on `/` first and \
    percent-decoded then, so `/routes/foo%2F1` is about the topic `foo/1`. What answers GET answers HEAD, \
    too. Query parameters that an endpoint does not know are ignored; one that is given twice is refused. A \
    method that a path does not answer is 405 with the header Allow. Times are local, YYYY-MM-DD HH:MM:SS, \
    where nothing else is said. Every error has the body `{\"code\", \"message\"}`; programs may rely on \
    `code` and status. A node that does not answer never makes an answer silently shorter: arrays have a row \
    with `error` for it, other answers the header X-Unreachable-Nodes.";

const TOKEN: &str = "The setting http.bearer_token. Where it is not set, no token is needed.";

/// Two generators: a field that may be left out of a body is always there in an answer.
struct Shapes {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// The OpenAPI document of these endpoints.
pub(crate) fn document(endpoints: &[Endpoint]) -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.transforms = vec![Box::new(RecursiveTransform(bounded))];
        })
    };
    let mut shapes = Shapes {
        read: settings().for_deserialize().into_generator(),
        written: settings().for_serialize().into_generator(),
    };
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let item = paths.entry(endpoint.full_path()).or_default();
        let method = endpoint.method.as_str().to_ascii_lowercase();
        item.insert(method, operation(endpoint, &mut shapes));
    }
    let tags: BTreeSet<_> = endpoints.iter().map(tag).collect();
    let tags: Vec<_> = tags.iter().map(|name| json!({"name": name})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "RaftMQ HTTP API", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/", "description": "The node that serves this document."}],
        "security": [{"bearer": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components(shapes),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": TOKEN},
            },
        },
    })
}

/// Names the greatest number of a format, which not every reader knows.
fn bounded(schema: &mut Schema) {
    let max = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64") => u64::MAX,
        _ => return,
    };
    let schema = schema.ensure_object();
    schema.entry("maximum").or_insert_with(|| max.into());
}

fn components(mut shapes: Shapes) -> Map<String, Value> {
    shapes.written.subschema_for::<ErrorBody>();
    let mut all = shapes.written.take_definitions(true);
    all.extend(shapes.read.take_definitions(true));
    all
}

/// The resource: the first word of the path.
fn tag(endpoint: &Endpoint) -> &str {
    let first = endpoint.path.split('/').find(|part| !part.is_empty());
    first.unwrap_or("api")
}

fn operation(endpoint: &Endpoint, shapes: &mut Shapes) -> Value {
    let operation = &endpoint.operation;
    let in_path = parameter::of_path(endpoint.path);
    let parameters = in_path.iter().chain(&operation.query);
    let parameters: Vec<_> = parameters.map(|parameter| parameter.to_json()).collect();
    let mut json = json!({
        "operationId": operation.id, "summary": operation.summary, "tags": [tag(endpoint)],
        "responses": responses(operation, shapes),
    });
    if let Some(detail) = operation.detail {
        json["description"] = detail.into();
    }
    if !parameters.is_empty() {
        json["parameters"] = parameters.into();
    }
    if let Some(shape) = operation.body {
        let schema = shape(&mut shapes.read);
        json["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    if !operation.needs_token {
        json["security"] = json!([]);
    }
    json
}

fn responses(operation: &Operation, shapes: &mut Shapes) -> Map<String, Value> {
    let mut by_status: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in &operation.codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let mut responses = Map::new();
    responses.insert("200".into(), good(operation, shapes));
    for (status, codes) in by_status {
        responses.insert(status.as_str().into(), failure(status, &codes));
    }
    responses
}

fn good(operation: &Operation, shapes: &mut Shapes) -> Value {
    let text = |schema: Value| json!({"text/plain": {"schema": schema}});
    let (description, content) = match &operation.answer {
        Answer::Json(shape) => {
            let schema = shape(&mut shapes.written);
            (
                "The answer.",
                json!({"application/json": {"schema": schema}}),
            )
        }
        Answer::Text(Text::Ok) => ("Done.", text(json!({"type": "string", "const": "ok"}))),
        Answer::Text(Text::Line(what)) => (*what, text(json!({"type": "string"}))),
        Answer::Text(Text::Prometheus) => (
            "Prometheus' text format, version 0.0.4.",
            text(json!({"type": "string"})),
        ),
        Answer::Events(shape) => {
            // OpenAPI 3.1 has no word for a stream: the schema is that of each event's data.
            let schema = shape(&mut shapes.written);
            let description = "Server-sent events, without end: `event: <name>`, `data: <JSON>`. The \
                schema is that of the data. Comments come when nothing happens.";
            (
                description,
                json!({"text/event-stream": {"schema": {"type": "string"}, "x-event-data": schema}}),
            )
        }
    };
    let mut json = json!({"description": description, "content": content});
    if !operation.headers.is_empty() {
        let headers = operation.headers.iter().map(|header| header.describe());
        let headers: Map<_, _> = headers
            .map(|(name, json)| (name.to_owned(), json))
            .collect();
        json["headers"] = headers.into();
    }
    json
}

fn failure(status: StatusCode, codes: &[Code]) -> Value {
    let meanings = codes.iter().map(|code| {
        let (name, meaning) = (code.name(), code.meaning().trim());
        format!("`{name}`: {meaning}")
    });
    let meanings: Vec<_> = meanings.collect();
    let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Error"}],
        "properties": {"code": {"enum": names}},
    });
    let mut json = json!({
        "description": meanings.join(" "),
        "content": {"application/json": {"schema": schema}},
    });
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", json!({"const": "Bearer"}))),
        StatusCode::TOO_MANY_REQUESTS => {
            Some(("Retry-After", json!({"type": "integer", "minimum": 0})))
        }
        _ => None,
    };
    if let Some((name, schema)) = header {
        json["headers"] = json!({name: {"required": true, "schema": schema}});
    }
    json
}
