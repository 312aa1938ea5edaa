//! How many seeds a test runs, and which one it was that failed.

use super::dice::Dice;
use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Seeds from which fresh ones of a long run are told.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Says which seed it was when the test fails.
struct Seed<'a>(&'a str, u64);

impl Drop for Seed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} failed: RAFTMQ_SEED={}", self.0, self.1);
        }
    }
}

/// Runs `one` for the seed that is asked for, for as long as is asked for, or for `seeds` seeds.
pub fn run(what: &str, seeds: u64, mut one: impl FnMut(&mut Dice)) {
    let mut with = |seed| {
        let _told = Seed(what, seed);
        one(&mut Dice::new(seed));
    };
    if let Some(seed) = number("RAFTMQ_SEED") {
        return with(seed);
    }
    let Some(seconds) = number("RAFTMQ_FUZZ_SECONDS") else {
        return (0..seeds).for_each(with);
    };
    let mut seed = fresh();
    let (begin, first) = (Instant::now(), seed);
    let mut reported = begin;
    while begin.elapsed() < Duration::from_secs(seconds) {
        with(seed);
        seed = seed.wrapping_add(1);
        if reported.elapsed() > REPORT_EVERY {
            reported = Instant::now();
            println!(
                "{what}: {} executions from seed {first}",
                seed.wrapping_sub(first)
            );
        }
    }
    println!(
        "{what}: {} executions from seed {first} in {seconds} s",
        seed.wrapping_sub(first)
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}

fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Dice::new(now.expect("after 1970").as_nanos() as u64).number()
}
