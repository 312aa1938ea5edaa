//! Prometheus' text format, version 0.0.4: families of samples, each with HELP and TYPE.
//!
//! All samples of a family have to stand together, whichever node they come from, so they are collected
//! first and written at the end.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, and begins at 0 with the process; its name ends in `_total`.
    Counter,
}

/// Label names with their values, from closed sets.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Families under construction.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: Kind,
    samples: Vec<(Labels, f64)>,
}

impl Exposition {
    pub(super) fn gauge(&mut self, name: &str, help: &str, labels: Labels, value: f64) {
        self.add(name, help, Kind::Gauge, labels, value);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, labels: Labels, value: u64) {
        self.add(name, help, Kind::Counter, labels, value as f64);
    }

    fn add(&mut self, name: &str, help: &str, kind: Kind, labels: Labels, value: f64) {
        let family = || Family {
            help: help.trim().to_owned(),
            kind,
            samples: Vec::new(),
        };
        let family = self.families.entry(name.to_owned()).or_insert_with(family);
        family.samples.push((labels, value));
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            family.write(name, &mut text);
        }
        text
    }
}

impl Family {
    fn write(&self, name: &str, text: &mut String) {
        let kind = match self.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let help = self.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a String does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in &self.samples {
            let _ = writeln!(text, "{name}{} {value}", written(labels));
        }
    }
}

fn written(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        value.replace('\n', "\\n")
    };
    let pairs = labels.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_family_stand_together_below_its_help_and_type() {
        let mut exposition = Exposition::default();
        for node in ["1", "2"] {
            let labels = || vec![("node", node.to_owned())];
            exposition.gauge("b", " Height.", labels(), 0.5);
            exposition.counter("a_total", "Falls.", labels(), 7);
        }
        let expected = "# HELP a_total Falls.\n# TYPE a_total counter\n\
            a_total{node=\"1\"} 7\na_total{node=\"2\"} 7\n\
            # HELP b Height.\n# TYPE b gauge\nb{node=\"1\"} 0.5\nb{node=\"2\"} 0.5\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn what_would_break_a_line_is_escaped() {
        let mut exposition = Exposition::default();
        let labels = vec![("l", "a\"b\\c\nd".to_owned())];
        exposition.gauge("g", "one\ntwo \\", labels, 1.0);
        let text = exposition.finish();
        assert_eq!(
            text,
            "# HELP g one\\ntwo \\\\\n# TYPE g gauge\ng{l=\"a\\\"b\\\\c\\nd\"} 1\n"
        );
    }

    #[test]
    fn a_family_without_labels_has_no_braces() {
        let mut exposition = Exposition::default();
        exposition.gauge("g", "G.", Vec::new(), 3.0);
        assert!(exposition.finish().ends_with("\ng 3\n"));
    }
}
