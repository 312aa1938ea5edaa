//! The OpenAPI document as a contract that answers are held against.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use boon::{Compiler, Draft, Schemas};
use serde_json::{Value, json};

use crate::world::{Reply, World};

/// The document, and where it describes which operation.
pub struct Contract {
    pub document: Value,
    operations: BTreeMap<String, Value>,
    /// Its components, in which no further fields are allowed.
    components: Value,
}

impl Contract {
    pub async fn read(world: &World) -> Self {
        let document = world.get("/api/v1/openapi.json").await.json();
        let mut operations = BTreeMap::new();
        for (_, _, operation) in all(&document) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.insert(id, operation.clone());
        }
        let mut components = document["components"].clone();
        close(&mut components);
        Self {
            document,
            operations,
            components,
        }
    }

    /// Every `operationId`.
    pub fn operations(&self) -> BTreeSet<&str> {
        self.operations.keys().map(String::as_str).collect()
    }

    /// Whether an answer is one of those that the document describes, to the last field.
    pub fn hold(&self, operation: &str, reply: &Reply) -> Result<(), String> {
        let status = reply.status.to_string();
        let described = &self.operations[operation]["responses"][&status];
        if described.is_null() {
            return Err(format!("status {status} is not in the document"));
        }
        hold_headers(described, reply)?;
        let content_type = reply.header("content-type").unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default();
        let content = &described["content"][content_type];
        if content.is_null() {
            return Err(format!("'{content_type}' is not in the document"));
        }
        let schema = content.get("schema").ok_or("no schema")?;
        let value = match content_type {
            "application/json" => serde_json::from_str(&reply.body).map_err(|e| e.to_string())?,
            _ => Value::from(reply.body.as_str()),
        };
        self.check(schema, &value)?;
        // Each event of a stream has a shape, too.
        let Some(shape) = content.get("x-event-data") else {
            return Ok(());
        };
        let mut data = reply.body.lines().filter_map(|l| l.strip_prefix("data: "));
        data.try_for_each(|data| self.check(shape, &serde_json::from_str(data).unwrap()))
    }

    /// Whether a value has a shape, and no field that is not in it.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut schema = schema.clone();
        close(&mut schema);
        let root = json!({"allOf": [schema], "components": self.components});
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V2020_12);
        let place = "http://raftmq.test/schema.json";
        compiler
            .add_resource(place, root)
            .map_err(|e| e.to_string())?;
        let compiled = compiler.compile(place, &mut schemas);
        let index = compiled.map_err(|error| format!("{error:#}"))?;
        let valid = schemas.validate(value, index);
        valid.map_err(|error| format!("{error:#}"))
    }
}

/// Path, method and description of every operation.
pub fn all(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn hold_headers(described: &Value, reply: &Reply) -> Result<(), String> {
    let none = serde_json::Map::new();
    let known = described["headers"].as_object().unwrap_or(&none);
    let is_known = |name: &str| known.keys().any(|k| k.eq_ignore_ascii_case(name));
    let ours = |name: &&str| name.starts_with("x-") && *name != "x-accel-buffering";
    let mut sent = reply.headers.keys().map(|name| name.as_str()).filter(ours);
    if let Some(name) = sent.find(|name| !is_known(name)) {
        return Err(format!("the header {name} is not in the document"));
    }
    let required = known
        .iter()
        .filter(|(_, header)| header["required"] == true);
    for (name, _) in required {
        if reply.header(name).is_none() {
            return Err(format!("the header {name} is missing"));
        }
    }
    Ok(())
}

/// Refuses fields that are not named. Clients must not be so strict: later versions add fields.
fn close(schema: &mut Value) {
    let alternatives = ["allOf", "anyOf", "oneOf"];
    match schema {
        Value::Object(object) => {
            let is_open = object.contains_key("properties")
                && object.contains_key("type")
                && !object.contains_key("additionalProperties");
            if is_open {
                object.insert("unevaluatedProperties".into(), false.into());
            }
            for (name, inner) in object.iter_mut() {
                // Parts of one object: the whole is closed, its parts must not be.
                if is_open && alternatives.contains(&name.as_str()) {
                    let parts = inner.as_array_mut().into_iter().flatten();
                    parts.for_each(close_inside);
                } else {
                    close(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn close_inside(part: &mut Value) {
    if let Some(properties) = part.get_mut("properties") {
        close(properties);
    }
}
