//! The dashboard in a real browser, against a real cluster.
//!
//! With `RAFTMQ_PICTURES=<folder>` the phone test also writes a picture of every view there, for
//! people to look at.

use std::path::PathBuf;
use std::time::Duration;

use raftmq_cluster_tests::{Browser, Client, Cluster, Filter, Page, SOON, Setup};
use tokio::task::JoinHandle;

const VIEWS: [&str; 8] = [
    "cluster",
    "rates",
    "clients",
    "subscriptions",
    "routes",
    "retained",
    "plugins",
    "doctor",
];

/// The page asks every 2 s; a killed node refuses connections at once.
const POLLED: Duration = Duration::from_secs(10);

/// Moves the pointer to the newest values of a chart.
const POINT_AT_THE_END: &str = "{
    const plot = document.querySelector('[data-series=in] .plot');
    const clientX = plot.getBoundingClientRect().right - 10;
    plot.dispatchEvent(new PointerEvent('pointermove', { clientX }));
}";

/// It would run if it became markup.
const HOSTILE: &str = "<img src=x onerror=\"window.harmed=true\">";

/// The dashboard of node `id`.
pub(crate) async fn dashboard(browser: &Browser, cluster: &Cluster, id: u64) -> Page {
    let page = browser.page().await;
    page.resize(1280, 900).await;
    page.go(&format!("{}/dashboard", base(cluster, id))).await;
    page
}

pub(crate) fn base(cluster: &Cluster, id: u64) -> String {
    format!("http://{}", cluster.node(id).http_address())
}

/// Goes to a view by its link.
pub(crate) async fn view(page: &Page, name: &str) {
    page.click(&format!("nav a[data-view={name}]"), SOON).await;
    page.wait_for_text(&format!(".view[data-view={name}] h1"), "", SOON)
        .await;
}

/// Publishes on a topic, some fifty times a second, until it is aborted.
fn traffic(publisher: Client, topic: &'static str) -> JoinHandle<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    tokio::spawn(async move {
        while publisher.publish(topic, 0, "21.5").await.is_ok() {
            pace.tick().await;
        }
    })
}

