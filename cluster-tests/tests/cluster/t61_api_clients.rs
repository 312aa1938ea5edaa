//! `/clients`, asked on every node about clients on other nodes.

use raftmq_cluster_tests::{Client, Cluster, SOON, Version, Will, eventually};
use serde_json::json;

struct Peopled {
    cluster: Cluster,
    _online: Vec<Client>,
}

/// Online clients on nodes 1 and 2, an offline session on node 3.
async fn peopled() -> Peopled {
    let cluster = Cluster::start(3).await;
    let will = Will::new("will/one", "last words");
    let one = cluster
        .connect(1, "one")
        .username("ann")
        .will(will)
        .open()
        .await;
    one.subscribed("one/#", 1).await;
    let two = cluster.connect(2, "two").version(Version::V4).open().await;
    let three = cluster.connect(3, "three").persistent().open().await;
    three.subscribed("three", 1).await;
    three.disconnect().await;
    // DISCONNECT has no answer: wait until the last node shows it.
    for node in cluster.ids() {
        eventually("the third client is offline", SOON, async || {
            let online = cluster
                .node(node)
                .http()
                .try_json("/api/v1/clients/three/online")
                .await?;
            if online == false {
                Ok(())
            } else {
                Err(format!("node {node}: {online}"))
            }
        })
        .await;
    }
    Peopled {
        cluster,
        _online: vec![one, two],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_works_on_every_node() {
    let Peopled { cluster, _online } = peopled().await;
    let cases: [(&str, &[&str]); 16] = [
        ("", &["one", "three", "two"]),
        ("?clientid=two", &["two"]),
        ("?username=ann", &["one"]),
        ("?_like_clientid=t", &["three", "two"]),
        ("?_like_username=an", &["one"]),
        ("?connected=true", &["one", "two"]),
        ("?connected=false", &["three"]),
        ("?proto_ver=4", &["two"]),
        ("?proto_ver=5&connected=true", &["one"]),
        ("?clean_start=false", &["three"]),
        ("?session_present=true", &[]),
        ("?_gte_created_at=1000000000", &["one", "three", "two"]),
        ("?_lte_connected_at=1000000000", &[]),
        ("?_gte_mqueue_len=1", &[]),
        (
            "?ip_address=127.0.0.1&_lte_mqueue_len=0",
            &["one", "three", "two"],
        ),
        ("?clientid=unknown", &[]),
    ];
    for asked in cluster.ids() {
        for (query, expected) in cases {
            eventually(&format!("node {asked} {query}"), SOON, async || {
                let path = format!("/api/v1/clients{query}");
                let rows = cluster.node(asked).http().try_json(&path).await?;
                let rows = rows.as_array().ok_or("no array")?;
                let told: Vec<_> = rows
                    .iter()
                    .filter_map(|row| row["clientid"].as_str())
                    .collect();
                if told == expected {
                    Ok(())
                } else {
                    Err(format!("{told:?}, not {expected:?}"))
                }
            })
            .await;
        }
        let limited = cluster
            .node(asked)
            .http()
            .json("/api/v1/clients?_limit=2")
            .await;
        assert_eq!(limited.as_array().map(Vec::len), Some(2), "{limited}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_a_list_neither_skip_nor_repeat() {
    let cluster = Cluster::start(3).await;
    let mut clients = Vec::new();
    for number in 0..30 {
        clients.push(
            cluster
                .connect(number % 3 + 1, &format!("page-{number:02}"))
                .open()
                .await,
        );
    }
    for asked in cluster.ids() {
        let (mut told, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/clients?_limit=7{cursor}");
            let answer = cluster.node(asked).http().get(&path).await;
            let rows = answer.json();
            let ids = rows
                .as_array()
                .expect("rows")
                .iter()
                .map(|row| row["clientid"].to_string());
            told.extend(ids);
            match answer.header("x-next-cursor") {
                Some(next) => cursor = format!("&_cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<_> = (0..30)
            .map(|number| format!("\"page-{number:02}\""))
            .collect();
        assert_eq!(told, expected, "node {asked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_is_told_with_all_its_fields() {
    let Peopled { cluster, _online } = peopled().await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        let one = http.json("/api/v1/clients/one").await;
        let expected = [
            ("node_id", json!(1)),
            ("clientid", json!("one")),
            ("username", json!("ann")),
            ("proto_ver", json!(5)),
            ("connected", json!(true)),
            ("keepalive", json!(30)),
            ("clean_start", json!(true)),
            ("ip_address", json!("127.0.0.1")),
            ("listener", json!("mqtt")),
            ("subscriptions_cnt", json!(1)),
            ("inflight", json!(0)),
            ("mqueue_len", json!(0)),
        ];
        for (field, value) in expected {
            assert_eq!(one[field], value, "{field} of {one}");
        }
        let will =
            json!({"topic": "will/one", "message": "bGFzdCB3b3Jkcw==", "qos": 1, "retain": false});
        for (field, value) in will.as_object().expect("an object") {
            assert_eq!(&one["last_will"][field], value, "{one}");
        }
        for field in [
            "port",
            "connected_at",
            "created_at",
            "max_inflight",
            "max_mqueue",
            "extra_attrs",
            "max_subscriptions",
            "expiry_interval",
            "superuser",
        ] {
            assert!(one.get(field).is_some(), "{field} of {one}");
        }
        let two = http.json("/api/v1/clients/two").await;
        assert_eq!(
            (&two["username"], &two["proto_ver"]),
            (&json!("undefined"), &json!(4))
        );
        let three = http.json("/api/v1/clients/three").await;
        assert_eq!(
            (&three["connected"], &three["node_id"]),
            (&json!(false), &json!(3))
        );
        assert!(
            three["disconnected_at"]
                .as_str()
                .is_some_and(|time| time.len() == 19),
            "{three}"
        );
        let remaining = three["expiry_interval"].as_u64().expect("a number");
        assert!(
            (3_500..=3_600).contains(&remaining),
            "remaining time {remaining}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_is_told_by_every_node() {
    let Peopled { cluster, _online } = peopled().await;
    for asked in cluster.ids() {
        for (client, online) in [
            ("one", true),
            ("two", true),
            ("three", false),
            ("unknown", false),
        ] {
            let told = cluster
                .node(asked)
                .http()
                .json(&format!("/api/v1/clients/{client}/online"))
                .await;
            assert_eq!(told, online, "node {asked} of {client}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_ends_connection_and_session_wherever_they_are() {
    let cluster = Cluster::start(3).await;
    for (asked, at) in [(1, 2), (2, 2), (3, 1)] {
        let connect = || cluster.connect(at, "kicked").persistent().username("ann");
        let mut client = connect().open().await;
        client.subscribed("kicked", 1).await;
        let answer = cluster
            .node(asked)
            .http()
            .delete("/api/v1/clients/kicked")
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let local = cluster.node(at).mqtt();
        assert!(
            answer.body.starts_with(&format!("{at}@{local}/127.0.0.1:")),
            "{}",
            answer.body
        );
        assert!(answer.body.ends_with("/kicked/ann"), "{}", answer.body);
        assert_eq!(client.wait_closed(SOON).await.code, Some(0x98));
        cluster.routes_become(&cluster.ids(), &[], SOON).await;
        assert!(
            !connect().open().await.session_present(),
            "its session has ended"
        );
        let again = cluster
            .node(asked)
            .http()
            .delete("/api/v1/clients/kicked")
            .await;
        assert_eq!(again.status, 200, "offline sessions too: {again:?}");
        let unknown = cluster
            .node(asked)
            .http()
            .delete("/api/v1/clients/kicked")
            .await;
        assert_eq!(unknown.status, 404, "{unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_lengths_of_offline_sessions_are_told() {
    let Peopled { cluster, _online } = peopled().await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for number in 0..5 {
        publisher
            .publish("three", 1, number.to_string())
            .await
            .unwrap();
    }
    for asked in cluster.ids() {
        let rows = cluster
            .node(asked)
            .http()
            .json("/api/v1/clients?_gte_mqueue_len=5")
            .await;
        assert_eq!(rows[0]["clientid"], "three", "{rows}");
        assert_eq!(rows[0]["mqueue_len"], 5, "{rows}");
    }
}
