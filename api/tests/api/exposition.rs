//! A strict reader of Prometheus' text format, version 0.0.4: what it does not take, Prometheus might
//! not either.

use std::collections::{BTreeMap, BTreeSet};

/// Names with their values, in the order of the line.
pub type Labels = Vec<(String, String)>;

/// A family: its type and its samples by their labels.
#[derive(Debug)]
pub struct Family {
    pub kind: String,
    pub samples: BTreeMap<Labels, f64>,
}

/// Reads the whole text or says which line is wrong.
pub fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut lines = text.lines();
    let mut current: Option<String> = None;
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without text")?;
            is_name(name)?;
            if help.trim() != help || help.is_empty() {
                return Err(format!("help of {name}: '{help}'"));
            }
            let kind = lines
                .next()
                .and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")))
                .ok_or_else(|| format!("no TYPE behind HELP of {name}"))?;
            if !matches!(kind, "gauge" | "counter") {
                return Err(format!("{name} is a {kind}"));
            }
            if (kind == "counter") != name.ends_with("_total") {
                return Err(format!("{name} is a {kind}"));
            }
            let family = Family {
                kind: kind.into(),
                samples: BTreeMap::new(),
            };
            if families.insert(name.into(), family).is_some() {
                return Err(format!("{name} comes twice"));
            }
            current = Some(name.into());
            continue;
        }
        let (name, labels, value) = sample(line)?;
        if current.as_deref() != Some(&name) {
            return Err(format!("{name} is not below its HELP"));
        }
        let family = families.get_mut(&name).ok_or("no family")?;
        if family.samples.insert(labels, value).is_some() {
            return Err(format!("the same sample twice: {line}"));
        }
    }
    match families
        .iter()
        .find(|(_, family)| family.samples.is_empty())
    {
        Some((name, _)) => Err(format!("{name} has no sample")),
        None => Ok(families),
    }
}

/// `name{label="value",...} number`, with one space.
fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let wrong = || format!("no sample: '{line}'");
    let (series, value) = line.rsplit_once(' ').ok_or_else(wrong)?;
    let value: f64 = value.parse().map_err(|_| wrong())?;
    if !value.is_finite() || value < 0.0 {
        return Err(wrong());
    }
    let Some((name, rest)) = series.split_once('{') else {
        is_name(series)?;
        return Ok((series.into(), Vec::new(), value));
    };
    is_name(name)?;
    let labels = rest.strip_suffix('}').ok_or_else(wrong)?;
    let mut read = Vec::new();
    for pair in labels.split(',') {
        let (label, quoted) = pair.split_once('=').ok_or_else(wrong)?;
        let text = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
        let text = text.ok_or_else(wrong)?;
        if text.contains(['"', '\\']) || !is_identifier(label) || label.contains(':') {
            return Err(wrong());
        }
        read.push((label.to_owned(), text.to_owned()));
    }
    let distinct: BTreeSet<_> = read.iter().map(|(label, _)| label).collect();
    (distinct.len() == read.len())
        .then_some((name.into(), read, value))
        .ok_or_else(wrong)
}

fn is_name(name: &str) -> Result<(), String> {
    let ours = name.starts_with("raftmq_") && is_identifier(name);
    ours.then_some(()).ok_or(format!("'{name}' is no name"))
}

fn is_identifier(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(valid) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[test]
fn the_reader_refuses_what_is_not_the_format() {
    let head = "# HELP raftmq_a A.\n# TYPE raftmq_a gauge\n";
    assert!(parse(&format!("{head}raftmq_a 1\n")).is_ok());
    for text in [
        "raftmq_a 1\n".to_owned(),
        head.to_owned(),
        format!("{head}raftmq_a 1"),
        format!("{head}raftmq_a x\n"),
        format!("{head}raftmq_b 1\n"),
        format!("{head}raftmq_a 1\nraftmq_a 2\n"),
        format!("{head}raftmq_a{{l=v}} 1\n"),
        format!("{head}raftmq_a{{l=\"v\",l=\"w\"}} 1\n"),
        format!("{head}raftmq_a NaN\n"),
        format!("{head}raftmq_a 1\n{head}raftmq_a 1\n"),
        "# HELP raftmq_a A.\n# TYPE raftmq_a counter\nraftmq_a 1\n".to_owned(),
        "# HELP raftmq_a A.\nraftmq_a 1\n".to_owned(),
    ] {
        assert!(parse(&text).is_err(), "{text}");
    }
}
