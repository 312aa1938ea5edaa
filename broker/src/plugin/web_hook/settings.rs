//! `rmqtt-web-hook.toml`: what it may say, and what is wrong with it.

use super::rules::{Rule, RuleSet, Target};
use crate::{
    events::{InboxLimits, NoticeKind},
    plugin::{
        file,
        outgoing::{self, Trust},
    },
};
use raftmq_mqtt::topic;
use reqwest::Url;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    worker_threads: usize,
    #[serde(alias = "async_queue_capacity")]
    queue_capacity: usize,
    queue_max_bytes: String,
    concurrency_limit: usize,
    batch_max: usize,
    #[serde(alias = "http_urls")]
    urls: Vec<String>,
    http_timeout: String,
    tls_ca: Option<PathBuf>,
    http_headers: BTreeMap<String, String>,
    retry_max_elapsed_time: String,
    retry_multiplier: f64,
    flush_timeout: String,
    rule: BTreeMap<toml::Spanned<String>, Rules>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            worker_threads: 1,
            queue_capacity: 100_000,
            queue_max_bytes: "64MB".into(),
            concurrency_limit: 128,
            batch_max: 1,
            urls: Vec::new(),
            http_timeout: "8s".into(),
            tls_ca: None,
            http_headers: BTreeMap::new(),
            retry_max_elapsed_time: "60s".into(),
            retry_multiplier: 2.5,
            flush_timeout: "5s".into(),
            rule: BTreeMap::new(),
        }
    }
}

/// The rules of one kind: a list of tables, or texts of JSON that are numbered.
struct Rules(Vec<toml::Spanned<Written>>);

/// One of them.
enum Written {
    Table(RuleSettings),
    Json(String),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    action: Option<String>,
    #[serde(default)]
    urls: Vec<String>,
    topics: Option<Vec<String>>,
    #[serde(default)]
    method: Method,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    #[default]
    Post,
    Get,
    /// Events go to a file, each as a line of JSON; the URL says it.
    #[serde(skip)]
    Append,
}

/// What the file says, found good.
pub(super) struct Settings {
    pub rules: Arc<RuleSet>,
    pub delivery: Arc<DeliverySettings>,
    pub worker_threads: usize,
    /// Of the events that have not been made ready yet, and of each URL's queue.
    pub limits: InboxLimits,
    pub shown: Value,
}

