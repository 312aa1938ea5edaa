//! Plugins of this node and of others: what they are, their settings, and changing them.

use std::sync::Arc;

use serde_json::json;

use crate::world::{Reply, Setup, TestNode, World, serve_peer, silent_peer};

async fn world() -> (World, Arc<TestNode>) {
    let peer = Arc::new(TestNode::default());
    let peers = vec![
        (2, serve_peer(2, peer.clone()).await),
        (3, silent_peer().await),
    ];
    let setup = Setup {
        peers,
        ..Setup::default()
    };
    (setup.start().await, peer)
}

async fn put(world: &World, path: &str) -> Reply {
    let url = format!("{}/api/v1{path}", world.base);
    world.send(world.http.put(url)).await
}

#[tokio::test]
async fn plugins_of_every_node_are_listed_and_a_silent_node_is_named() {
    let (world, _) = world().await;
    let list = world.get("/api/v1/plugins").await.json();
    assert_eq!(list[0]["node"], 1);
    assert_eq!(list[1]["plugins"][0]["name"], "rmqtt-acl");
    assert_eq!(list[2]["node"], 3);
    assert!(list[2]["error"].is_string(), "{list}");
    let expected = json!({
        "name": "rmqtt-acl", "version": "0.1.0", "descr": "A plugin", "active": true, "inited": true,
        "immutable": false, "attrs": {"rules": 2}, "authors": "The RaftMQ authors", "homepage": "",
        "license": "MIT OR Apache-2.0", "repository": "",
    });
    for node in [1, 2] {
        let of_node = world.get(&format!("/api/v1/plugins/{node}")).await.json();
        assert_eq!(of_node[0], expected);
        let one = world
            .get(&format!("/api/v1/plugins/{node}/rmqtt-acl"))
            .await;
        assert_eq!(one.json(), expected);
    }
    assert_eq!(world.get("/api/v1/plugins/3").await.status, 503);
}

#[tokio::test]
async fn settings_are_shown_as_the_node_tells_them() {
    let (world, _) = world().await;
    for node in [1, 2] {
        let path = format!("/api/v1/plugins/{node}/rmqtt-acl/config");
        let config = world.get(&path).await.json();
        assert_eq!(config, json!({"rules": [["allow", "all"]]}));
    }
}

#[tokio::test]
async fn commands_reach_the_node_that_is_meant() {
    let (world, peer) = world().await;
    let reload = put(&world, "/plugins/2/rmqtt-acl/config/reload").await;
    assert_eq!((reload.status, reload.text()), (200, "ok"));
    let load = put(&world, "/plugins/2/rmqtt-acl/load").await;
    assert_eq!((load.status, load.text()), (200, "ok"));
    let unload = put(&world, "/plugins/2/rmqtt-acl/unload").await;
    assert_eq!((unload.status, unload.json()), (200, json!(true)));
    let told = peer.told.lock().unwrap().clone();
    assert_eq!(
        told,
        ["Reload rmqtt-acl", "Load rmqtt-acl", "Unload rmqtt-acl"]
    );
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_cannot_be_changed_400() {
    let (world, _) = world().await;
    for node in [1, 2] {
        for path in ["", "/config"] {
            let path = format!("/api/v1/plugins/{node}/rmqtt-nothing{path}");
            let reply = world.get(&path).await;
            assert_eq!(
                (reply.status, &*reply.code()),
                (404, "unknown_plugin"),
                "{path}"
            );
        }
        for command in ["load", "unload", "config/reload"] {
            let unknown = put(&world, &format!("/plugins/{node}/rmqtt-nothing/{command}")).await;
            assert_eq!((unknown.status, &*unknown.code()), (404, "unknown_plugin"));
            let fixed = put(&world, &format!("/plugins/{node}/rmqtt-counter/{command}")).await;
            assert_eq!((fixed.status, &*fixed.code()), (400, "refused"));
        }
    }
    assert_eq!(world.get("/api/v1/plugins/9").await.code(), "unknown_node");
    assert_eq!(
        world.get("/api/v1/plugins/one").await.code(),
        "invalid_node"
    );
    assert_eq!(
        world.get("/api/v1/plugins/1/rmqtt-acl/load").await.status,
        405
    );
}
