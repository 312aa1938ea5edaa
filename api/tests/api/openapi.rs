//! The OpenAPI document: it is valid, and says of every endpoint what is true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use boon::{Compiler, Draft, Schemas};
use serde_json::{Value, json};

use crate::contract::{Contract, all};
use crate::world::{Reply, Setup, World};

async fn contract() -> (World, Contract) {
    let world = Setup::default().start().await;
    let contract = Contract::read(&world).await;
    (world, contract)
}

/// Every object of the document.
fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(object) => object.values().for_each(|inner| walk(inner, visit)),
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

#[tokio::test]
async fn the_index_and_the_document_name_the_same_endpoints() {
    let (world, contract) = contract().await;
    let index = world.get("/api/v1").await.json();
    let listed = index.as_array().unwrap().iter().map(|line| {
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        (
            format!("{} /api/v1{}", text("method"), text("path")),
            text("name"),
            text("descr"),
        )
    });
    let listed: BTreeSet<_> = listed.collect();
    let outside = ["/live", "/ready", "/api/v1"];
    let described = all(&contract.document).filter(|(path, ..)| !outside.contains(path));
    let described: BTreeSet<_> = described
        .map(|(path, method, operation)| {
            let text = |field: &str| operation[field].as_str().unwrap().to_owned();
            let endpoint = format!("{} {path}", method.to_uppercase());
            (endpoint, text("operationId"), text("summary"))
        })
        .collect();
    assert_eq!(listed, described);
}

