//! A file of passwords (rmqtt-auth-file) that `raftmq passwd` writes, and what clients are told whom access
//! rules deny something, in each version of MQTT.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use raftmq_cluster_tests::{
    Cluster, Connect, Filter, Ran, SOON, Setup, Will, program, run_program,
};
use serde_json::Value;
use tempfile::TempDir;

const PLUGIN: &str = "rmqtt-auth-file";

const BAD_CREDENTIALS: (Option<u8>, Option<u8>) = (Some(4), Some(0x86));
const NOT_AUTHORIZED: (Option<u8>, Option<u8>) = (Some(5), Some(0x87));

/// `raftmq passwd` with the password on standard input.
async fn passwd(file: &Path, user: &str, password: &str) -> Ran {
    let file = file.display().to_string();
    let mut command = program(&["passwd", &file, user], &[]);
    let line = format!("{password}\n");
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(line.as_bytes())?;
        drop(stdin);
        child.wait_with_output()
    });
    let output = ended.await.expect("no panic").expect("raftmq starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn set(file: &Path, user: &str, password: &str) {
    let ran = passwd(file, user, password).await;
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
}

/// A folder with the plugin's settings, beside its file of passwords.
fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let passwords = folder.path().join("passwords");
    let text = format!("password_file = {passwords:?}\n{settings}");
    fs::write(folder.path().join(format!("{PLUGIN}.toml")), text).expect("a file");
    folder
}

fn setup(nodes: u64, folder: &TempDir, startups: &str) -> Setup {
    Setup::nodes(nodes)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", startups)
        .set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false")
}

fn by(cluster: &Cluster, node: u64, user: &str, password: &str) -> Connect {
    let connect = cluster.connect(node, &format!("{user}-{node}"));
    connect.username(user).password(password)
}

