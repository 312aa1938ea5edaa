//! Buttons of the dashboard that change something, and its colours.

use raftmq_cluster_tests::{Browser, Cluster, Http, Page, SOON, Setup, eventually};
use serde_json::json;
use tempfile::TempDir;

use crate::t93_dashboard::{assert_quiet, base, dashboard, pictures, view};

/// The button of the confirmation that does it, and the one that does not. A dialog that was closed just now may
/// still be on the page, before its successor.
const CONFIRM: &str = "dialog[open] [data-action=confirm]";
const CANCEL: &str = "dialog[open] .actions .quiet";

fn write(folder: &TempDir, text: &str) {
    std::fs::write(folder.path().join("rmqtt-acl.toml"), text).expect("a file");
}

async fn is_active(http: &Http, node: u64) -> bool {
    let plugin = http
        .json(&format!("/api/v1/plugins/{node}/rmqtt-acl"))
        .await;
    plugin["active"] == true
}

/// Clicks a button of the access rules' row of node 1.
async fn click_plugin(page: &Page, action: &str) {
    let button = format!("[data-plugin='1/rmqtt-acl'] [data-action={action}]");
    page.click(&button, SOON).await;
}

async fn closed(page: &Page) {
    page.wait_for("document.querySelector('dialog') === null", SOON)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_loaded_reloaded_and_unloaded_with_buttons() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder, "rules = [[\"allow\", \"all\"]]\n");
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .start()
        .await;
    cluster.links_up().await;
    let http = cluster.node(2).http();
    let page = dashboard(&browser, &cluster, 1).await;
    view(&page, "plugins").await;

    click_plugin(&page, "load").await;
    page.wait_for_text("dialog", "On node 1 only", SOON).await;
    page.click(CANCEL, SOON).await;
    closed(&page).await;
    assert!(!is_active(http, 1).await);

    click_plugin(&page, "load").await;
    page.click(CONFIRM, SOON).await;
    page.wait_for_text(".said", "rmqtt-acl on node 1 was loaded.", SOON)
        .await;
    page.wait_for_text("[data-plugin='1/rmqtt-acl']", "Active", SOON)
        .await;
    assert_eq!(
        (is_active(http, 1).await, is_active(http, 3).await),
        (true, false)
    );

    click_plugin(&page, "config").await;
    page.wait_for_text("dialog pre", "\"rules\"", SOON).await;
    page.click(CANCEL, SOON).await;
    closed(&page).await;

    write(&folder, "rules = []\n");
    click_plugin(&page, "reload").await;
    page.click(CONFIRM, SOON).await;
    page.wait_for_text(".said", "rmqtt-acl on node 1 was read again", SOON)
        .await;
    let config = http.json("/api/v1/plugins/1/rmqtt-acl/config").await;
    assert_eq!(config["rules"], json!([]));
    pictures(&page, "plugins-loaded").await;
    assert_quiet(&page, &base(&cluster, 1));

    write(&folder, "rules = []\nruels = 1\n");
    click_plugin(&page, "reload").await;
    page.click(CONFIRM, SOON).await;
    page.wait_for_text("dialog .notice.bad", "line 2", SOON)
        .await;
    pictures(&page, "plugin-mistake").await;
    page.click(CANCEL, SOON).await;
    closed(&page).await;

    click_plugin(&page, "unload").await;
    page.click(CONFIRM, SOON).await;
    page.wait_for_text(".said", "rmqtt-acl on node 1 was unloaded.", SOON)
        .await;
    assert!(!is_active(http, 1).await);
}

