//! The dashboard's files: open, cached by their tags, and under a strict policy.

use raftmq_api::ApiConfig;
use reqwest::redirect::Policy;

use crate::world::{Setup, World};

/// The files that the page names.
const FILES: [&str; 3] = ["style.css", "main.js", "icon.svg"];

async fn guarded() -> World {
    let config = ApiConfig {
        http_bearer_token: Some("s3cret".into()),
        ..Default::default()
    };
    let setup = Setup {
        config,
        ..Setup::default()
    };
    setup.start().await
}

#[tokio::test]
async fn the_page_needs_no_token_and_what_it_shows_does() {
    let world = guarded().await;
    let page = world.get("/dashboard/").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for file in FILES {
        assert!(page.body.contains(&format!("\"{file}\"")), "{file}");
        let reply = world.get(&format!("/dashboard/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
    }
    assert_eq!(world.get("/api/v1").await.status, 401);
}

#[tokio::test]
async fn every_file_forbids_what_is_inline_or_foreign() {
    let world = Setup::default().start().await;
    for file in ["", "style.css", "main.js"] {
        let reply = world.get(&format!("/dashboard/{file}")).await;
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let world = Setup::default().start().await;
    let first = world.get("/dashboard/main.js").await;
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").unwrap();
    let again = world.http.get(format!("{}/dashboard/main.js", world.base));
    let again = world.send(again.header("if-none-match", tag)).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag));
    let other = world.get("/dashboard/style.css").await;
    assert_ne!(other.header("etag"), Some(tag));
}

#[tokio::test]
async fn without_its_slash_the_page_is_found_where_it_is() {
    let world = guarded().await;
    let http = reqwest::Client::builder().redirect(Policy::none());
    let request = http
        .build()
        .unwrap()
        .get(format!("{}/dashboard", world.base));
    let reply = world.send(request).await;
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("location"), Some("/dashboard/"));
}

#[tokio::test]
async fn unknown_files_and_other_methods_are_refused() {
    let world = Setup::default().start().await;
    for path in [
        "/dashboard/nothing.js",
        "/dashboard/..%2fCargo.toml",
        "/dashboard/a/b",
    ] {
        let reply = world.get(path).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "unknown_path"),
            "{path}"
        );
    }
    let reply = world.post("/dashboard/", "").await;
    assert_eq!(reply.status, 405);
}