/// The codes with which both versions of MQTT are refused.
async fn refused(connect: Connect) -> (Option<u8>, Option<u8>) {
    let code = async |connect: Connect| match connect.try_open().await {
        Ok(client) => panic!("{} is let in", client.id()),
        Err(refused) => refused.code,
    };
    (code(connect.clone().v4()).await, code(connect).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_the_file_are_let_in_and_a_reload_is_all_or_nothing() {
    let folder = folder("superusers = ['root']");
    let passwords = folder.path().join("passwords");
    set(&passwords, "ann", "pa55word").await;
    set(&passwords, "root", "toor").await;
    // As mosquitto_passwd wrote it: PBKDF2 of "pa55word".
    let mosquitto = "bob:$7$101$AQIDBAUGBwgJCgsM$leyf5YjiHPmXd3UqOcOn91VQesnr8GZDLX1bCisTgv1NPj3LdxWFV4a9OC8S08HOJELpnZcbzD714Wr010RUDg==\n";
    let text = fs::read_to_string(&passwords).expect("the file") + mosquitto;
    assert!(text.starts_with("ann:$argon2id$"), "{text}");
    fs::write(&passwords, &text).expect("the file");
    let cluster = setup(3, &folder, &format!("rmqtt-retainer,{PLUGIN}"))
        .start()
        .await;
    for node in cluster.ids() {
        by(&cluster, node, "ann", "pa55word").open().await;
        by(&cluster, node, "bob", "pa55word").v4().open().await;
    }
    for (user, password) in [
        ("ann", "wrong"),
        ("bob", "wrong"),
        ("eve", "pa55word"),
        ("ann", ""),
    ] {
        let refused = refused(by(&cluster, 2, user, password)).await;
        assert_eq!(refused, BAD_CREDENTIALS, "{user} {password}");
    }
    // Without a name nobody knows it, and strangers are not let in.
    assert_eq!(refused(cluster.connect(3, "x")).await, NOT_AUTHORIZED);
    let root = by(&cluster, 1, "root", "toor").open().await;
    let row = cluster.node(2).http().json("/api/v1/clients/root-1").await;
    assert_eq!(row["superuser"], true, "{row}");

    // A new password counts when it is read; a file with a mistake changes nothing.
    set(&passwords, "ann", "another").await;
    by(&cluster, 1, "ann", "pa55word").open().await;
    assert_eq!(reload(&cluster, 1).await.0, 200);
    assert_eq!(
        refused(by(&cluster, 1, "ann", "pa55word")).await,
        BAD_CREDENTIALS
    );
    by(&cluster, 1, "ann", "another").open().await;
    by(&cluster, 2, "ann", "pa55word").open().await;
    let good = fs::read_to_string(&passwords).expect("the file");
    fs::write(&passwords, format!("{good}eve:secret\n")).expect("the file");
    let (status, problem) = reload(&cluster, 1).await;
    assert_eq!(status, 400, "{problem}");
    assert!(
        problem.contains("line 4") && !problem.contains("secret"),
        "{problem}"
    );
    by(&cluster, 1, "ann", "another").open().await;
    assert!(root.closed().is_none(), "who was let in stays");
}

/// Of one node, asked on another.
async fn reload(cluster: &Cluster, node: u64) -> (u16, String) {
    let path = format!("/api/v1/plugins/{node}/{PLUGIN}/config/reload");
    let answer = cluster.node(3).http().put(&path).await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwd_changes_one_user_and_says_what_it_does_not_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("passwords");
    set(&file, "ann", "one").await;
    set(&file, "bob", "two").await;
    let before = fs::read_to_string(&file).expect("the file");
    set(&file, "ann", "three").await;
    let after = fs::read_to_string(&file).expect("the file");
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
    let path = file.display().to_string();
    let delete = ["passwd", "-D", &path, "ann"];
    assert_eq!(run_program(&delete, &[]).await.code, Some(0));
    let again = run_program(&delete, &[]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("ann"), "{again:?}");
    assert_eq!(fs::read_to_string(&file).expect("it").lines().count(), 1);
    for (user, password, word) in [("a:b", "x", "user name"), ("eve", "", "empty")] {
        let ran = passwd(&file, user, password).await;
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(word), "{ran:?}");
    }
    assert_eq!(run_program(&["passwd", &path], &[]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_try_passwords_wait_for_each_other_and_for_nobody_else() {
    // Each check takes some milliseconds of one worker, and three may wait: most are told to come again.
    let folder = folder("max_waiting = 3");
    let passwords = folder.path().join("passwords");
    set(&passwords, "ann", "pa55word").await;
    let cluster = setup(1, &folder, PLUGIN).start().await;
    let client = by(&cluster, 1, "ann", "pa55word").open().await;
    client.subscribed("a", 1).await;
    let tries: Vec<_> = (0..40)
        .map(|number| {
            let connect = by(&cluster, 1, &format!("eve{number}"), "x");
            tokio::spawn(connect.try_open())
        })
        .collect();
    let mut codes = Vec::new();
    for (number, attempt) in tries.into_iter().enumerate() {
        assert_eq!(client.publish("a", 1, "x").await, Ok(0), "{number}");
        match attempt.await.expect("no panic") {
            Ok(client) => panic!("{} is let in", client.id()),
            Err(refused) => codes.push(refused.code),
        }
    }
    let told = |code| codes.iter().filter(|told| **told == Some(code)).count();
    assert_eq!(told(0x86) + told(0x89), 40, "{codes:?}");
    assert!(told(0x86) > 0 && told(0x89) > 0, "{codes:?}");
    let http = cluster.node(1).http();
    let plugin = http.json(&format!("/api/v1/plugins/1/{PLUGIN}")).await;
    assert_eq!(plugin["attrs"]["turned_away"], told(0x89), "{plugin}");
    assert_eq!(plugin["attrs"]["waiting"], 0, "{plugin}");
}

const RULES: &str = r##"rules = [
    ["deny", "all", "pubsub", ["no/#"]],
    ["allow", "all"],
]"##;

/// One node with access rules; strangers are let in.
async fn with_rules(disconnects: Value) -> (TempDir, Cluster) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("disconnect_if_pub_rejected = {disconnects}\n{RULES}");
    fs::write(folder.path().join("rmqtt-acl.toml"), text).expect("a file");
    let setup = setup(1, &folder, "rmqtt-acl").set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "true");
    let cluster = setup.start().await;
    (folder, cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_publish_is_answered_as_its_version_can_say_it() {
    let (_folder, cluster) = with_rules(false.into()).await;
    let mut watcher = cluster.connect(1, "watcher").open().await;
    watcher.subscribed("yes/#", 2).await;
    for (is_v4, qos, expected) in [
        (true, 0, 0),
        (true, 1, 0),
        (true, 2, 0),
        (false, 0, 0),
        (false, 1, 0x87),
        (false, 2, 0x87),
    ] {
        let connect = cluster.connect(1, "c");
        let client = if is_v4 { connect.v4() } else { connect }.open().await;
        let told = client.publish("no/x", qos, "denied").await;
        assert_eq!(told, Ok(expected), "3.1.1: {is_v4}, QoS {qos}");
        // It stays, and what is allowed goes through.
        client
            .publish("yes/x", qos, "allowed")
            .await
            .expect("it stays");
        let message = watcher.next_message(SOON).await;
        assert_eq!(
            (&*message.topic, &message.payload[..]),
            ("yes/x", &b"allowed"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_publisher_is_disconnected_in_any_version_when_the_rules_say_so() {
    let (_folder, cluster) = with_rules(true.into()).await;
    for qos in 0..=2 {
        let mut new = cluster.connect(1, "new").open().await;
        let _told = new.publish("no/x", qos, "denied").await;
        assert_eq!(new.wait_closed(SOON).await.code, Some(0x87), "QoS {qos}");
        let mut old = cluster.connect(1, "old").v4().open().await;
        let _told = old.publish("no/x", qos, "denied").await;
        assert_eq!(old.wait_closed(SOON).await.code, None, "QoS {qos}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_filter_of_a_subscribe_has_its_own_answer() {
    let (_folder, cluster) = with_rules(false.into()).await;
    let filters = [
        "yes/a",
        "no/a",
        "yes/#",
        "no/#",
        "#",
        "$share/g/no/+",
        "+/b",
    ];
    let filters = filters.map(|filter| Filter::new(filter, 1));
    let new = cluster.connect(1, "new").open().await;
    let told = new.subscribe(&filters).await;
    assert_eq!(told, Ok(vec![1, 0x87, 1, 0x87, 0x87, 0x87, 0x87]));
    let old = cluster.connect(1, "old").v4().open().await;
    let told = old.subscribe(&filters[..5]).await;
    assert_eq!(told, Ok(vec![1, 0x80, 1, 0x80, 0x80]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_that_its_client_may_not_publish_is_refused_with_its_connect() {
    let (_folder, cluster) = with_rules(false.into()).await;
    let with_will = |topic: &str| cluster.connect(1, "c").will(Will::new(topic, "gone"));
    assert_eq!(refused(with_will("no/will")).await, NOT_AUTHORIZED);
    with_will("yes/will").open().await;
}