/// Retained messages on `house/room-000` and so on: two pages of 50, and one more.
async fn with_retained() -> Cluster {
    let cluster = Cluster::start(1).await;
    let http = cluster.node(1).http();
    for room in 0..101 {
        let topic = format!("house/room-{room:03}");
        let message = json!({"topic": topic, "payload": "21.5", "qos": 1, "retain": true});
        let answer = http.post("/api/v1/mqtt/publish", &message).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    cluster
}

async fn shows(page: &Page, number: usize, rows: usize) {
    let shown = format!("document.querySelectorAll('[data-topic]').length === {rows}");
    page.wait_for(&shown, SOON).await;
    page.wait_for_text(".pager", &format!("Page {number}"), SOON)
        .await;
}

/// Opens a message, and asks for its end.
async fn delete(page: &Page, topic: &str) {
    page.click(&format!("[data-topic='{topic}'] button"), SOON)
        .await;
    page.click("dialog[open] [data-action=delete]", SOON).await;
    page.wait_for_text("dialog h2", "Delete this retained message?", SOON)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_are_paged_and_deleted() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = with_retained().await;
    let page = dashboard(&browser, &cluster, 1).await;
    view(&page, "retained").await;
    let (previous, next) = (".pager button:first-child", ".pager button:last-child");
    shows(&page, 1, 50).await;
    page.wait_for("document.querySelector('.pager button').disabled", SOON)
        .await;
    page.click(next, SOON).await;
    shows(&page, 2, 50).await;
    page.click(next, SOON).await;
    shows(&page, 3, 1).await;
    page.wait_for(
        "document.querySelector('.pager button:last-child').disabled",
        SOON,
    )
    .await;
    pictures(&page, "retained-last-page").await;
    page.click(previous, SOON).await;
    shows(&page, 2, 50).await;

    delete(&page, "house/room-060").await;
    page.click(CANCEL, SOON).await;
    closed(&page).await;
    delete(&page, "house/room-060").await;
    pictures(&page, "retained-delete").await;
    page.click(CONFIRM, SOON).await;
    page.wait_for_text(".said", "house/room-060 was deleted", SOON)
        .await;
    // What was on the third page has moved up.
    page.wait_for(
        "document.querySelector(\"[data-topic='house/room-060']\") === null",
        SOON,
    )
    .await;
    page.wait_for_text("[data-topic='house/room-100']", "21.5", SOON)
        .await;
    let http = cluster.node(1).http();
    let left = http
        .json("/api/v1/retains?topic_filter=house%2Froom-060")
        .await;
    assert_eq!(left["items"], json!([]));
    assert_quiet(&page, &base(&cluster, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_before_is_shown_when_the_last_message_of_a_page_is_deleted() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = with_retained().await;
    let page = dashboard(&browser, &cluster, 1).await;
    view(&page, "retained").await;
    for number in [1, 2] {
        shows(&page, number, 50).await;
        page.click(".pager button:last-child", SOON).await;
    }
    shows(&page, 3, 1).await;
    delete(&page, "house/room-100").await;
    page.click(CONFIRM, SOON).await;
    shows(&page, 2, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_stays_when_its_disconnection_is_not_confirmed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::start(1).await;
    let client = cluster.connect(1, "sensor-1").open().await;
    let page = dashboard(&browser, &cluster, 1).await;
    view(&page, "clients").await;
    page.click("[data-client='sensor-1'] button", SOON).await;
    page.click("dialog[open] [data-action=kick]", SOON).await;
    page.wait_for_text("dialog", "its session with all subscriptions", SOON)
        .await;
    pictures(&page, "kick").await;
    page.click(CANCEL, SOON).await;
    closed(&page).await;
    client.subscribed("still/here", 1).await;
    assert_quiet(&page, &base(&cluster, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn light_and_dark_follow_the_system_until_somebody_chooses() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::start(1).await;
    let page = dashboard(&browser, &cluster, 1).await;
    page.wait_for_text("#theme", "Theme: system", SOON).await;
    let is = |scheme: &str| {
        format!("getComputedStyle(document.documentElement).colorScheme === '{scheme}'")
    };
    for scheme in ["dark", "light"] {
        page.prefer(scheme).await;
        page.wait_for(&is(scheme), SOON).await;
    }
    page.click("#theme", SOON).await;
    page.wait_for_text("#theme", "Theme: light", SOON).await;
    page.prefer("dark").await;
    page.wait_for(&is("light"), SOON).await;
    page.prefer("light").await;
    page.click("#theme", SOON).await;
    page.wait_for_text("#theme", "Theme: dark", SOON).await;
    page.wait_for(&is("dark"), SOON).await;
    page.go(&format!("{}/dashboard/", base(&cluster, 1))).await;
    page.wait_for_text("#theme", "Theme: dark", SOON).await;
    page.wait_for(&is("dark"), SOON).await;
    eventually("a page without errors", SOON, async || {
        let errors = page.errors();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{errors:?}"))
        }
    })
    .await;
}