#[tokio::test]
async fn each_path_answers_the_methods_of_the_document_and_no_other() {
    let (world, contract) = contract().await;
    let mut by_path: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, method, _) in all(&contract.document) {
        by_path
            .entry(path)
            .or_default()
            .insert(method.to_uppercase());
    }
    for (path, mut methods) in by_path {
        // What answers GET answers HEAD.
        if methods.contains("GET") {
            methods.insert("HEAD".into());
        }
        let url = format!("{}{}", world.base, path.replace(['{', '}'], ""));
        let refused = world
            .send(world.http.request(reqwest::Method::TRACE, url))
            .await;
        assert_eq!(
            (refused.status, &*refused.code()),
            (405, "method_not_allowed"),
            "{path}"
        );
        let allowed = refused.header("allow").unwrap().split(',');
        let allowed: BTreeSet<_> = allowed.map(|method| method.trim().to_owned()).collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

/// Routes that are not made by `Endpoints` would be in no document.
#[test]
fn routes_are_registered_in_one_place() {
    let allowed = ["router.rs", "dashboard/mod.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if is_source && !allowed.contains(&name.as_str()) {
                let text = fs::read_to_string(&path).unwrap();
                assert!(
                    !text.contains(".route("),
                    "{name} registers a route by itself"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_openapi_3_1() {
    let (_, contract) = contract().await;
    let document = &contract.document;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(has_text(&document["info"]["title"]) && has_text(&document["info"]["version"]));
    let tags = document["tags"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in all(document) {
        let what = format!("{method} {path}");
        assert!(path.starts_with('/'), "{what}");
        assert!(["get", "put", "post", "delete"].contains(&method), "{what}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{what}"
        );
        assert!(has_text(&operation["summary"]), "{what}");
        assert!(
            tags.contains(&json!({"name": operation["tags"][0]})),
            "{what}"
        );
        check_parameters(path, operation);
        check_responses(&what, operation);
        let is_get = method == "get" || method == "delete";
        assert!(!is_get || operation["requestBody"].is_null(), "{what}");
    }
    assert!(ids.len() > 50, "{ids:?}");
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
}

fn check_parameters(path: &str, operation: &Value) {
    let none = Vec::new();
    let parameters = operation["parameters"].as_array().unwrap_or(&none);
    let mut seen = BTreeSet::new();
    for parameter in parameters {
        let place = (parameter["in"].as_str(), parameter["name"].as_str());
        assert!(seen.insert(place), "{path}: {place:?} stands there twice");
        assert!(has_text(&parameter["description"]), "{path}: {parameter}");
        assert!(parameter["schema"].is_object(), "{path}: {parameter}");
    }
    let in_path = parameters.iter().filter(|p| p["in"] == "path");
    let described: Vec<_> = in_path
        .map(|p| {
            assert_eq!(p["required"], true, "{path}");
            p["name"].as_str().unwrap()
        })
        .collect();
    let segments = path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
    assert_eq!(described, segments.collect::<Vec<_>>(), "{path}");
}

fn check_responses(what: &str, operation: &Value) {
    let responses = operation["responses"].as_object().unwrap();
    assert!(responses.contains_key("200"), "{what}");
    let needs_token = operation["security"] != json!([]);
    assert_eq!(responses.contains_key("401"), needs_token, "{what}");
    for (status, response) in responses {
        assert!(has_text(&response["description"]), "{what}: {status}");
        assert_eq!(status.len(), 3, "{what}: {status}");
        let content = response["content"].as_object().unwrap();
        assert!(
            content.values().all(|c| c["schema"].is_object()),
            "{what}: {status}"
        );
        if status != "200" {
            let schema = &content["application/json"]["schema"];
            let codes = schema["properties"]["code"]["enum"].as_array().unwrap();
            assert!(!codes.is_empty(), "{what}: {status}");
        }
    }
}

#[tokio::test]
async fn every_shape_is_a_json_schema_with_a_name_of_its_own_and_is_used() {
    let (_, contract) = contract().await;
    let schemas = contract.document["components"]["schemas"]
        .as_object()
        .unwrap();
    let mut used = BTreeSet::new();
    walk(&contract.document, &mut |value| {
        if let Some(Value::String(target)) = value.get("$ref") {
            let name = target.strip_prefix("#/components/schemas/");
            used.insert(name.unwrap_or(target).to_owned());
        }
    });
    assert_eq!(used, schemas.keys().cloned().collect());
    for name in schemas.keys() {
        // Two types of one name would have got numbers.
        let last = name.chars().last().unwrap();
        assert!(
            last.is_ascii_alphabetic() && !name.contains("_for_"),
            "{name}"
        );
        let root = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": contract.document["components"],
        });
        let (mut compiled, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V2020_12);
        let place = "http://raftmq.test/schema.json";
        compiler.add_resource(place, root).unwrap();
        if let Err(error) = compiler.compile(place, &mut compiled) {
            panic!("{name}: {error:#}");
        }
    }
}

#[tokio::test]
async fn the_codes_of_errors_are_a_closed_list() {
    let (_, contract) = contract().await;
    let error = &contract.document["components"]["schemas"]["Error"];
    let list = |value: &Value| -> BTreeSet<String> {
        let names = value.as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let known = list(&error["properties"]["code"]["enum"]);
    let mut answered = BTreeSet::new();
    for (_, _, operation) in all(&contract.document) {
        for response in operation["responses"].as_object().unwrap().values() {
            let schema = &response["content"]["application/json"]["schema"];
            if let Some(codes) = schema["properties"]["code"].get("enum") {
                answered.extend(list(codes));
            }
        }
    }
    assert!(answered.is_subset(&known));
    // Those are answered where there is no endpoint.
    let nowhere: BTreeSet<_> = known.difference(&answered).map(String::as_str).collect();
    assert_eq!(nowhere, ["method_not_allowed", "unknown_path"].into());
    assert_eq!(error["required"], json!(["code", "message"]));
}

#[tokio::test]
async fn the_document_is_the_same_each_time_and_needs_the_token() {
    let (world, contract) = contract().await;
    let other = Setup::default().start().await;
    assert_eq!(Contract::read(&other).await.document, contract.document);
    let again = world.get("/api/v1/openapi.json").await;
    assert_eq!(again.json(), contract.document);
    let config = raftmq_api::ApiConfig {
        http_bearer_token: Some("s3cret".into()),
        ..Setup::default().config
    };
    let world = Setup {
        config,
        ..Setup::default()
    }
    .start()
    .await;
    assert_eq!(world.get("/api/v1/openapi.json").await.status, 401);
}

/// The rule of the golden tests can fail.
#[tokio::test]
async fn an_answer_that_the_document_does_not_describe_is_found() {
    let (world, contract) = contract().await;
    let good = || world.get("/api/v1/routes");
    assert_eq!(contract.hold("get_routes", &good().await), Ok(()));
    let with_body = async |body: &str| Reply {
        body: body.to_owned(),
        ..good().await
    };
    let mut other_status = good().await;
    other_status.status = 418;
    let mut other_type = good().await;
    let html = reqwest::header::HeaderValue::from_static("text/html");
    other_type.headers.insert("content-type", html.clone());
    let mut without_header = good().await;
    without_header.headers.remove("x-applied-index");
    let mut more_headers = good().await;
    more_headers.headers.insert("x-surprise", html);
    for (what, reply) in [
        ("status", other_status),
        ("content type", other_type),
        ("missing header", without_header),
        ("further header", more_headers),
        ("no array", with_body("{}").await),
        ("missing field", with_body(r#"[{"topic": "a"}]"#).await),
        (
            "wrong type",
            with_body(r#"[{"topic": "a", "node_id": "1"}]"#).await,
        ),
        (
            "further field",
            with_body(r#"[{"topic": "a", "node_id": 1, "more": 1}]"#).await,
        ),
    ] {
        assert!(contract.hold("get_routes", &reply).is_err(), "{what}");
    }
}
