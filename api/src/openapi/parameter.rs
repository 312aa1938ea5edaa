//! Parameters of paths and query strings, with the types and limits that the handlers hold them to.

use serde_json::{Value, json};

/// One parameter.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) example: Option<Value>,
}

impl Parameter {
    fn new(place: &'static str, name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            place,
            description,
            schema: json!({"type": "string"}),
            required: place == "path",
            example: None,
        }
    }

    fn of(mut self, schema: Value) -> Self {
        self.schema = schema;
        self
    }

    fn such_as(mut self, example: impl Into<Value>) -> Self {
        self.example = Some(example.into());
        self
    }

    /// The request is refused without it.
    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What its absence means.
    pub(crate) fn default(mut self, value: impl Into<Value>) -> Self {
        self.schema["default"] = value.into();
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({
            "name": self.name, "in": self.place, "description": self.description,
            "required": self.required, "schema": self.schema,
        });
        if let Some(example) = &self.example {
            json["example"] = example.clone();
        }
        json
    }
}

/// The variable segments of a path. What is not known here has no description, and a test fails.
pub(super) fn of_path(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|segment| {
        let inner = segment.strip_prefix('{')?;
        inner.strip_suffix('}')
    });
    names.filter_map(segment).collect()
}

fn segment(name: &str) -> Option<Parameter> {
    let text = |name, description| {
        Parameter::new("path", name, description).of(json!({"type": "string", "minLength": 1}))
    };
    Some(match name {
        "node" => Parameter::new("path", "node", "Identifier of a node.")
            .of(json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX}))
            .such_as(1),
        "clientid" => text("clientid", "Client identifier.").such_as("sensor-1"),
        "as" => Parameter::new("path", "as", "What the ban names.")
            .of(json!({"type": "string", "enum": ["clientid", "username", "peerhost", "peerhost_net"]}))
            .such_as("clientid"),
        "who" => text("who", "Whom; a slash in it is written as %2F.").such_as("sensor-1"),
        "plugin" => text("plugin", "Name of a plugin.").such_as("rmqtt-acl"),
        "topic" => Parameter::new(
            "path",
            "topic",
            "Topic name; a slash in it is written as %2F.",
        )
        .of(json!({"type": "string", "pattern": super::TOPIC_NAME}))
        .such_as("sensors/1/temperature"),
        _ => return None,
    })
}

/// Parameters of query strings.
pub(crate) mod query {
    use serde_json::json;

    use super::Parameter;

    fn new(name: &'static str, description: &'static str) -> Parameter {
        Parameter::new("query", name, description)
    }

    /// Any text.
    pub(crate) fn text(name: &'static str, description: &'static str) -> Parameter {
        new(name, description)
    }

    /// An IP address.
    pub(crate) fn ip(name: &'static str, description: &'static str) -> Parameter {
        let of = |format: &str| json!({"type": "string", "format": format});
        new(name, description).of(json!({"anyOf": [of("ipv4"), of("ipv6")]}))
    }

    /// A text that matches a regular expression.
    pub(crate) fn pattern(
        name: &'static str,
        pattern: &'static str,
        description: &'static str,
    ) -> Parameter {
        new(name, description).of(json!({"type": "string", "pattern": pattern}))
    }

    /// One of some words.
    pub(crate) fn one_of(
        name: &'static str,
        words: &[&str],
        description: &'static str,
    ) -> Parameter {
        new(name, description).of(json!({"type": "string", "enum": words}))
    }

    /// Some of some words, with commas between.
    pub(crate) fn words(
        name: &'static str,
        words: impl IntoIterator<Item = &'static str>,
        description: &'static str,
    ) -> Parameter {
        let word = words.into_iter().collect::<Vec<_>>().join("|");
        let pattern = format!("^({word})(,({word}))*$");
        new(name, description).of(json!({"type": "string", "pattern": pattern}))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(name: &'static str, description: &'static str) -> Parameter {
        new(name, description).of(json!({"type": "boolean"}))
    }

    /// A whole number from 0 on.
    pub(crate) fn number(name: &'static str, max: u64, description: &'static str) -> Parameter {
        new(name, description).of(json!({"type": "integer", "minimum": 0, "maximum": max}))
    }

    /// 0, 1 or 2.
    pub(crate) fn qos(name: &'static str, description: &'static str) -> Parameter {
        number(name, 2, description)
    }

    /// A time: Unix seconds, or local `YYYY-MM-DD HH:MM:SS`.
    pub(crate) fn time(name: &'static str, description: &'static str) -> Parameter {
        let day = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))";
        let pattern = format!(r"^(19[89]\d|2\d{{3}})-{day} ([01]\d|2[0-3]):[0-5]\d:[0-5]\d$");
        new(name, description).of(json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Unix seconds."},
            {"type": "string", "pattern": pattern, "description": "YYYY-MM-DD HH:MM:SS, local."},
        ]}))
    }

    /// How many rows; absent, 0 and what is above `http.max_row_limit` mean `http.max_row_limit`.
    pub(crate) fn limit(name: &'static str) -> Parameter {
        let description = "At most so many rows. 0, and more than the setting max_row_limit (10,000 if \
            not set), mean as many as that.";
        new(name, description)
            .of(json!({"type": "integer", "minimum": 0}))
            .default(0)
    }

    /// Where a page begins.
    pub(crate) fn cursor() -> Parameter {
        let description = "The X-Next-Cursor of the page before: rows behind it. It is of use for the \
            same list only.";
        pattern("_cursor", r"^[A-Za-z0-9_-]+$", description)
    }

    /// How fresh the answer has to be.
    pub(crate) fn consistency() -> Parameter {
        let description = "leader: the answer knows everything that was acknowledged before the request. \
            Left out: what the node has applied.";
        one_of("_consistency", &["leader"], description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_of_a_path_are_found_in_their_order() {
        let names: Vec<_> = of_path("/plugins/{node}/{plugin}/config")
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(names, ["node", "plugin"]);
        assert!(of_path("/plugins").is_empty());
    }
}