/// No script failed, nothing was blocked, and nobody but the node was asked.
pub(crate) fn assert_quiet(page: &Page, base: &str) {
    assert_eq!(page.errors(), Vec::<String>::new());
    let requests = page.requests();
    assert!(requests.len() > 20, "{requests:?}");
    let foreign: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&format!("{base}/")))
        .filter(|url| *url != &format!("{base}/dashboard"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_map_has_all_nodes_rates_move_and_a_killed_node_is_shown_as_down() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut cluster = Cluster::start(3).await;
    let subscriber = cluster.connect(2, "thermometer").open().await;
    subscriber.subscribed("house/#", 0).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let traffic = traffic(publisher, "house/kitchen");

    let page = dashboard(&browser, &cluster, 1).await;
    page.wait_for(
        "document.querySelectorAll('.map [data-node]').length === 3",
        SOON,
    )
    .await;
    let up = "[...document.querySelectorAll('.map [data-node]')].every((node) => ['ready', 'answers'].includes(node.dataset.state))";
    page.wait_for(up, SOON).await;

    view(&page, "rates").await;
    for series in ["in", "out"] {
        let moves = format!(
            "Number.parseFloat(document.querySelector('[data-series={series}] .now').textContent) > 1"
        );
        page.wait_for(&moves, SOON).await;
    }
    let drawn = "document.querySelector('[data-series=in] path.sum').getAttribute('d').split('L').length > 2";
    page.wait_for(drawn, SOON).await;
    page.try_value(POINT_AT_THE_END).await.expect("a pointer");
    page.wait_for_text("[data-series=in] .tip", "Node 1", SOON)
        .await;
    pictures(&page, "hover").await;
    traffic.abort();
    let still = "document.querySelector('[data-series=in] .now').textContent === '0/s'";
    page.wait_for(still, SOON).await;

    view(&page, "cluster").await;
    cluster.node_mut(3).kill9();
    page.wait_for_text(".map [data-node='3'][data-state=down]", "Down", POLLED)
        .await;
    page.wait_for_text(".notice.bad", "Node 3: down", SOON)
        .await;
    cluster.node_mut(3).start();
    page.wait_for(up, SOON).await;
    assert_quiet(&page, &base(&cluster, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_found_explained_and_disconnected_from_another_node() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::start(3).await;
    let mut wanted = cluster.connect(2, "sensor-17").open().await;
    wanted.subscribed("house/+/temperature", 1).await;
    let other = cluster.connect(3, "other").open().await;
    other.subscribed("garden/#", 0).await;

    let page = dashboard(&browser, &cluster, 1).await;
    view(&page, "clients").await;
    page.submit("[name=_like_clientid]", "sensor", SOON).await;
    page.wait_for_text("[data-client='sensor-17']", "Connected", SOON)
        .await;
    page.wait_for(
        "document.querySelectorAll('[data-client]').length === 1",
        SOON,
    )
    .await;

    view(&page, "subscriptions").await;
    let topic = "house/kitchen/temperature";
    page.submit("[name=_match_topic]", topic, SOON).await;
    page.wait_for_text("[data-client='sensor-17']", "house/+/temperature", SOON)
        .await;

    view(&page, "routes").await;
    page.submit("[name=topic]", topic, SOON).await;
    page.wait_for_text(
        ".answer [data-client='sensor-17']",
        "house/+/temperature",
        SOON,
    )
    .await;
    page.wait_for_text(".answer .ways", "Node 2", SOON).await;
    page.wait_for(
        "document.querySelector(\".answer [data-client='other']\") === null",
        SOON,
    )
    .await;

    view(&page, "clients").await;
    page.click("[data-client='sensor-17'] button", SOON).await;
    page.wait_for_text("dialog .facts", "Keep alive", SOON)
        .await;
    page.click("dialog [data-action=kick]", SOON).await;
    page.click("dialog [data-action=confirm]", SOON).await;
    assert_eq!(wanted.wait_closed(SOON).await.code, Some(0x98));
    page.wait_for_text(".said", "sensor-17 was disconnected", SOON)
        .await;
    let gone = "document.querySelector(\"[data-client='sensor-17']\") === null && document.querySelector(\"[data-client='other']\") !== null";
    page.wait_for(gone, SOON).await;
    assert_quiet(&page, &base(&cluster, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_scrolls_no_view_sideways_and_markup_in_names_stays_text() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = Cluster::start(3).await;
    let long = format!("{HOSTILE}{}", "x".repeat(150));
    let hostile = cluster.connect(1, &long).open().await;
    hostile.subscribed(&long, 1).await;
    let clients = crowd(&cluster).await;
    let publisher = cluster.connect(3, "station-7").open().await;
    publisher.publish_retained(&long, 1, HOSTILE).await.unwrap();
    let traffic = traffic(publisher, "house/kitchen/temperature");

    let page = dashboard(&browser, &cluster, 1).await;
    for (width, height) in [(360, 740), (1280, 900)] {
        page.resize(width, height).await;
        for name in VIEWS {
            view(&page, name).await;
            if name == "routes" {
                page.submit("[name=topic]", "house/kitchen/temperature", SOON)
                    .await;
                page.wait_for_text(".answer .ways", "Node 2", SOON).await;
            }
            page.wait_for("document.querySelector('.view section, .view .charts') !== null && document.querySelector('[aria-busy=true]') === null", SOON).await;
            page.wait_for("document.querySelector('.notice.bad') === null", SOON)
                .await;
            let fits =
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            page.wait_for(fits, SOON).await;
            pictures(&page, &format!("{name}-{width}")).await;
        }
    }
    assert_eq!(
        page.try_value("window.harmed === undefined").await,
        Ok(true.into())
    );
    assert_quiet(&page, &base(&cluster, 1));
    traffic.abort();
    drop(clients);
}

/// Clients of several kinds, so that there is something to see.
async fn crowd(cluster: &Cluster) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..12 {
        let node = number % 3 + 1;
        let client = cluster.connect(node, &format!("sensor-{number}"));
        let client = if number % 2 == 0 { client.v4() } else { client };
        let client = client.open().await;
        let shared = Filter::new("$share/readers/house/+/temperature", 1);
        let own = Filter::new(&format!("house/room-{number}/#"), 0);
        client.subscribe(&[own, shared]).await.unwrap();
        if number % 4 == 1 {
            client.subscribed("house/#", 1).await;
        }
        clients.push(client);
    }
    clients
}

pub(crate) async fn pictures(page: &Page, name: &str) {
    let Some(folder) = std::env::var_os("RAFTMQ_PICTURES").map(PathBuf::from) else {
        return;
    };
    for scheme in ["light", "dark"] {
        page.prefer(scheme).await;
        page.picture(&folder.join(format!("{name}-{scheme}.png")))
            .await;
    }
    page.prefer("light").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_asks_for_the_token_keeps_it_in_the_tab_and_forgets_it_at_logout() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_HTTP_BEARER_TOKEN", "right")
        .start()
        .await;
    let page = dashboard(&browser, &cluster, 1).await;
    page.wait_for_text("#login", "bearer token", SOON).await;
    page.submit("#login [name=token]", "wrong", SOON).await;
    page.wait_for_text("#login", "refused", SOON).await;
    page.submit("#login [name=token]", "right", SOON).await;
    page.wait_for_text(".map", "Node 1", SOON).await;
    let kept = "sessionStorage.length === 1 && localStorage.length === 0 && document.cookie === ''";
    page.wait_for(kept, SOON).await;

    page.click("#logout", SOON).await;
    page.wait_for_text("#login", "bearer token", SOON).await;
    let forgotten = "sessionStorage.length === 0 && document.querySelector('.map') === null";
    page.wait_for(forgotten, SOON).await;
}
