//! The limits together, by a clock that the test moves.

use super::*;
use axum::http::StatusCode;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn limits(address: u32, overall: u32, wrong_tokens: u32) -> RateLimits {
    RateLimits::new(&ApiConfig {
        max_requests_per_second_per_address: address,
        max_requests_per_second: overall,
        max_wrong_tokens_per_minute: wrong_tokens,
        ..ApiConfig::default()
    })
}

fn admitted(limits: &RateLimits, from: IpAddr, now: Instant, tries: u32) -> u32 {
    let tries = (0..tries).filter(|_| limits.admit(from, now).is_ok());
    u32::try_from(tries.count()).unwrap()
}

#[test]
fn an_address_gets_its_rate_and_leaves_the_others_theirs() {
    let limits = limits(5, 0, 0);
    let begin = Instant::now();
    assert_eq!(admitted(&limits, HERE, begin, 100), 10);
    assert_eq!(admitted(&limits, THERE, begin, 100), 10);
    assert_eq!(
        limits.admit(HERE, begin),
        Err(Refusal::Address(Duration::from_millis(200)))
    );
    assert_eq!(admitted(&limits, HERE, begin + SECOND, 100), 5);
}

#[test]
fn all_together_get_the_overall_rate() {
    let limits = limits(0, 10, 0);
    let begin = Instant::now();
    assert_eq!(admitted(&limits, HERE, begin, 15), 15);
    assert_eq!(admitted(&limits, THERE, begin, 15), 5);
    assert!(matches!(
        limits.admit(HERE, begin),
        Err(Refusal::Overall(_))
    ));
    assert_eq!(admitted(&limits, THERE, begin + SECOND, 100), 10);
}

#[test]
fn what_one_address_asks_too_much_is_not_taken_from_the_others() {
    let limits = limits(2, 10, 0);
    let now = Instant::now();
    assert_eq!(admitted(&limits, HERE, now, 1_000), 4);
    assert_eq!(admitted(&limits, THERE, now, 4), 4);
}

#[test]
fn who_is_refused_by_the_overall_limit_keeps_its_own_tokens() {
    let limits = limits(5, 1, 0);
    let begin = Instant::now();
    assert_eq!(admitted(&limits, HERE, begin, 50), 2);
    let later = begin + SECOND;
    assert_eq!(admitted(&limits, THERE, later, 1), 1);
    assert!(matches!(
        limits.admit(HERE, later),
        Err(Refusal::Overall(_))
    ));
}

#[test]
fn nothing_is_limited_at_zero() {
    let limits = limits(0, 0, 0);
    let now = Instant::now();
    assert_eq!(admitted(&limits, HERE, now, 10_000), 10_000);
    for _ in 0..10_000 {
        assert_eq!(limits.judge(HERE, now, || false), Ok(Verdict::Wrong));
    }
}

#[test]
fn after_too_many_wrong_tokens_not_even_the_right_one_is_looked_at() {
    let limits = limits(0, 0, 3);
    let begin = Instant::now();
    let wrong = || limits.judge(HERE, begin, || false);
    assert_eq!(wrong(), Ok(Verdict::Wrong));
    assert_eq!(wrong(), Ok(Verdict::Wrong));
    assert_eq!(wrong(), Ok(Verdict::WrongForTheLastTime));
    let looked_at = std::cell::Cell::new(false);
    let right = |now| {
        limits.judge(HERE, now, || {
            looked_at.set(true);
            true
        })
    };
    assert_eq!(right(begin), Err(Refusal::Tokens(Duration::from_secs(20))));
    assert!(!looked_at.get());
    assert_eq!(limits.judge(THERE, begin, || true), Ok(Verdict::Granted));
    assert_eq!(right(begin + Duration::from_secs(20)), Ok(Verdict::Granted));
}

#[test]
fn right_tokens_cost_nothing_and_push_no_wrong_ones_out() {
    let limits = limits(0, 0, 1);
    let now = Instant::now();
    assert_eq!(
        limits.judge(HERE, now, || false),
        Ok(Verdict::WrongForTheLastTime)
    );
    for host in 0..100_000_u32 {
        let from = IpAddr::V4((0x0b00_0000 + host).into());
        assert_eq!(limits.judge(from, now, || true), Ok(Verdict::Granted));
    }
    assert!(limits.judge(HERE, now, || true).is_err());
}

#[test]
fn the_answer_says_when_to_come_back_in_whole_seconds() {
    let retry_after = |wait_ms| {
        let refusal = Refusal::Address(Duration::from_millis(wait_ms));
        let response = refusal.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let header = &response.headers()[header::RETRY_AFTER];
        header.to_str().unwrap().to_owned()
    };
    assert_eq!(
        [1, 1_000, 1_001, 20_000].map(retry_after),
        ["1", "1", "2", "20"]
    );
}
