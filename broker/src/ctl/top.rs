//! `top`: what the nodes do per second, from two looks at their counters.

use super::{
    Failure, Format, Frames, Watch,
    answer::split_missing,
    generic::cell,
    request::{Server, array, print},
    screen::Screen,
    table::Table,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Counters whose rates are shown, with their columns.
const RATES: [(&str, &str); 5] = [
    ("connects/s", "client.connected"),
    ("disconnects/s", "client.disconnected"),
    ("messages in/s", "messages.publish"),
    ("messages out/s", "messages.delivered"),
    ("drops/s", "messages.dropped"),
];
/// Gauges, with their columns.
const GAUGES: [(&str, &str); 3] = [
    ("clients", "connections.count"),
    ("sessions", "sessions.count"),
    ("queued", "message_queues.count"),
];

/// The numbers of all nodes that answered, at one moment.
struct Look {
    at: Instant,
    nodes: BTreeMap<u64, Numbers>,
    missing: Vec<String>,
}

#[derive(Default)]
struct Numbers {
    counters: [u64; RATES.len()],
    gauges: [u64; GAUGES.len()],
}

pub async fn watch(server: &Server, watch: Watch) -> Result<(), Failure> {
    let mut before = look(server).await?;
    if watch.frames == Frames::One {
        tokio::time::sleep(watch.interval).await;
        let now = look(server).await?;
        return show_once(server, &before, &now);
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let screen = Screen::take();
    let quit = screen.quit_pressed();
    tokio::pin!(quit);
    loop {
        tokio::select! {
            () = tokio::time::sleep(watch.interval) => {}
            () = &mut quit => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
        let now = look(server).await?;
        match server.format() {
            Format::Json => print(&format!("{}\n", rates_json(&before, &now)))?,
            Format::Table => screen.draw(&frame(server, &before, &now))?,
        }
        before = now;
    }
}

fn show_once(server: &Server, before: &Look, now: &Look) -> Result<(), Failure> {
    match server.format() {
        Format::Json => print(&format!("{}\n", rates_json(before, now))),
        Format::Table => print(&frame(server, before, now)),
    }
}

async fn look(server: &Server) -> Result<Look, Failure> {
    let (metrics, stats) = futures::join!(server.get("/metrics"), server.get("/stats"));
    let at = Instant::now();
    let (metrics, missing) = split_missing(array(metrics?)?);
    let (stats, _) = split_missing(array(stats?)?);
    let mut nodes: BTreeMap<u64, Numbers> = BTreeMap::new();
    for row in &metrics {
        let numbers = nodes.entry(id_of(row)).or_default();
        numbers.counters = RATES.map(|(_, name)| number(&row["metrics"][name]));
    }
    for row in &stats {
        let numbers = nodes.entry(id_of(row)).or_default();
        numbers.gauges = GAUGES.map(|(_, name)| number(&row["stats"][name]));
    }
    Ok(Look { at, nodes, missing })
}

fn id_of(row: &Value) -> u64 {
    number(&row["node"]["id"])
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Rates and gauges by node. A node that was not seen before has no rates yet, and one that was
/// started anew begins at zero.
fn rows(before: &Look, now: &Look) -> Vec<Value> {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let row = |(id, numbers): (&u64, &Numbers)| {
        let mut row = json!({"node": id});
        let earlier = before.nodes.get(id);
        for (at, (column, _)) in RATES.iter().enumerate() {
            let grown =
                earlier.map(|earlier| numbers.counters[at].saturating_sub(earlier.counters[at]));
            row[*column] = grown.map_or(Value::Null, |n| {
                ((n as f64 / seconds).round() as u64).into()
            });
        }
        for (at, (column, _)) in GAUGES.iter().enumerate() {
            row[*column] = numbers.gauges[at].into();
        }
        row
    };
    now.nodes.iter().map(row).collect()
}

fn columns() -> Vec<&'static str> {
    let names = RATES.iter().chain(&GAUGES).map(|(column, _)| *column);
    std::iter::once("node").chain(names).collect()
}

fn rates_json(before: &Look, now: &Look) -> Value {
    json!({"nodes": rows(before, now), "missing": now.missing})
}

fn frame(server: &Server, before: &Look, now: &Look) -> String {
    let columns = columns();
    let mut table = Table::new(columns.iter().copied());
    let rows = rows(before, now);
    for row in &rows {
        table.row(columns.iter().map(|column| cell(&row[*column])).collect());
    }
    if rows.len() > 1 {
        table.row(columns.iter().map(|column| total(&rows, column)).collect());
    }
    let mut text = format!("{}\n\n{}", server.url(), table.render());
    for missing in &now.missing {
        text += &format!("{}\n", super::table::printable(missing));
    }
    text
}

fn total(rows: &[Value], column: &str) -> String {
    match column {
        "node" => "all".to_owned(),
        _ => rows
            .iter()
            .map(|row| number(&row[column]))
            .sum::<u64>()
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn look(at: Instant, nodes: &[(u64, u64)]) -> Look {
        let numbers = |counter: u64| Numbers {
            counters: [counter; RATES.len()],
            gauges: [3; GAUGES.len()],
        };
        Look {
            at,
            nodes: nodes.iter().map(|(id, n)| (*id, numbers(*n))).collect(),
            missing: Vec::new(),
        }
    }

    #[test]
    fn rates_are_per_second_and_new_nodes_have_none() {
        let start = Instant::now();
        let before = look(start, &[(1, 100), (2, 500)]);
        let now = look(start + Duration::from_secs(2), &[(1, 300), (2, 7), (3, 9)]);
        let rows = rows(&before, &now);
        let of = |at: usize| rows[at]["connects/s"].clone();
        assert_eq!(of(0), 100);
        assert_eq!(of(1), 0, "started anew");
        assert_eq!(of(2), Value::Null);
        assert_eq!(rows[2]["sessions"], 3);
        assert_eq!(total(&rows, "connects/s"), "100");
    }
}