/// How events are sent.
pub(super) struct DeliverySettings {
    pub headers: reqwest::header::HeaderMap,
    pub timeout: Duration,
    /// Requests under way at once, to all URLs together.
    pub requests_max: usize,
    /// Events of one request; 1: each has its own.
    pub batch_max: usize,
    pub retry_multiplier: f64,
    /// How long an event is tried before it is given up.
    pub retry_time_max: Duration,
    /// How long what is queued is still sent when the plugin is unloaded.
    pub flush_timeout: Duration,
    pub trust: Trust,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Written;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a rule: { action = ..., urls = [...], topics = [...] }, or that in JSON",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
                Ok(Written::Json(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                RuleSettings::deserialize(map).map(Written::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Rules;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of rules, or rules that are numbered")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rules: A) -> Result<Rules, A::Error> {
                let mut all = Vec::new();
                while let Some(rule) = rules.next_element()? {
                    all.push(rule);
                }
                Ok(Rules(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut rules: A) -> Result<Rules, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((number, rule)) = rules.next_entry::<String, _>()? {
                    let number: u32 = number.parse().map_err(|_| {
                        serde::de::Error::custom(format!("{number:?} is no number of a rule"))
                    })?;
                    all.insert(number, rule);
                }
                Ok(Rules(all.into_values().collect()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Settings {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line, and what is wrong there; of limits the name.
    pub fn read(text: &str) -> Result<Settings, String> {
        let file: File = file::parse(text)?;
        file.check_ranges()?;
        let mut places = Vec::new();
        for url in &file.urls {
            places.push(place(url)?);
        }
        let mut rules = RuleSet::default();
        for (name, written) in &file.rule {
            let line = file::line_of(text, name.span().start);
            let kind = NoticeKind::parse(name.get_ref())
                .ok_or_else(|| format!("line {line}: there is no event {:?}", name.get_ref()))?;
            for rule in &written.0 {
                let line = file::line_of(text, rule.span().start);
                let rule = rule.get_ref().read(kind, &file);
                let rule = rule.map_err(|problem| format!("line {line}: {problem}"))?;
                for target in &rule.targets {
                    places.push(place(&target.url)?);
                }
                rules.add(kind, rule);
            }
        }
        Ok(Settings {
            delivery: Arc::new(file.delivery(&places)?),
            worker_threads: file.worker_threads,
            limits: InboxLimits {
                entries_max: file.queue_capacity,
                bytes_max: usize::try_from(file.queue_bytes()?).unwrap_or(usize::MAX),
            },
            shown: file.shown(&rules),
            rules: Arc::new(rules),
        })
    }
}

impl Written {
    fn read(&self, kind: NoticeKind, file: &File) -> Result<Rule, String> {
        let settings = match self {
            Written::Table(settings) => settings.clone(),
            Written::Json(text) => serde_json::from_str(text)
                .map_err(|error| format!("this is no rule in JSON: {error}"))?,
        };
        settings.read(kind, file)
    }
}

impl RuleSettings {
    fn read(self, kind: NoticeKind, file: &File) -> Result<Rule, String> {
        if self.topics.is_some() && !kind.has_topic() {
            return Err(format!("{} has no topic, and no topics", kind.as_str()));
        }
        for filter in self.topics.iter().flatten() {
            topic::validate_filter(filter)
                .map_err(|error| format!("topics: {filter:?}: {error}"))?;
        }
        if self.method == Method::Get && file.batch_max > 1 {
            return Err("\"get\" sends one event at a time: batch_max has to be 1".into());
        }
        let urls = match self.urls.is_empty() {
            true => &file.urls,
            false => &self.urls,
        };
        if urls.is_empty() {
            return Err("it has no urls, and there are none for all rules".into());
        }
        let target = |url: &String| {
            let method = match place(url)?.scheme() {
                "file" => Method::Append,
                _ => self.method,
            };
            Ok(Target {
                method,
                url: url.as_str().into(),
            })
        };
        Ok(Rule {
            targets: urls.iter().map(target).collect::<Result<_, String>>()?,
            action: self.action.unwrap_or_else(|| kind.as_str().to_owned()),
            topics: self.topics,
        })
    }
}

impl File {
    fn check_ranges(&self) -> Result<(), String> {
        let within = |name: &str, value: usize, range: RangeInclusive<usize>| {
            let (min, max) = (range.start(), range.end());
            match range.contains(&value) {
                true => Ok(()),
                false => Err(format!("{name} is out of range: {min} to {max}")),
            }
        };
        within("worker_threads", self.worker_threads, 1..=64)?;
        within("queue_capacity", self.queue_capacity, 1..=10_000_000)?;
        within("concurrency_limit", self.concurrency_limit, 1..=10_000)?;
        within("batch_max", self.batch_max, 1..=10_000)?;
        if !(1.0..=100.0).contains(&self.retry_multiplier) {
            return Err("retry_multiplier is out of range: 1.0 to 100.0".into());
        }
        Ok(())
    }

    fn queue_bytes(&self) -> Result<u64, String> {
        let bytes = file::bytes(&self.queue_max_bytes);
        bytes.map_err(|problem| format!("queue_max_bytes: {problem}"))
    }

    fn delivery(&self, places: &[Url]) -> Result<DeliverySettings, String> {
        let timeout = duration("http_timeout", &self.http_timeout, Duration::from_millis(1))?;
        Ok(DeliverySettings {
            headers: outgoing::read_headers(&self.http_headers)
                .map_err(|problem| format!("http_headers.{problem}"))?,
            timeout,
            requests_max: self.concurrency_limit,
            batch_max: self.batch_max,
            retry_multiplier: self.retry_multiplier,
            retry_time_max: duration(
                "retry_max_elapsed_time",
                &self.retry_max_elapsed_time,
                Duration::ZERO,
            )?,
            flush_timeout: duration("flush_timeout", &self.flush_timeout, Duration::ZERO)?,
            trust: Trust::of(places, self.tls_ca.as_deref())?,
        })
    }

    /// Without what may be a secret.
    fn shown(&self, rules: &RuleSet) -> Value {
        let urls: Vec<_> = self
            .urls
            .iter()
            .map(|url| outgoing::shown_url(url))
            .collect();
        json!({
            "worker_threads": self.worker_threads,
            "queue_capacity": self.queue_capacity,
            "queue_max_bytes": self.queue_max_bytes,
            "concurrency_limit": self.concurrency_limit,
            "batch_max": self.batch_max,
            "urls": urls,
            "http_timeout": self.http_timeout,
            "tls_ca": self.tls_ca,
            "http_headers": outgoing::without_values(&self.http_headers),
            "retry_max_elapsed_time": self.retry_max_elapsed_time,
            "retry_multiplier": self.retry_multiplier,
            "flush_timeout": self.flush_timeout,
            "rule": rules.shown(),
        })
    }
}

/// Where events may go: a server, or a file of this machine.
fn place(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "file" => match url.to_file_path() {
            Ok(_) => Ok(url),
            Err(()) => Err(format!("urls: {text:?} is no path of this machine")),
        },
        _ => outgoing::server_url(text).map_err(|problem| format!("urls: {problem}")),
    }
}

/// Longest time that a setting may name.
const TIME_MAX: Duration = Duration::from_secs(3_600);

fn duration(name: &str, text: &str, min: Duration) -> Result<Duration, String> {
    let duration = file::duration(text).map_err(|problem| format!("{name}: {problem}"))?;
    match (min..=TIME_MAX).contains(&duration) {
        true => Ok(duration),
        false => Err(format!(
            "{name} is out of range: {}ms to 1h",
            min.as_millis()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "urls = ['http://127.0.0.1:1/default']\n";

    fn targets(text: &str, kind: NoticeKind) -> Vec<(String, Vec<String>)> {
        let settings = Settings::read(text).expect(text);
        let rules = settings.rules.of(kind).iter();
        rules
            .map(|rule| {
                let urls = rule.targets.iter().map(|target| target.url.to_string());
                (rule.action.clone(), urls.collect())
            })
            .collect()
    }

    #[test]
    fn rules_are_read_in_each_form_that_users_of_rmqtt_have() {
        let default = vec!["http://127.0.0.1:1/default".to_owned()];
        let own = vec!["http://127.0.0.1:2/own".to_owned()];
        let expected = [
            ("client_connected".to_owned(), default.clone()),
            ("second".to_owned(), own.clone()),
        ];
        for rules in [
            "rule.client_connected = [{}, { action = 'second', urls = ['http://127.0.0.1:2/own'] }]",
            "[rule]\nclient_connected = [{ action = 'client_connected' },\n\
             { action = 'second', urls = ['http://127.0.0.1:2/own'] }]",
            "rule.client_connected.2 = '{\"action\": \"second\", \"urls\": [\"http://127.0.0.1:2/own\"]}'\n\
             rule.client_connected.1 = '{\"action\": \"client_connected\"}'",
        ] {
            let found = targets(&format!("{URL}{rules}"), NoticeKind::ClientConnected);
            assert_eq!(found, expected, "{rules}");
        }
        let older = "http_urls = ['http://127.0.0.1:1/default']\nasync_queue_capacity = 100_000\n\
                     worker_threads = 3\nrule.session_created = [{ action = 'x' }]";
        let found = targets(older, NoticeKind::SessionCreated);
        assert_eq!(found, [("x".to_owned(), default)]);
    }

    #[test]
    fn a_file_takes_events_whatever_the_method() {
        let text =
            "urls = ['file:///var/log/hook.log']\nrule.client_connect = [{ method = 'get' }]";
        let settings = Settings::read(text).expect("good settings");
        let methods = settings.rules.targets().map(|target| target.method);
        assert_eq!(methods.collect::<Vec<_>>(), [Method::Append]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (rules, line, word) in [
            ("rule.client_connect = [\n{},\n{ urls = ['x'] }]", 4, "urls"),
            ("\nrule.client_connects = [{}]", 3, "client_connects"),
            (
                "rule.message_publish = [{ topics = ['a/#/b'] }]",
                2,
                "a/#/b",
            ),
            ("rule.client_connect = [{ topics = ['a'] }]", 2, "no topic"),
            ("rule.client_connect = [{ action = 1 }]", 2, "string"),
            ("rule.client_connect = [{ acton = 'x' }]", 2, "acton"),
            ("rule.client_connect.1 = '{'", 2, "JSON"),
            ("rule.client_connect.a = '{}'", 2, "number"),
            ("rule.client_connect = [{ urls = ['ftp://x'] }]", 2, "ftp"),
            ("rule.client_connect = [{ method = 'put' }]", 2, "put"),
            (
                "batch_max = 2\nrule.client_connect = [{ method = 'get' }]",
                3,
                "batch_max",
            ),
        ] {
            let problem = Settings::read(&format!("{URL}{rules}")).err().expect(rules);
            let begin = format!("line {line}: ");
            assert!(problem.starts_with(&begin), "{rules}: {problem}");
            assert!(problem.contains(word), "{rules}: {problem}");
        }
    }

    #[test]
    fn impossible_limits_and_rules_without_a_url_are_refused() {
        for (wrong, word) in [
            ("worker_threads = 0", "worker_threads"),
            ("queue_capacity = 0", "queue_capacity"),
            ("queue_max_bytes = 'much'", "queue_max_bytes"),
            ("concurrency_limit = 0", "concurrency_limit"),
            ("batch_max = 0", "batch_max"),
            ("http_timeout = '0s'", "http_timeout"),
            ("retry_multiplier = 0.5", "retry_multiplier"),
            ("retry_max_elapsed_time = '2h'", "retry_max_elapsed_time"),
            ("http_headers.'a b' = 'x'", "a b"),
            ("urls = ['file://elsewhere/hook.log']", "elsewhere"),
            (
                "tls_ca = '/nowhere/ca.pem'\nurls = ['https://127.0.0.1/']",
                "tls_ca",
            ),
            ("rule.client_connect = [{}]", "no urls"),
        ] {
            let problem = Settings::read(wrong).err().expect(wrong);
            assert!(problem.contains(word), "{wrong}: {problem}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let text = "urls = ['http://name:hush@127.0.0.1/hook?key=hush']\n\
                    http_headers.authorization = 'hush'\nrule.client_connect = [{}]";
        let shown = Settings::read(text)
            .expect("good settings")
            .shown
            .to_string();
        assert!(
            !shown.contains("hush") && !shown.contains("name:"),
            "{shown}"
        );
        assert!(shown.contains("http://127.0.0.1/hook"), "{shown}");
    }
}
