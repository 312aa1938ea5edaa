//! Limits of rates, as a client meets them. How the buckets fill is tested where they are, by a clock that
//! moves; here it stands as good as still: the limits are so low that a test is over before a token is back.

use raftmq_api::ApiConfig;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::world::{Setup, World};

async fn world(config: ApiConfig) -> World {
    Setup {
        config,
        ..Setup::default()
    }
    .start()
    .await
}

async fn get(world: &World, path: &str) -> Response {
    send(world.http.get(format!("{}{path}", world.base))).await
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

/// Status 429, when to come back, and the usual body.
async fn assert_too_many(response: Response, named: &str) {
    assert_eq!(response.status(), 429);
    let retry_after = response.headers()["retry-after"].to_str().unwrap();
    assert!(retry_after.parse::<u64>().unwrap() >= 1, "{retry_after}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], "too_many_requests");
    assert!(body["message"].as_str().unwrap().contains(named), "{body}");
}

#[tokio::test]
async fn an_address_that_asks_too_much_is_answered_with_429_but_for_the_probes() {
    let world = world(ApiConfig {
        max_requests_per_second_per_address: 1,
        ..ApiConfig::default()
    })
    .await;
    let mut refused = None;
    for _ in 0..10 {
        let response = get(&world, "/api/v1/brokers").await;
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
    }
    let named = "max_requests_per_second_per_address";
    assert_too_many(refused.expect("a refusal"), named).await;
    for _ in 0..20 {
        assert_eq!(get(&world, "/live").await.status(), 200);
        assert_eq!(get(&world, "/ready").await.status(), 200);
    }
}

#[tokio::test]
async fn all_together_are_limited_whatever_their_addresses() {
    let world = world(ApiConfig {
        max_requests_per_second: 1,
        proxy_trusted: vec!["127.0.0.0/8".parse().unwrap()],
        ..ApiConfig::default()
    })
    .await;
    for host in 1..10 {
        let request = world.http.get(format!("{}/api/v1/brokers", world.base));
        let response = send(request.header("x-forwarded-for", format!("192.0.2.{host}"))).await;
        if response.status() == 429 {
            return assert_too_many(response, "http.max_requests_per_second ").await;
        }
    }
    panic!("nothing was refused");
}

fn guarded(max_wrong_tokens_per_minute: u32) -> ApiConfig {
    ApiConfig {
        http_bearer_token: Some("right".to_owned()),
        max_wrong_tokens_per_minute,
        proxy_trusted: vec!["127.0.0.0/8".parse().unwrap()],
        ..ApiConfig::default()
    }
}

async fn with_token(world: &World, token: &str, from: &str) -> Response {
    let request = world.http.get(format!("{}/api/v1/brokers", world.base));
    let request = request.bearer_auth(token).header("x-forwarded-for", from);
    send(request).await
}

#[tokio::test]
async fn who_guesses_the_token_is_not_heard_any_more_and_others_are() {
    let world = world(guarded(3)).await;
    for _ in 0..3 {
        assert_eq!(with_token(&world, "wrong", "192.0.2.1").await.status(), 401);
    }
    let named = "max_wrong_tokens_per_minute";
    assert_too_many(with_token(&world, "wrong", "192.0.2.1").await, named).await;
    assert_too_many(with_token(&world, "right", "192.0.2.1").await, named).await;
    assert_eq!(with_token(&world, "right", "192.0.2.2").await.status(), 200);
    let open = world.http.get(format!("{}/live", world.base));
    let open = send(open.header("x-forwarded-for", "192.0.2.1")).await;
    assert_eq!(open.status(), 200);
}

#[tokio::test]
async fn the_right_token_may_be_sent_as_often_as_one_likes() {
    let world = world(guarded(1)).await;
    for _ in 0..20 {
        assert_eq!(with_token(&world, "right", "192.0.2.1").await.status(), 200);
    }
}
